"""docs/statsd.md says of each of its lines what the parser says."""

import re

import pytest

from protocol.statsd import TYPES, Sample, parse_line
from tests.doc_pages import ROOT, blocks

LINES = [
    re.split(r" {2,}", line)
    for block in blocks("docs/statsd.md")
    if block.language == "statsd"
    for line in block.text.splitlines()
]


def in_words(line: str) -> str:
    samples, lost = parse_line(line.encode())
    return "; ".join([*map(sample_in_words, samples), *lost])


def sample_in_words(sample: Sample) -> str:
    notes = f" ({', '.join(sample.notes)})" if sample.notes else ""
    tags = f" {{{sample.tags}}}" if sample.tags else ""
    time = f" at {sample.timestamp}" if sample.timestamp is not None else ""
    rate = f", rate {sample.rate}" if sample.rate != 1 else ""
    return f"{sample.type} {sample.name}: {values(sample)}{rate}{tags}{time}{notes}"


def values(sample: Sample) -> str:
    if sample.member is not None:
        return sample.member.decode()
    plus = "+" if sample.type == "gauge" else ""
    return "= " * sample.absolute + " ".join(
        f"{plus if value.signed and value.number >= 0 else ''}{value.number.normalize():f}" for value in sample.values
    )


@pytest.mark.parametrize(("line", "meaning"), LINES, ids=[line for line, _ in LINES])
def test_the_page_agrees_with_the_parser(line: str, meaning: str) -> None:
    assert meaning == in_words(line)


def test_the_page_shows_every_type_and_every_reason() -> None:
    shown = {line.split("|")[1].partition(":")[0] for line, meaning in LINES if ": " in meaning}
    assert shown == {kind.decode() for kind in TYPES}
    reasons = {meaning for _, meaning in LINES if ": " not in meaning}
    source = (ROOT / "protocol" / "statsd.py").read_text()
    listed = re.search(r"^Reason = Literal\[(.+?)\]", source, re.DOTALL | re.MULTILINE)
    assert listed
    assert reasons == set(re.findall(r'"(\w+)"', listed[1]))
