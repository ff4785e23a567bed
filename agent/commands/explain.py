"""`fiesta-agent explain`: what the agent would do differently from statsd with captured lines.

Only ``lines_from_udp`` does I/O. What it says about statsd was tried with statsd 0.9.0.
"""

import re
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from agent.commands.send_lines import ADVICE
from agent.receive.bad_lines import shown
from agent.receive.gauge_signs import GaugeSign
from protocol.statsd import KEEP, ORIGIN, TYPES, MetricType, Sample, parse_line, pieces_of
from protocol.statsd_tags import TagMode, TagRules, tags_in_name
from protocol.statsd_types import name_of_clash

EXAMPLES: Final = 3
Kind = Literal["renamed", "merged", "clash", "refused", "differs"]
HEADINGS: Final[dict[Kind, str]] = {
    "renamed": "Renamed: the name has other characters than A-Z, a-z, 0-9, '.', '_' and '-'",
    "merged": "Merged: several names or tags become one name",
    "clash": "Longer names: one name has several types; the first type that comes keeps it",
    "refused": "Refused: dropped, and counted by reason",
    "differs": "Different from statsd 0.9.0",
}
_ORIGIN_HERE: Final = "origins (|c, |e, |card): ignored here; statsd refuses the line"
_TAGS_HERE: Final[dict[TagMode, str]] = {
    "keep": "kept beside the name",
    "drop": "dropped",
    "append": "added to the name",
}
_TIMINGS_HERE: Final = frozenset({b"h", b"d"})
_STATSD_BLANKS: Final = re.compile(r"\s+")
_STATSD_DELETES: Final = re.compile(r"[^a-zA-Z_\-0-9.;=]")
_SECONDS_PER_READ: Final = 0.2


@dataclass
class Effect:
    """What happens to some lines: how many values, and a few examples."""

    count: int = 0
    examples: dict[str, None] = field(default_factory=dict)

    def add(self, example: str, count: int = 1) -> None:
        """Count values, and store the example when it is one of the first."""
        self.count += count
        if len(self.examples) < EXAMPLES:
            self.examples[example] = None


class Explanation:
    """The findings in all lines given to ``add``. ``found`` has them by kind and sentence."""

    def __init__(self, prefix: str = "", rules: TagRules = KEEP, gauges: GaugeSign = "delta") -> None:
        self.lines = 0
        self.values = 0
        self.lost = 0
        self.found: dict[Kind, defaultdict[str, Effect]] = {kind: defaultdict(Effect) for kind in HEADINGS}
        self._prefix = prefix
        self._rules = rules
        self._deltas = gauges == "delta"
        self._types: dict[str, dict[MetricType, int]] = {}
        self._sent: dict[str, dict[str, int]] = {}

    def add(self, line: bytes) -> None:
        """Take one line. An empty line is ignored."""
        samples, lost = parse_line(line, self._prefix, self._rules)
        if not samples and not lost:
            return
        self.lines += 1
        self.lost += len(lost)
        for reason in lost:
            self.found["refused"][f"{reason}: {ADVICE[reason]}"].add(shown(line))
        raw, _, rest = line.removesuffix(b"\r").partition(b":")
        pieces = pieces_of(rest)
        if samples or "unknown_type" in lost:
            self._add_types(line, {tail.partition(b"|")[0] for _, tail in pieces})
        text = raw.decode("utf-8", "backslashreplace")
        fields = [field for _, tail in pieces for field in tail.split(b"|")[1:]]
        tags = b"".join(field for field in fields if field.startswith(b"#"))
        origin = any(field.startswith(ORIGIN) for field in fields)
        for sample in samples:
            count = len(sample.values) or 1
            self.values += count
            if "name_cleaned" in sample.notes:
                self.found["renamed"]["characters are replaced by _ (/ by -)"].add(f"{text!r} -> {sample.name}", count)
            types = self._types.setdefault(sample.name, {})
            types[sample.type] = types.get(sample.type, 0) + count
            sent = self._sent.setdefault(sample.name, {})
            name = self._name_as_sent(text, tags)
            if name in sent or len(sent) <= EXAMPLES:
                sent[name] = sent.get(name, 0) + count
            for sentence in self._differs(text, tags, sample, several=rest.partition(b"|")[0].count(b":") > 0):
                self.found["differs"][sentence].add(shown(line), count)
            if origin:
                self.found["differs"][_ORIGIN_HERE].add(shown(line), count)

    def _name_as_sent(self, text: str, tags: bytes) -> str:
        """The name as sent, by which ``close`` sees that several become one. With the tags, if the agent drops them."""
        if self._rules.mode == "drop":
            return text + tags.decode("utf-8", "backslashreplace")
        return tags_in_name(text)[0] if self._rules.mode == "keep" else text

    def _add_types(self, line: bytes, types: set[bytes]) -> None:
        """How statsd counts the types of a line. It counts unknown types as counters."""
        if types & _TIMINGS_HERE:
            self.found["differs"]["histograms (h, d): timings here; statsd counts them as counters"].add(shown(line))
        if any(kind and kind not in TYPES for kind in types):
            self.found["differs"]["unknown types: refused here; statsd counts them as counters"].add(shown(line))

    def close(self) -> None:
        """Add the findings that need all lines: names that become one name, and names with several types."""
        for name, sent in self._sent.items():
            if len(sent) > 1:
                names = ", ".join(map(repr, list(sent)[:EXAMPLES]))
                self.found["merged"]["names as sent become one"].add(f"{names} -> {name}", sum(sent.values()))
        for name, types in self._types.items():
            first, *others = types
            for other in others:
                longer = name_of_clash(name, other)
                sentence = f"a {other} of a name that is a {first}"
                self.found["clash"][sentence].add(f"{name} -> {longer or 'nowhere: it is too long'}", types[other])

    def _differs(self, name: str, tags: bytes, sample: Sample, *, several: bool) -> Iterator[str]:
        if tags:
            yield f"tags: {_TAGS_HERE[self._rules.mode]} here; statsd keeps them in the name as Graphite's (;key=value)"
        if _statsd_name(name) != sample.name.removeprefix(self._prefix) and "name_cleaned" in sample.notes:
            yield "names: statsd deletes the characters that are replaced here"
        if sample.type == "timing" and sample.rate != 1:
            yield "sampled timings: the sum is scaled by the rate here; statsd scales only the count"
        if sample.type == "timing" and any(value.number < 0 for value in sample.values):
            yield "negative timings: counted here; statsd refuses them"
        if several and sample.type != "set":
            yield "packed values (1:2:3|ms): each counts here; statsd takes the last one"
        if sample.type == "gauge" and any(value.signed for value in sample.values):
            if self._deltas and not sample.absolute:
                yield "signed gauges: deltas here and in statsd; a Datadog client means values (FIESTA_AGENT_GAUGES)"
            else:
                yield "signed gauges: the value itself here; a delta in statsd"
        if "unknown_field" in sample.notes:
            yield "unknown fields: ignored here; statsd refuses the line"
        if sample.timestamp is not None:
            yield "times (|T): the value counts at that time here; statsd refuses the line"


def render(explanation: Explanation) -> str:
    """The findings as text for a person, by kind and count."""
    total = f"{explanation.lines:,} lines: {explanation.values:,} values count, {explanation.lost:,} are refused"
    lines = [total]
    for kind, findings in explanation.found.items():
        if not findings:
            continue
        lines += ["", HEADINGS[kind]]
        for sentence, finding in sorted(findings.items(), key=lambda entry: -entry[1].count):
            lines.append(f"{finding.count:>12,}  {sentence}")
            lines += [f"{'':>14}e.g. {example}" for example in finding.examples]
    if len(lines) == 1:
        lines += ["", "nothing is renamed, merged, refused or different from statsd"]
    return "\n".join(lines)


def lines_from_udp(host: str, port: int, seconds: float, clock: Callable[[], float]) -> Iterator[bytes]:
    """The lines of all datagrams that come to this address during ``seconds``. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.bind(address)
        sock.settimeout(_SECONDS_PER_READ)
        end = clock() + seconds
        while clock() < end:
            try:
                yield from sock.recv(65_536).split(b"\n")
            except TimeoutError:
                continue


def explain(lines: Iterable[bytes], explanation: Explanation) -> Explanation:
    """Add all lines, each without its newline, and close the explanation."""
    for line in lines:
        explanation.add(line)
    explanation.close()
    return explanation


def _statsd_name(name: str) -> str:
    return _STATSD_DELETES.sub("", _STATSD_BLANKS.sub("_", name).replace("/", "-"))
