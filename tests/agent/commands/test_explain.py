"""What a team reads before it moves: by kind, with numbers and examples."""

import socket
import threading

import pytest

from agent.commands.explain import Explanation, Kind, explain, lines_from_udp, render
from protocol.statsd_tags import TagMode, TagRules
from tests.ports import free_port

CLEANED = "characters are replaced by _ (/ by -)"


def found(*lines: str, tags: TagMode = "keep") -> dict[Kind, dict[str, int]]:
    """Counts by kind and the first words of each sentence."""
    explanation = explain((line.encode() for line in lines), Explanation(rules=TagRules(tags)))
    return {
        kind: {sentence.partition(":")[0]: finding.count for sentence, finding in findings.items()}
        for kind, findings in explanation.found.items()
        if findings
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a:1|c", "b:2|ms", "c:3|g", "d:x|s", ""], {}),
        (
            ["a/b:1|c", "a/b:1:2|c"],
            {"renamed": {CLEANED: 3}, "differs": {"packed values (1": 2}},
        ),
        (["a b:1|c", "a_b:1|c"], {"renamed": {CLEANED: 1}, "merged": {"names as sent become one": 2}}),
        (["a+b:1|c"], {"renamed": {CLEANED: 1}, "differs": {"names": 1}}),
        (["a:1|c|#k:v", "a:1|c|#k:w", "a;k=v:1|c"], {"differs": {"tags": 2}}),
        (
            ["a:1|c", "a:2|ms", "a:3|ms", "a:4|g"],
            {"clash": {"a timing of a name that is a counter": 2, "a gauge of a name that is a counter": 1}},
        ),
        (["a:1|x", "a:one|c"], {"refused": {"unknown_type": 1, "bad_number": 1}, "differs": {"unknown types": 1}}),
        (["a:-1|ms"], {"differs": {"negative timings": 1}}),
        (["a:1|ms|@0.1"], {"differs": {"sampled timings": 1}}),
        (["a:1|h", "a:1|d"], {"differs": {"histograms (h, d)": 2}}),
        (["a:-7|g"], {"differs": {"signed gauges": 1}}),
        (["a:1|c|T12"], {"differs": {"times (|T)": 1}}),
        (["a:1:2|g|c:ab", "b:1|c|e:x|card:low"], {"differs": {"origins (|c, |e, |card)": 3, "packed values (1": 2}}),
        (["_e{1,1}:a|b"], {"refused": {"event": 1}}),
    ],
)
def test_differences_from_statsd_are_found_and_counted(lines: list[str], expected: dict[Kind, dict[str, int]]) -> None:
    assert found(*lines) == expected


@pytest.mark.parametrize(("tags", "merged"), [("keep", False), ("append", False), ("drop", True)])
def test_only_dropped_tags_merge_names(tags: TagMode, merged: bool) -> None:
    assert ("merged" in found("a:1|c|#k:v", "a:1|c|#k:w", tags=tags)) is merged


def test_the_text_begins_with_the_most_frequent_and_has_few_examples() -> None:
    lines = [b"a%d b:1|c" % number for number in range(10)] + [b"n:-1|ms"]
    text = render(explain(lines, Explanation()))
    assert text.startswith("11 lines: 11 values count, 0 are refused\n")
    assert text.count("e.g. 'a") == 3
    assert "          10  characters are replaced" in text
    assert render(explain([], Explanation())).endswith("nothing is renamed, merged, refused or different from statsd")


def test_lines_are_read_from_a_port_until_the_time_is_over() -> None:
    port, now = free_port(), iter([0.0, 1.0, 2.0, 99.0])
    bound, taken = threading.Event(), []

    def clock() -> float:
        bound.set()
        return next(now)

    def send() -> None:
        assert bound.wait(30)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"a:1|c\nb:1|c", ("127.0.0.1", port))
            client.sendto(b"c:1|c", ("127.0.0.1", port))

    sender = threading.Thread(target=send)
    sender.start()
    taken = list(lines_from_udp("127.0.0.1", port, 60, clock))
    sender.join()
    assert taken == [b"a:1|c", b"b:1|c", b"c:1|c"]
