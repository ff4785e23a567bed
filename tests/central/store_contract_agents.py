"""What a store promises of agents: the newest report of each, and no more than so many."""

from central.store.agents import AgentRow
from tests.central.store_help import NOW, OpenStore


def row(number: int, seen_at: int = NOW, *, run: str = "a", missing: int = 0, report: str = "{}") -> AgentRow:
    return AgentRow(f"{number:032x}", run * 16, number + 1, seen_at, missing, report)


class AgentsContract:
    """Agents."""

    async def test_reports_are_kept_over_a_restart(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await store.agents.seen_since(0) == []
        rows = [row(1, report='{"host":"Zürich \\u001b"}'), row(2, missing=1 << 62), row(3, report="x" * 6_000)]
        await store.agents.note(rows, 0, 9)
        await store.close()
        store = await open_store()
        assert sorted(await store.agents.seen_since(0)) == rows

    async def test_only_a_newer_report_replaces_the_one_before(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.agents.note([row(1, NOW, report="1"), row(2, NOW, report="2")], 0, 9)
        await store.agents.note([row(1, NOW + 5, report="new"), row(2, NOW - 5, run="b", report="old")], 0, 9)
        assert sorted(await store.agents.seen_since(0)) == [row(1, NOW + 5, report="new"), row(2, NOW, report="2")]

    async def test_missing_points_stay_for_a_run_and_end_with_it(self, open_store: OpenStore) -> None:
        store = await open_store()
        for number, missing in enumerate((5, 3, 7, 0)):
            await store.agents.note([row(1, NOW + number, missing=missing)], 0, 9)
        assert await store.agents.seen_since(0) == [row(1, NOW + 3, missing=7)]
        await store.agents.note([row(1, NOW + 4, run="b", missing=0)], 0, 9)
        assert await store.agents.seen_since(0) == [row(1, NOW + 4, run="b")]

    async def test_only_newer_rows_are_read(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.agents.note([row(number, NOW + number) for number in range(5)], 0, 9)
        assert sorted(await store.agents.seen_since(NOW + 3)) == [row(3, NOW + 3), row(4, NOW + 4)]

    async def test_old_rows_and_the_oldest_over_the_limit_are_removed(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.agents.note([row(number, NOW + number) for number in range(2_005)], NOW + 3, 9)
        assert sorted(await store.agents.seen_since(0)) == [row(number, NOW + number) for number in range(1_996, 2_005)]
        await store.agents.note([], NOW + 2_000, 9)
        assert len(await store.agents.seen_since(0)) == 5
