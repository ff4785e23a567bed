"""Streams cut into lines, or into frames and then lines, wherever the network cuts them."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive.cutters import MAX_FRAME, MAX_LINE, Cutter, EitherCutter, FrameCutter, LineCutter

LONG = b"x" * (MAX_LINE + 1)
LONGEST = b"y" * MAX_LINE


def cut(*pushes: bytes) -> tuple[list[bytes], int, bytes]:
    """Lines, how many were too long, and what has no end yet."""
    cutter, lines = LineCutter(), []
    for data in pushes:
        for start in range(0, len(data), MAX_LINE):
            whole = cutter.push(data[start : start + MAX_LINE])
            lines += whole.split(b"\n") if whole else []
    too_long = len(cutter.lost)
    assert {one.reason for one in cutter.lost} <= {"line_too_long"}
    return lines, too_long, cutter.end(closed=True)


@pytest.mark.parametrize(
    ("pushes", "lines", "too_long", "rest"),
    [
        ([b"a:1|c\n"], [b"a:1|c"], 0, b""),
        ([b"a:1", b"|c\nb:2|c\nc"], [b"a:1|c", b"b:2|c"], 0, b"c"),
        ([b"a:1|c"], [], 0, b"a:1|c"),
        ([LONGEST + b"\n"], [LONGEST], 0, b""),
        ([LONG + b"\na:1|c\n"], [b"a:1|c"], 1, b""),
        ([LONG], [], 1, b""),
        ([LONG, LONG, LONG, b"\nb"], [], 1, b"b"),
        ([b"a:1|c\n" + LONG + b"\nb:1|c\n" + LONG], [b"a:1|c", b"b:1|c"], 2, b""),
        ([LONG + b"\n" + LONG + b"\n"], [], 2, b""),
    ],
)
def test_a_stream_is_cut_into_lines(pushes: list[bytes], lines: list[bytes], too_long: int, rest: bytes) -> None:
    assert cut(*pushes) == (lines, too_long, rest)


line_lengths = st.integers(0, 40) | st.integers(MAX_LINE - 2, MAX_LINE + 2) | st.integers(3 * MAX_LINE, 4 * MAX_LINE)


@given(st.lists(line_lengths, max_size=8), st.lists(st.integers(0, 200_000), max_size=6))
def test_lines_do_not_depend_on_where_the_network_cuts(lengths: list[int], cuts: list[int]) -> None:
    lines = [bytes([97 + index % 26]) * length for index, length in enumerate(lengths)]
    stream = b"".join(line + b"\n" for line in lines)
    edges = [0, *sorted(edge for edge in cuts if edge < len(stream)), len(stream)]
    found, too_long, rest = cut(*(stream[start:end] for start, end in pairwise(edges)))
    assert [line for line in found if line] == [line for line in lines if 0 < len(line) <= MAX_LINE]
    assert too_long == sum(len(line) > MAX_LINE for line in lines)
    assert rest == b""


def frame(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(4, "little") + text


def through(
    cutter: Cutter, stream: bytes, sizes: list[int], *, closed: bool = True
) -> tuple[list[bytes], dict[str, int]]:
    """Lines and losses of a stream that comes in reads of these sizes, over and over."""
    lines: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        lines += cutter.push(stream[at : at + size]).split(b"\n")
        at, turn = at + size, turn + 1
    lines += cutter.end(closed=closed).split(b"\n")
    lost: Counter[str] = Counter()
    for reason, count, sample in cutter.lost:
        assert sample
        lost[reason] += count
    return [line for line in lines if line], dict(lost)


MANY = b"\n".join(b"a:%d|c" % number for number in range(2_000))
FRAMES = [
    # stream | lines | lost
    (frame(b"a:1|c"), [b"a:1|c"], {}),
    (frame(b"a:1|c\nb:2|c\n") + frame(b"c:3|c"), [b"a:1|c", b"b:2|c", b"c:3|c"], {}),
    (frame(b"") + frame(b"a:1|c") + frame(b""), [b"a:1|c"], {}),
    (frame(b"x:1|c" * 2, 10), [b"x:1|cx:1|c"], {}),
    (frame(MANY), MANY.split(b"\n"), {}),
    (frame(b"a:1|c") + frame(b"b:2|c", 9), [b"a:1|c"], {"line_cut": 1}),
    (frame(b"a:1|c") + frame(b"b:2|c\nc", 9), [b"a:1|c", b"b:2|c"], {"line_cut": 1}),
    (frame(b"a:1|c") + b"\5\0", [b"a:1|c"], {"line_cut": 1}),
    (frame(b"a:1|c") + frame(b"", 5), [b"a:1|c"], {"line_cut": 1}),
    (frame(b"y" * (MAX_LINE + 1) + b"\na:1|c") + frame(b"b:1|c"), [b"a:1|c", b"b:1|c"], {"line_too_long": 1}),
    (frame(b"z" * 70_000) + frame(b"b:1|c"), [b"b:1|c"], {"frame_too_long": 1, "line_too_long": 1}),
    (frame(b"a:1|c\n" * 12_000) + frame(b"b:1|c"), [b"b:1|c"], {"frame_too_long": 12_000}),
    (frame(b"a:1|c\nb:1|c\nc:1", 1 << 31), [], {"frame_too_long": 2, "line_cut": 1}),
    (frame(b"", (1 << 32) - 1), [], {"frame_too_long": 1, "line_cut": 1}),
]


@pytest.mark.parametrize("sizes", [[1], [3, 1], [7], [MAX_LINE]])
@pytest.mark.parametrize(("stream", "lines", "lost"), FRAMES, ids=range(len(FRAMES)))
def test_a_stream_of_frames_is_cut_into_lines(
    stream: bytes, lines: list[bytes], lost: dict[str, int], sizes: list[int]
) -> None:
    assert through(FrameCutter(), stream, sizes) == (lines, lost)
    assert through(EitherCutter(), stream, sizes) == (lines, lost)


@pytest.mark.parametrize("sizes", [[1], [5], [MAX_LINE]])
@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a:1", [b"a:1"]),
        (b"\n\n\n", []),
        (b"a:1|c\nb:2|c", [b"a:1|c", b"b:2|c"]),
        (b"\n\r\n\na:1|c\n", [b"\r", b"a:1|c"]),
        ("größe:1|c\n".encode(), ["größe:1|c".encode()]),
        (b"\t\t\t\ta:1|c", [b"\t\t\t\ta:1|c"]),
    ],
)
def test_text_is_never_taken_for_frames(stream: bytes, lines: list[bytes], sizes: list[int]) -> None:
    assert through(EitherCutter(), stream, sizes) == (lines, {})


def test_half_a_line_is_lost_unless_the_client_closed() -> None:
    assert through(EitherCutter(), b"a:1|c\nb:", [4], closed=False) == ([b"a:1|c"], {"line_cut": 1})
    assert through(EitherCutter(), b"b:", [4], closed=False) == ([], {"line_cut": 1})


texts = st.lists(st.text(alphabet="ab:1|c\n", max_size=30).map(str.encode), max_size=8)


@given(texts, st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_lines_of_frames_do_not_depend_on_where_the_network_cuts(sent: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(map(frame, sent))
    lines = [line for text in sent for line in text.split(b"\n") if line]
    assert len(max(sent, default=b"")) < MAX_FRAME
    assert through(FrameCutter(), stream, sizes) == (lines, {})
