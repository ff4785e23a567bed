"""Histograms go to a service that takes them, and an older one gets the rest of the same batch under the same id."""

import json
from collections.abc import Callable

import pytest

from agent.aggregate.window import Window, WindowItem
from agent.forward.optional_fields import OptionalFields
from agent.forward.outcome import Reply
from agent.spool.batch import Batch, batches
from protocol.histogram import encode
from protocol.item import Item
from protocol.numbers import UNIT
from tests.agent.fakes import NETWORK, NOW, a_batch, ours, put, refused, stored
from tests.agent.ledgers import Bench

NEW, OLD = "histograms", None
FIELDS = {"name", "type", "value", "count", "min", "max", "recorded_at"}
"""Of an item, as a service of before knows them."""


def a_full_batch() -> Batch:
    timing = Item("a.histogram", "value", 3 * UNIT, NOW, 2 * UNIT, UNIT, 2 * UNIT, encode({924: UNIT, 1024: UNIT}))
    counter = WindowItem(Item("b", "counter", UNIT, NOW), 1, "counter")
    return next(iter(batches(Window(NOW - 10, [WindowItem(timing, 2, "timing"), counter]), lambda: "ab" * 16)))


class Service:
    """Stores each id once, as the service does. An old one refuses items with a field that it does not know."""

    def __init__(self, bench: Bench, version: str | None) -> None:
        self.version = version
        self.bodies: dict[str, bytes] = {}
        self.rejected = 0
        self.first_answer = Reply(0)
        self._bench = bench
        bench.central.health_answer = lambda: self._says(ours(200, {"success": True}, bench.central.now()))

    def answer(self, batch_id: str, body: bytes) -> Reply:
        metrics = json.loads(body)["metrics"]
        if batch_id in self.bodies:
            same = self.bodies[batch_id] == body
            return self._says(self.first_answer if same else refused(400, "IDEMPOTENCY_KEY_REUSED"))
        known = FIELDS | ({"histogram"} if self.version else set())
        bad = [(index, "VALIDATION_ERROR") for index, item in enumerate(metrics) if item.keys() - known]
        self.rejected += len(bad)
        self.bodies[batch_id] = body
        self.first_answer = stored(len(metrics), bad, self._bench.central.now())
        return self._says(self.first_answer)

    def _says(self, answer: Reply) -> Reply:
        return answer._replace(accepts=self.version)

    def lost(self, batch_id: str, body: bytes) -> Reply:
        """Store it; the answer does not arrive."""
        self.answer(batch_id, body)
        raise NETWORK


def has_histograms(body: bytes) -> bool:
    return b'"histogram":"' in body


@pytest.mark.parametrize(("version", "sent"), [(NEW, True), (OLD, False), ("tags", False), ("tags, histograms", True)])
async def test_the_first_batch_has_what_the_service_takes(bench: Bench, version: str | None, sent: bool) -> None:
    service, batch = Service(bench, version), a_full_batch()
    await put(bench.spool, bench.ledger, batch)
    bench.central.answers = [service.answer]
    await bench.until_empty()
    assert bench.central.asked == ["health", batch.id]
    assert has_histograms(service.bodies[batch.id]) == sent
    assert (bench.ledger.acknowledged, service.rejected) == (3, 0)


@pytest.mark.parametrize(("before", "after"), [(OLD, NEW), (NEW, OLD)])
async def test_a_service_that_was_replaced_while_an_answer_was_lost(
    bench: Bench, before: str | None, after: str | None
) -> None:
    """The batch is stored once, in the form of its first attempt."""
    service, batch = Service(bench, before), a_full_batch()
    await put(bench.spool, bench.ledger, batch)

    def replaced(batch_id: str, body: bytes) -> Reply:
        service.version = after
        return service._says(refused(503, "SERVICE_UNAVAILABLE", bench.central.now()))

    answers: list[Callable[[str, bytes], Reply]] = [service.lost, replaced, service.answer, service.answer]
    bench.central.answers = [*answers]
    await bench.until_empty()
    assert list(service.bodies) == [batch.id]
    assert has_histograms(service.bodies[batch.id]) == (before is NEW)
    assert (bench.ledger.acknowledged, service.rejected, bench.ledger.balance()) == (3, 0, 0)


async def test_an_id_that_was_used_for_another_batch_is_a_dead_letter(bench: Bench) -> None:
    await put(bench.spool, bench.ledger, a_full_batch())
    bench.central.answers = [refused(400, "IDEMPOTENCY_KEY_REUSED")] * 2
    await bench.until_empty()
    assert bench.ledger.dropped == {"dead_letter": 3}


async def test_an_answer_of_somebody_else_says_nothing_about_the_service(bench: Bench) -> None:
    service, batch = Service(bench, NEW), a_full_batch()
    await put(bench.spool, bench.ledger, batch)
    bench.central.answers = [Reply(502, "text/html", b"<html>", accepts=None), service.answer]
    await bench.until_empty()
    assert has_histograms(service.bodies[batch.id])


def test_the_forms_of_a_batch_differ_in_the_field_alone() -> None:
    optional, batch = OptionalFields(), a_full_batch()
    plain, full = optional.forms(batch)
    assert full == batch
    assert plain._replace(items=full.items) == full
    items = json.loads(full.body())["metrics"]
    assert json.loads(plain.body())["metrics"] == [
        {field: item[field] for field in item if field != "histogram"} for item in items
    ]
    optional.learn("histograms")
    assert list(optional.forms(batch)) == [full, plain]
    assert list(optional.forms(a_batch())) == [a_batch()]


@pytest.mark.parametrize("tags", ["env:prod", 'path:"},"value":1', "slash:\\\\", "empty:", "a:{},b:}"])
def test_tags_are_left_out_whatever_their_text(tags: str) -> None:
    optional, item = OptionalFields(), Item("a", "counter", UNIT, NOW)
    (plain,) = batches(Window(NOW, [WindowItem(item, 1, "counter")]), lambda: "ab" * 16)
    (full,) = batches(Window(NOW, [WindowItem(item._replace(tags=tags), 1, "counter")]), lambda: "ab" * 16)
    assert "tags" in json.loads(full.body())["metrics"][0]
    assert list(optional.forms(full)) == [plain, full]
    optional.learn("histograms, tags")
    assert list(optional.forms(full)) == [full, plain]
