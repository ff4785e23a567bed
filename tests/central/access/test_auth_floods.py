"""central/access/auth.py under a flood of bad keys: what it costs, and who has to wait."""

import asyncio
from collections.abc import Iterator

import pytest

from central.access.auth import DEFAULT_SCOPES, SLOTS, TRIES, new_key
from central.store.base import KeyRow, StoreUnavailable
from tests.central.access.auth_help import Scene, hash_of, status, with_bad_secret

SLOW_HASH = 8


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.auth.close()


async def test_a_flood_of_unknown_ids_costs_a_look_up_and_delays_no_cached_key(scene: Scene) -> None:
    good = await scene.key()
    await scene.auth.authenticate(good)
    scene.store.gate = asyncio.Event()
    flood = [asyncio.create_task(status(scene.auth.authenticate(new_key().text))) for _ in range(500)]
    await asyncio.sleep(0)
    for _ in range(100):
        assert await status(scene.auth.authenticate(good)) == 200
    assert not any(task.done() for task in flood)
    scene.store.gate.set()
    assert set(await asyncio.gather(*flood)) == {401}
    assert scene.compared == 1
    assert [len(asked) for asked in scene.store.asked] == [1, 500], "one look-up for all"


async def test_bad_secrets_are_compared_one_by_one_beside_keys_being_made(scene: Scene) -> None:
    good = await scene.key()
    await scene.auth.authenticate(good)
    attacked = new_key()
    scene.store.rows[attacked.public_id] = KeyRow(
        50, attacked.public_id, "attacked", hash_of(attacked, SLOW_HASH), DEFAULT_SCOPES, 5, 0, None
    )
    flood = [
        asyncio.create_task(status(scene.auth.authenticate(with_bad_secret(attacked.text, number))))
        for number in range(100)
    ]
    for _ in range(5):  # every one of them is in the queue, or was sent away
        await asyncio.sleep(0)
    assert await status(scene.auth.authenticate(good)) == 200
    assert await scene.key()  # hashed on the other thread
    assert not all(task.done() for task in flood)
    answers = await asyncio.gather(*flood)
    taken = SLOTS.at_once + SLOTS.waiting_of_one_key
    assert (answers.count(401), answers.count(503)) == (taken, 100 - taken)
    assert scene.compared == 1 + taken
    assert scene.auth.counts.busy == {TRIES: 100 - taken}


async def test_an_older_keys_owner_waits_for_one_guess_of_another_address(scene: Scene) -> None:
    text = await scene.key()
    order: list[str] = []

    async def tried(secret: str, peer: str) -> None:
        await status(scene.auth.authenticate(secret, peer))
        order.append(peer)

    guesses = [tried(with_bad_secret(text, number), "guesser") for number in range(40)]
    await asyncio.gather(*guesses, tried(text, "owner"))
    assert order.index("owner") <= 2, "behind the guess that runs, and at most one more"
    assert sorted(order) == ["guesser"] * 40 + ["owner"]


async def test_an_older_keys_owner_gets_in_behind_guesses_from_its_address(scene: Scene) -> None:
    text = await scene.key()
    guesses = [status(scene.auth.authenticate(with_bad_secret(text, number), "proxy")) for number in range(16)]
    assert await asyncio.gather(*guesses, status(scene.auth.authenticate(text, "proxy"))) == [401] * 16 + [200]


async def test_guessing_under_a_known_id_keeps_its_owner_waiting_for_nothing(scene: Scene) -> None:
    scene.store.keeps_fast_hashes = True
    text = await scene.key()
    tried = [status(scene.auth.authenticate(with_bad_secret(text, number))) for number in range(100)]
    assert await asyncio.gather(*tried, status(scene.auth.authenticate(text))) == [401] * 100 + [200]
    assert scene.compared == 0


async def test_an_older_key_gets_its_fast_hash_from_its_good_secret(scene: Scene) -> None:
    text = await scene.key()
    scene.store.keeps_fast_hashes = True
    assert await status(scene.auth.authenticate(with_bad_secret(text, 1))) == 401
    assert [row.fast_hash for row in scene.store.rows.values()] == [None]
    assert await status(scene.auth.authenticate(text)) == 200
    assert scene.compared == 2
    restarted = scene.restarted()
    assert await status(restarted.authenticate(with_bad_secret(text, 2))) == 401
    assert await status(restarted.authenticate(text)) == 200
    assert restarted.counts.verified == 0
    restarted.close()


async def test_a_fast_hash_is_good_for_no_other_secret_and_no_other_key(scene: Scene) -> None:
    scene.store.keeps_fast_hashes = True
    one, two = await scene.key(), await scene.key()
    first, second = scene.store.rows.values()
    assert first.fast_hash != second.fast_hash
    scene.store.alter(second.public_id, fast_hash=first.fast_hash)
    assert await status(scene.auth.authenticate(f"{two[:17]}{one[17:]}")) == 401
    made = await scene.auth.rotate(first.id, 0)
    assert made is not None
    assert await status(scene.auth.authenticate(one)) == 401
    assert await status(scene.auth.authenticate(made[1])) == 200


async def test_a_fast_hash_that_cannot_be_kept_stops_nobody(scene: Scene) -> None:
    text = await scene.key()

    async def full(hashed: str, fast: str) -> None:
        raise StoreUnavailable("full")

    scene.store.keep_fast_hash = full  # type: ignore[method-assign]
    assert await status(scene.auth.authenticate(text)) == 200


async def test_the_attacked_key_itself_works_again_once_its_queue_is_empty(scene: Scene) -> None:
    text = await scene.key()
    await asyncio.gather(*(status(scene.auth.authenticate(with_bad_secret(text, number))) for number in range(50)))
    assert await status(scene.auth.authenticate(text)) == 200
