"""What base.Store promises, as tests. A store's own test file subclasses StoreContract and gives two fixtures."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import pytest

from central.store.base import (
    Caps,
    CreatedNames,
    KeyRow,
    ListedName,
    NewKey,
    NewName,
    Page,
    Remembered,
    Store,
    StoreError,
    StoreUnavailable,
)
from central.store.plan import Level, Segment
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_contract_agents import AgentsContract
from tests.central.store_contract_data import GroupsContract, NumbersContract
from tests.central.store_contract_details import DetailsContract
from tests.central.store_contract_histograms import HistogramsContract
from tests.central.store_contract_owners import OwnersContract
from tests.central.store_contract_points import PointsContract
from tests.central.store_contract_series import SeriesContract
from tests.central.store_contract_tags import TagsContract
from tests.central.store_help import (
    CAPS,
    DAY,
    FAR,
    NOW,
    Clock,
    OpenCopy,
    OpenStore,
    ask,
    ask_segments,
    assert_levels_agree,
    brute_force,
    group,
    name,
    plain,
    request,
)


class NamesContract:
    """Names and their ids."""

    async def test_a_name_is_created_once(self, open_store: OpenStore) -> None:
        store = await open_store()
        one = await store.names.resolve([NewName("a", "counter", 1), NewName("b", "value", 1)], CAPS, NOW)
        two = await store.names.resolve([NewName("b", "counter", 2), NewName("c", "value", 2)], CAPS, NOW)
        assert (one["a"].kind, one["b"].kind, two["b"], two["c"].kind) == ("counter", "value", one["b"], "value")
        assert len({one["a"].id, one["b"].id, two["c"].id}) == 3

    async def test_created_names_are_listed_in_the_order_of_ids(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await store.names.created_after(0, 9) == CreatedNames([], 0)
        ids = {text: (await name(store, text)).id for text in ("b", "a", "c")}
        listed = [(ids[text], text) for text in ("b", "a", "c")]
        assert await store.names.created_after(0, 9) == CreatedNames(listed, 3)
        assert await store.names.created_after(0, 2) == CreatedNames(listed[:2], 3)
        assert await store.names.created_after(ids["b"], 9) == CreatedNames(listed[1:], 3)
        assert await store.names.delete("a")
        assert await store.names.created_after(ids["c"], 9) == CreatedNames([], 2)

    async def test_of_two_types_asked_at_once_the_first_stays(self, open_store: OpenStore) -> None:
        store = await open_store()
        found = await store.names.resolve([NewName("a", "value", 1), NewName("a", "counter", 1)], CAPS, NOW)
        assert found["a"].kind == "value"

    async def test_case_and_dots_make_other_names(self, open_store: OpenStore) -> None:
        store = await open_store()
        texts = ["a", "A", "a."]
        found = await store.names.resolve([NewName(text, "value", 1) for text in texts], CAPS, NOW)
        assert len({metric.id for metric in found.values()}) == 3
        assert await store.names.find([*texts, "b"]) == found

    async def test_names_over_the_total_cap_are_left_out(self, open_store: OpenStore) -> None:
        store = await open_store()
        wanted = [NewName(text, "value", 1) for text in "abc"]
        assert set(await store.names.resolve(wanted, Caps(2, 9), NOW)) == {"a", "b"}
        assert set(await store.names.resolve([*wanted, NewName("d", "value", 2)], Caps(2, 9), NOW)) == {"a", "b"}
        assert await store.names.delete("a")
        assert set(await store.names.resolve([NewName("d", "value", 2)], Caps(2, 9), NOW)) == {"d"}

    async def test_names_over_the_cap_of_one_key_are_left_out_and_other_keys_go_on(self, open_store: OpenStore) -> None:
        store = await open_store()
        caps = Caps(9, 2)
        assert set(await store.names.resolve([NewName(text, "value", 1) for text in "abc"], caps, NOW)) == {"a", "b"}
        wanted = [NewName("c", "value", 1), NewName("d", "value", 2), NewName("a", "value", 1)]
        assert set(await store.names.resolve(wanted, caps, NOW)) == {"a", "d"}

    async def test_names_are_listed_in_byte_order(self, open_store: OpenStore) -> None:
        store = await open_store()
        texts = sorted(["b", "a", "A", "a.b", "a-b", "a_b", "a1", "a.", "aB", "Z" * 255])
        for text in reversed(texts):
            await name(store, text, "counter" if text == "b" else "value")
        listed = await store.names.page(Page("", "", 1000))
        assert listed == [ListedName(text, "counter" if text == "b" else "value", None, None) for text in texts]

    async def test_the_list_takes_prefix_after_and_limit(self, open_store: OpenStore) -> None:
        cases: list[tuple[str, str, int, list[str]]] = [
            ("a", "", 9, ["a", "a%b", "a.x", "a.y", "a_b"]),
            ("a.", "", 9, ["a.x", "a.y"]),
            ("a", "a.x", 9, ["a.y", "a_b"]),
            ("a", "", 2, ["a", "a%b"]),
            ("a_", "", 9, ["a_b"]),
            ("a%", "", 9, ["a%b"]),
            ("", "b", 9, []),
            ("A", "", 9, []),
        ]
        store = await open_store()
        for text in ("a", "a.x", "a.y", "a_b", "a%b", "b"):
            await name(store, text)
        for prefix, after, limit, expected in cases:
            assert [found.name for found in await store.names.page(Page(prefix, after, limit))] == expected

    @pytest.mark.parametrize("settled", [True, False])
    async def test_a_deleted_name_comes_back_with_another_type_and_id(
        self, open_store: OpenStore, settled: bool
    ) -> None:
        store = await open_store()
        gone, kept = await name(store, "a", "counter"), await name(store, "b")
        rows = [plain(gone, 5), plain(kept, 7)]
        await store.commit(group(rows))
        if settled:
            await store.tidy(idle=True)
        assert await store.names.delete("a") is True
        assert await store.names.delete("a") is False
        await store.names.purge()
        assert await store.names.find(["a", "b"]) == {"b": kept}
        await assert_levels_agree(store, [gone.id, kept.id], rows[1:])
        await store.close()
        store = await open_store()
        back = await name(store, "a", "value")
        assert (back.kind, back.id in {gone.id, kept.id}) == ("value", False)
        await store.commit(group([plain(back, 1)]))
        await assert_levels_agree(store, [gone.id, kept.id, back.id], [rows[1], plain(back, 1)])

    async def test_the_highest_id_is_not_given_again_after_deletion(self, open_store: OpenStore) -> None:
        store = await open_store()
        given = set()
        for _ in range(3):
            given.add((await name(store, "a")).id)
            assert await store.names.delete("a")
            await store.close()
            store = await open_store()
        assert len(given) == 3


async def found(store: Store, public_id: str) -> KeyRow | None:
    return (await store.keys.find([public_id])).get(public_id)


class KeysContract:
    """API keys."""

    async def test_a_key_is_changed_and_keeps_the_rest(self, open_store: OpenStore) -> None:
        store = await open_store()
        made = await store.keys.create(NewKey("id1", "x", "h", frozenset({"query"}), 1, NOW + 50), NOW)
        assert (made.expires_at, await found(store, "id1")) == (NOW + 50, made)
        wanted = made._replace(rate_limit=9, scopes=frozenset({"admin", "query"}), expires_at=NOW + 99)
        assert await store.keys.change(made.id, lambda _: wanted, NOW) == wanted
        assert await found(store, "id1") == wanted
        never = wanted._replace(expires_at=None)
        assert await store.keys.change(made.id, lambda row: row._replace(expires_at=None), NOW) == never
        assert await store.keys.list_all() == [never]
        assert await store.keys.change(made.id + 1, lambda row: row, NOW) is None

    async def test_the_prefixes_of_a_key_are_kept_changed_and_taken_away(self, open_store: OpenStore) -> None:
        store = await open_store()
        limited = NewKey("id1", "x", "h", frozenset({"query"}), 1, None, ("shop.", "web-"))
        made = await store.keys.create(limited, NOW)
        other = await store.keys.create(limited._replace(public_id="id2", hash="h2", prefixes=()), NOW)
        assert (made.prefixes, other.prefixes) == (("shop.", "web-"), ())
        await store.close()
        store = await open_store()
        assert await store.keys.find(["id1", "id2"]) == {"id1": made, "id2": other}
        for prefixes in (("a.",), (), ("b.", "c." + "x" * 250), ("b.",)):
            wanted = made._replace(prefixes=prefixes)
            assert await store.keys.change(made.id, partial(KeyRow._replace, prefixes=prefixes), NOW) == wanted
            assert await store.keys.list_all() == [wanted, other]
        rotated = await store.keys.rotate(made.id, "h3", NOW)
        assert rotated is not None
        assert rotated.prefixes == ("b.",)
        assert (await store.keys.revoke(made.id, NOW)) == rotated._replace(revoked_at=NOW)

    async def test_the_last_use_of_a_key_never_goes_back(self, open_store: OpenStore) -> None:
        store = await open_store()
        made = await store.keys.create(NewKey("id1", "x", "h", frozenset({"query"}), 1, NOW + 50), NOW)
        other = await store.keys.create(NewKey("id2", "x", "h2", frozenset({"query"}), 1), NOW)
        for moment in (NOW + 7, NOW + 5):
            await store.keys.note_uses({made.id: moment, other.id: NOW})
        assert await store.keys.list_all() == [made._replace(last_used_at=NOW + 7), other._replace(last_used_at=NOW)]

    async def test_of_two_admin_keys_revoked_at_once_one_is_kept(self, open_store: OpenStore) -> None:
        store = await open_store()
        made = [
            await store.keys.create(NewKey(f"id{number}", "x", f"h{number}", frozenset({"admin"}), 1), NOW)
            for number in range(2)
        ]

        def revoked(row: KeyRow) -> KeyRow:
            return row._replace(revoked_at=NOW)

        left = await asyncio.gather(*(store.keys.change(row.id, revoked, NOW, keep_admin=True) for row in made))
        assert sorted(row.revoked_at or 0 for row in left if row) == [0, NOW]
        assert sorted(row.revoked_at or 0 for row in await store.keys.list_all()) == [0, NOW]

    async def test_a_key_is_created_found_and_listed(self, open_store: OpenStore) -> None:
        store = await open_store()
        one = await store.keys.create(NewKey("id1", "Zoë's team", "h1", frozenset({"ingest", "query"}), 1000), NOW)
        two = await store.keys.create(NewKey("id2", "x", "h2", frozenset({"admin"}), 5), NOW + 1)
        assert one[1:7] == ("id1", "Zoë's team", "h1", frozenset({"ingest", "query"}), 1000, NOW)
        assert one[7:] == (None, None, None, None, ())
        assert await store.keys.list_all() == [one, two]
        assert (await found(store, "id1"), await found(store, "ID1")) == (one, None)
        assert await store.keys.find(["id2", "id3", "id1"]) == {"id1": one, "id2": two}
        await store.close()
        store = await open_store()
        assert await store.keys.list_all() == [one, two]

    async def test_revoking_twice_keeps_the_first_time(self, open_store: OpenStore) -> None:
        store = await open_store()
        made = await store.keys.create(NewKey("id1", "x", "h", frozenset({"query"}), 1), NOW)
        revoked = made._replace(revoked_at=NOW + 5)
        assert await store.keys.revoke(made.id, NOW + 5) == revoked
        assert await store.keys.revoke(made.id, NOW + 9) == revoked
        assert await found(store, "id1") == revoked
        assert await store.keys.revoke(made.id + 1, NOW) is None

    async def test_rotation_replaces_the_hash_of_a_live_key_only(self, open_store: OpenStore) -> None:
        store = await open_store()
        made = await store.keys.create(NewKey("id1", "x", "old", frozenset({"query"}), 1), NOW)
        await store.keys.keep_fast_hash("old", "f" * 64)
        await store.keys.keep_fast_hash("old", "0" * 64)
        assert (await found(store, "id1") or made).fast_hash == "0" * 64
        assert await store.keys.rotate(made.id, "new", NOW + 1) == made._replace(hash="new")
        assert await found(store, "id1") == made._replace(hash="new")
        await store.keys.revoke(made.id, NOW + 2)
        assert await store.keys.rotate(made.id, "newer", NOW + 3) is None
        assert await store.keys.rotate(made.id + 1, "newer", NOW + 3) is None
        assert await found(store, "id1") == made._replace(hash="new", revoked_at=NOW + 2)


class StoreContract(
    NumbersContract,
    HistogramsContract,
    GroupsContract,
    NamesContract,
    DetailsContract,
    OwnersContract,
    SeriesContract,
    TagsContract,
    PointsContract,
    KeysContract,
    AgentsContract,
):
    """All of it. A subclass gives the fixtures ``open_store`` and ``open_copy``."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> Store:
        return await open_store()

    async def test_everything_is_there_after_close_and_open(self, open_store: OpenStore) -> None:
        store = await open_store()
        metrics = {text: await name(store, text) for text in ("a", "b")}
        key = await store.keys.create(NewKey("id1", "x", "h", frozenset({"query"}), 1), NOW)
        entry, rows = request(b"answer"), [plain(metrics["a"], 5), plain(metrics["b"], -MAX_UNITS)]
        await store.commit(group(rows, [entry]))
        for idle in (False, True):
            await store.close()
            store = await open_store()
            await store.ping()
            assert await store.names.find(["a", "b"]) == metrics
            assert await store.keys.list_all() == [key]
            assert await store.find_requests([entry.id]) == {entry.id: Remembered(entry.fingerprint, b"answer")}
            await assert_levels_agree(store, [metric.id for metric in metrics.values()], rows)
            await store.tidy(idle=idle)

    async def test_a_closed_store_says_so(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.commit(group([plain(await name(store, "a"), 1)]))
        await store.close()
        await store.close()
        await store.tidy(idle=True)
        calls: list[Awaitable[object]] = [
            store.commit(group([plain(1, 1)])),
            store.names.find(["a"]),
            store.names.resolve([NewName("b", "value", 1)], CAPS, NOW),
            store.names.page(Page("", "", 9)),
            ask(store, [1]),
            store.names.delete("a"),
            store.keys.find(["x"]),
            store.keys.list_all(),
            store.keys.create(NewKey("x", "x", "h", frozenset({"query"}), 1), NOW),
            store.keys.revoke(1, NOW),
            store.keys.rotate(1, "h", NOW),
            store.ping(),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call

    async def test_a_backup_while_writes_go_on_is_consistent(
        self, open_store: OpenStore, open_copy: OpenCopy, tmp_path: Path
    ) -> None:
        store = await open_store()
        metric = await name(store, "a")
        await store.commit(group(plain(metric, 3 * UNIT, NOW + second) for second in range(5000)))
        copied = asyncio.Event()

        async def write() -> int:
            groups = 0
            while not copied.is_set():
                await store.commit(group([plain(metric, 3 * UNIT, NOW + groups % DAY)] * 10, [request()]))
                await store.tidy(idle=groups % 20 == 19)
                groups += 1
            return groups

        writing = asyncio.create_task(write())
        targets = [tmp_path / f"copy {number}'s" for number in range(3)]
        for target in targets:
            await store.backup(target)
        copied.set()
        groups = await writing
        found = []
        for target in targets:
            copy = await open_copy(target)
            (bucket,) = await ask(copy, [metric.id])
            found.append(bucket)
            assert bucket.total == 3 * bucket.weight, "a sum and its count are of two moments"
            levels: tuple[Level, ...] = ("raw", "minute", "hour")
            for level in levels:
                assert await ask_segments(copy, [metric.id], DAY, [Segment(level, *FAR)]) == [bucket]
            assert await name(copy, "a") == metric
        assert groups > 0
        assert 5000 * UNIT <= found[0].weight <= found[1].weight <= found[2].weight <= (5000 + groups * 10) * UNIT
        assert (await ask(store, [metric.id]))[0].weight == (5000 + groups * 10) * UNIT

    async def test_a_backup_does_not_overwrite_and_a_failed_one_hinders_no_other(
        self, open_store: OpenStore, open_copy: OpenCopy, tmp_path: Path
    ) -> None:
        store = await open_store()
        metric = await name(store, "a")
        rows = [plain(metric, 1)]
        await store.commit(group(rows))
        await store.backup(tmp_path / "one")
        before = (tmp_path / "one").read_bytes()
        with pytest.raises(StoreError):
            await store.backup(tmp_path / "one")
        with pytest.raises(StoreError):
            await store.backup(tmp_path / "no folder" / "one")
        await asyncio.gather(store.backup(tmp_path / "two"), store.backup(tmp_path / "three"))
        assert (tmp_path / "one").read_bytes() == before
        for made in ("one", "two", "three"):
            assert await ask(await open_copy(tmp_path / made), [metric.id]) == brute_force(
                [plain(metric, 1)], *FAR, DAY
            )
