"""Lines with several values and types: each value counts or is dropped by itself, in both cores."""

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.ledger import Ledger
from protocol.numbers import units_to_text
from tests.agent.cores import each_core

Row = tuple[str, str, str, str]
"""Name, what it was, its sum, and how many samples."""

LINES: list[tuple[bytes, list[Row], dict[str, int]]] = [
    (b"a:1|c:2|c", [("a", "counter", "3", "2")], {}),
    (b"foo:200|ms:300|ms:5|c|@0.1", [("foo", "counter", "50", "1"), ("foo", "timing", "500", "2")], {}),
    (b"a:0|ms|:1|ms", [("a", "timing", "1", "2")], {}),
    (b"a:1|c|@0.5:3|c", [("a", "counter", "5", "2")], {}),
    (b"a:1:2|ms:3|ms", [("a", "timing", "6", "3")], {}),
    (b"a:1|g:+2|g:-5|g", [("a", "gauge", "-2", "3")], {}),
    (b"a:1|s:2|c", [("a", "counter", "2", "1"), ("a", "set", "1", "1")], {}),
    (b"a:1|c|x:2|c", [("a", "counter", "3", "2")], {}),
    (b"a:1::2|ms", [("a", "timing", "3", "2")], {"no_value": 1}),
    (b"a:1:2:|ms", [("a", "timing", "3", "2")], {"no_value": 1}),
    (b"a:::1|c", [("a", "counter", "1", "1")], {"no_value": 2}),
    (b"a:1:two:3:x|ms", [("a", "timing", "4", "2")], {"bad_number": 2}),
    (b"a:1:x|g", [("a", "gauge", "1", "1")], {"bad_number": 1}),
    (b"a:1|c:2", [("a", "counter", "1", "1")], {"no_type": 1}),
    (b"a:1|c|:2", [("a", "counter", "1", "1")], {"no_type": 1}),
    (b"a:1|q:2|c", [("a", "counter", "2", "1")], {"unknown_type": 1}),
    (b"a:1|c:x|c:3|ms", [("a", "counter", "1", "1"), ("a", "timing", "3", "1")], {"bad_number": 1}),
    (b"a:1:2|c|@5:3|c", [("a", "counter", "3", "1")], {"bad_rate": 2}),
    (b":1:2|c:3|ms", [], {"bad_name": 3}),
    (b"a:x:y|s|@2", [], {"bad_rate": 1}),
    (b"!!:x:y|s|@2", [], {"bad_name": 1}),
    (b"!!:x:y|s", [], {"bad_name": 1}),
    (b"!!:1:2|c|@2", [], {"bad_name": 2}),
    (b"!!:1:2|c|@.1|@.1", [], {"bad_name": 2}),
    (b"!!:1:2|zz|@2", [], {"bad_name": 1}),
    (b"a:x:y|s|@.1|@.1\na:1:2|c|@.1|@.1", [], {"duplicate_rate": 3}),
    (b"a:x:y|s|@2\na:1:2|g|@2", [], {"bad_rate": 3}),
    (b"a:1:2:3|x", [], {"unknown_type": 1}),
    (b"_e{1,1}:a:b|c:1|c", [], {"event": 1}),
    (b"a:1|c|#t:1|c", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|c:ab12", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|x:new", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|x:new|c:ab12", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|c:|c:ab12", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|c:x|c:x|c", [("a", "counter", "1", "1")], {}),
    (b"a:1|c|e:it-false,cn-web|c:ab12|card:low", [("a", "counter", "1", "1")], {}),
]


def counts(core: MaybeCore, text: bytes) -> tuple[list[Row], dict[str, int], Ledger]:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(text)
    aggregator.settle()
    assert ledger.balance() == 0
    rows = [
        (item.name, sent_as, units_to_text(item.value), str(samples))
        for item, samples, sent_as in aggregator.close(0).items
    ]
    return sorted(rows), dict(ledger.dropped), ledger


@each_core
@pytest.mark.parametrize(("line", "rows", "drops"), LINES, ids=[line.decode() for line, _, _ in LINES])
def test_each_value_counts_or_is_dropped_by_itself(
    core: MaybeCore, line: bytes, rows: list[Row], drops: dict[str, int]
) -> None:
    assert counts(core, line)[:2] == (rows, drops)
    _, many, ledger = counts(core, b"\n".join([line] * 100))
    assert many == {reason: 100 * count for reason, count in drops.items()}
    assert ledger.received == 100 * (sum(int(row[3]) for row in rows) + sum(drops.values()))


@each_core
def test_gauges_in_pieces_keep_the_order_of_the_lines(core: MaybeCore) -> None:
    rows, _, _ = counts(core, b"a:1|g:+1|g\na:5|g\na:+2|g:+3|g\na:+4|g")
    assert rows == [("a", "gauge", "14", "6")]
