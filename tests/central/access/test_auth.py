"""central/access/auth.py with a store in memory: who gets in, and how many look-ups and comparisons that takes."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from central.access.auth import (
    ALL_SCOPES,
    FRESH_SECONDS,
    new_key,
    parse_key,
)
from central.errors import ApiError
from tests.central.access.auth_help import Scene, hash_of, status, with_bad_secret


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.auth.close()


# --- the form of a key


def test_a_new_key_has_its_form_and_is_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len({key.public_id for key in keys}) == len({key.secret for key in keys}) == 100
    assert all(parse_key(key.text) == key for key in keys)
    assert all(len(key.secret) == 43 and len(key.public_id) == 12 for key in keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc123",
        "gf_",
        f"gf_{'a' * 12}_{'s' * 42}",
        f"gf_{'a' * 12}_{'s' * 44}",
        f"gf_{'a' * 11}_{'s' * 43}",
        f"gf_{'A' * 12}_{'s' * 43}",
        f"gf_{'a' * 12}-{'s' * 43}",
        f"GF_{'a' * 12}_{'s' * 43}",
        f"gf_{'a' * 12}_{'s' * 42}!",
        f"gf_{'a' * 12}_{'s' * 43}\n",
        "gf_" + "\u0661" * 12 + "_" + "s" * 43,
    ],
)
def test_what_is_no_key_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a key must be gf_"):
        parse_key(text)


# --- in or out


async def test_a_good_key_is_its_row(scene: Scene) -> None:
    text = await scene.key(scopes=frozenset({"query"}), rate_limit=12)
    key = await scene.auth.authenticate(text)
    assert (key.id, key.rate_limit, key.scopes) == (1, 12, frozenset({"query"}))


async def test_what_is_not_a_key_of_ours_gets_401_without_bcrypt(scene: Scene) -> None:
    text = await scene.key()
    for header in (None, "", "x", "k" * 73, "k" * 10_000, "clé", text + "x", text.upper(), new_key().text):
        assert await status(scene.auth.authenticate(header)) == 401, header
    assert scene.compared == 0


async def test_a_bad_secret_gets_401_and_costs_one_bcrypt(scene: Scene) -> None:
    text = await scene.key()
    for _ in range(3):
        assert await status(scene.auth.authenticate(with_bad_secret(text))) == 401
    assert scene.compared == 1
    scene.clock.now += FRESH_SECONDS + 1
    assert await status(scene.auth.authenticate(with_bad_secret(text))) == 401
    assert scene.compared == 2


async def test_a_refusal_says_what_to_do_and_names_no_secret(scene: Scene) -> None:
    bad = with_bad_secret(await scene.key())
    with pytest.raises(ApiError) as caught:
        await scene.auth.authenticate(bad)
    assert caught.value.headers == {"WWW-Authenticate": "ApiKey"}
    assert bad not in str(caught.value.body())


# --- what a good key costs


async def test_a_key_is_compared_once_and_then_good_from_the_cache(scene: Scene) -> None:
    text = await scene.key()
    for _ in range(50):
        await scene.auth.authenticate(text)
    assert (scene.compared, len(scene.store.asked), scene.auth.counts.hits) == (1, 1, 49)


async def test_many_requests_at_once_wait_for_one_comparison(scene: Scene) -> None:
    text = await scene.key()
    keys = await asyncio.gather(*(scene.auth.authenticate(text) for _ in range(50)))
    assert len(set(keys)) == 1
    assert (scene.compared, len(scene.store.asked)) == (1, 1)


async def test_one_that_leaves_does_not_take_the_others_along(scene: Scene) -> None:
    text = await scene.key()
    scene.store.gate = asyncio.Event()
    first, second = (asyncio.create_task(scene.auth.authenticate(text)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    scene.store.gate.set()
    assert (await second).id == 1
    assert first.cancelled()


async def test_after_thirty_seconds_only_the_row_is_read_again(scene: Scene) -> None:
    text = await scene.key()
    await scene.auth.authenticate(text)
    scene.clock.now = FRESH_SECONDS - 0.1
    await scene.auth.authenticate(text)
    assert len(scene.store.asked) == 1
    scene.clock.now = FRESH_SECONDS
    await scene.auth.authenticate(text)
    assert (len(scene.store.asked), scene.compared) == (2, 1)


async def test_a_new_limit_or_scope_in_the_row_is_seen_within_thirty_seconds(scene: Scene) -> None:
    text = await scene.key()
    await scene.auth.authenticate(text)
    scene.store.alter(parse_key(text).public_id, rate_limit=99, scopes=ALL_SCOPES)
    scene.clock.now = FRESH_SECONDS
    key = await scene.auth.authenticate(text)
    assert (key.rate_limit, key.scopes, scene.compared) == (99, ALL_SCOPES, 1)


# --- revoked, rotated


async def test_a_key_revoked_behind_our_back_is_dead_within_thirty_seconds(scene: Scene) -> None:
    text = await scene.key()
    await scene.auth.authenticate(text)
    scene.store.alter(parse_key(text).public_id, revoked_at=1)
    assert await status(scene.auth.authenticate(text)) == 200
    scene.clock.now = FRESH_SECONDS
    assert await status(scene.auth.authenticate(text)) == 401


async def test_a_key_revoked_here_is_dead_at_once(scene: Scene) -> None:
    text, other = await scene.key(), await scene.key()
    for good in (text, other):
        await scene.auth.authenticate(good)
    scene.store.alter(parse_key(text).public_id, revoked_at=1)
    scene.auth.forget(1)
    assert await status(scene.auth.authenticate(text)) == 401
    assert await status(scene.auth.authenticate(other)) == 200
    assert len(scene.store.asked) == 3


async def test_rotation_kills_the_old_secret_and_keeps_the_row(scene: Scene) -> None:
    old = await scene.key()
    await scene.auth.authenticate(old)
    rotated = await scene.auth.rotate(1, 0)
    assert rotated is not None
    row, fresh = rotated
    assert (row.id, fresh[:15], fresh != old) == (1, old[:15], True)
    assert await status(scene.auth.authenticate(old)) == 401
    assert (await scene.auth.authenticate(fresh)).id == 1


async def test_a_rotation_behind_our_back_is_seen_within_thirty_seconds(scene: Scene) -> None:
    old = await scene.key()
    await scene.auth.authenticate(old)
    scene.store.alter(parse_key(old).public_id, hash=hash_of(new_key()))
    scene.clock.now = FRESH_SECONDS
    assert await status(scene.auth.authenticate(old)) == 401
    assert scene.compared == 2


async def test_what_is_revoked_cannot_be_rotated(scene: Scene) -> None:
    text = await scene.key()
    scene.store.alter(parse_key(text).public_id, revoked_at=1)
    assert await scene.auth.rotate(1, 0) is None
    assert await scene.auth.rotate(99, 0) is None


# --- the store is down


async def test_a_verified_key_stays_good_while_the_store_is_down(scene: Scene) -> None:
    text, never_seen = await scene.key(), await scene.key()
    await scene.auth.authenticate(text)
    scene.store.down = True
    scene.clock.now = 10 * FRESH_SECONDS
    assert await status(scene.auth.authenticate(text)) == 200
    assert await status(scene.auth.authenticate(never_seen)) == 503
    scene.store.down = False
    scene.store.alter(parse_key(text).public_id, revoked_at=1)
    assert await status(scene.auth.authenticate(text)) == 401


# --- the key given by a setting


async def test_the_key_given_by_a_setting_has_all_scopes_and_needs_no_store() -> None:
    scene = Scene(given="given-by-an-operator-0123456789abcdef")
    scene.store.down = True
    key = await scene.auth.authenticate("given-by-an-operator-0123456789abcdef")
    assert (key.id, key.rate_limit, key.scopes) == (0, 7, ALL_SCOPES)
    assert await status(scene.auth.authenticate("given-by-an-operator-0123456789abcdeF")) == 401
    scene.auth.close()


# --- what is remembered


async def tried(scene: Scene, keys: Iterable[str]) -> list[int]:
    """How many comparisons each of these keys cost, tried in turn."""
    costs = []
    for key in keys:
        before = scene.compared
        await status(scene.auth.authenticate(key))
        costs.append(scene.compared - before)
    return costs


@pytest.fixture
def three_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.access.auth.MAX_CACHED", 3)


@pytest.mark.usefixtures("three_are_remembered")
async def test_one_bad_secret_too_many_costs_the_oldest_its_place(scene: Scene) -> None:
    text = await scene.key()
    first, *others = (with_bad_secret(text, number) for number in range(4))
    assert await tried(scene, (first, *others)) == [1, 1, 1, 1]
    assert await tried(scene, others) == [0, 0, 0]
    assert await tried(scene, (first,)) == [1]


@pytest.mark.usefixtures("three_are_remembered")
async def test_a_bad_secret_that_is_tried_again_in_time_is_among_the_newest(scene: Scene) -> None:
    text = await scene.key()
    again, *others = (with_bad_secret(text, number) for number in range(5))
    await tried(scene, (again, *others[:2]))
    scene.clock.now += FRESH_SECONDS + 1
    assert await tried(scene, (again, *others[2:])) == [1, 1, 1]
    assert await tried(scene, (again, *others[2:])) == [0, 0, 0]


@pytest.mark.usefixtures("three_are_remembered")
async def test_one_good_key_too_many_costs_the_oldest_its_place(scene: Scene) -> None:
    first, *others = [await scene.key() for _ in range(4)]
    assert await tried(scene, (first, *others)) == [1, 1, 1, 1]
    assert await tried(scene, others) == [0, 0, 0]
    assert await tried(scene, (first,)) == [1]


@pytest.mark.usefixtures("three_are_remembered")
async def test_a_good_key_that_is_looked_up_again_costs_no_other_its_place(scene: Scene) -> None:
    keys = [await scene.key() for _ in range(3)]
    await tried(scene, keys)
    scene.clock.now += FRESH_SECONDS
    assert await tried(scene, reversed(keys)) == [0, 0, 0]
    assert await tried(scene, keys) == [0, 0, 0]


async def test_a_key_revoked_while_it_is_verified_is_not_kept(scene: Scene) -> None:
    text = await scene.key()
    scene.store.gate = asyncio.Event()
    first = asyncio.create_task(scene.auth.authenticate(text))
    for _ in range(3):
        await asyncio.sleep(0)
    assert scene.store.asked
    row = scene.store.rows[parse_key(text).public_id]
    scene.store.gate.set()  # the row is read as it was, then the news comes
    await asyncio.sleep(0)
    scene.auth.forget(row.id)
    assert await status(first) == 200
    scene.store.alter(row.public_id, revoked_at=1)
    assert await status(scene.auth.authenticate(text)) == 401
