"""runtime/terminal_line.py: what a person at a terminal sees of a log."""

import io
import os
import pty
from datetime import datetime
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

import pytest

from runtime.terminal_line import TerminalLine, columns_of, folded, wants_colour

NOW = datetime(2026, 2, 15, 14, 3, 7)


@pytest.mark.parametrize(
    ("program", "level", "event", "fields", "line"),
    [
        ("agent", "warning", "hold", {"message": "the key is refused"},
         "14:03:07 warning agent   hold                   the key is refused"),
        ("central", "info", "serving", {"host": "127.0.0.1", "port": 8080, "tls": None},
         "14:03:07 info    central serving                host=127.0.0.1 port=8080 tls=none"),
        ("central", "error", "x", {"text": "two words", "none": ""},
         "14:03:07 error   central x                      text='two words' none=''"),
        ("central", "info", "x", {"yes": True, "no": False, "scopes": ["in", "a b"], "names": ("shop.",), "tags": []},
         "14:03:07 info    central x                      yes=true no=false scopes=in,'a b' names=shop. tags=-"),
        ("agent", "info", "stopped", {}, "14:03:07 info    agent   stopped"),
        ("agent", "info", "e" * 40, {"message": "m"}, f"14:03:07 info    agent   {'e' * 40} m"),
        ("agent", "info", "a\x1b[2J", {"message": "b\nc\u202e", "d": "e\rf"},
         r"14:03:07 info    agent   a\x1b[2J               b\nc\u202e d=e\rf"),
    ],
)  # fmt: skip
def test_a_line_is_aligned_and_stays_one_line(
    program: str, level: str, event: str, fields: dict[str, object], line: str
) -> None:
    assert TerminalLine(program, colour=False).make(NOW, level, event, fields) == line


def test_colours_change_no_letter() -> None:
    coloured = TerminalLine("agent", colour=True).make(NOW, "error", "hold", {"message": "m", "a": 1})
    assert coloured.startswith("\x1b[2m14:03:07\x1b[0m \x1b[1;31merror")
    for code in ("2", "1", "1;31"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    plain = TerminalLine("agent", colour=False).make(NOW, "error", "hold", {"message": "m", "a": 1})
    assert coloured.replace("\x1b[0m", "") == plain


@pytest.mark.parametrize(
    ("environ", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_out_where_nobody_wants_them(environ: dict[str, str], colour: bool) -> None:
    assert wants_colour(environ) == colour


START = f"14:03:07 info    central {'serving':<22}"
UNDER = " " * 27


@pytest.mark.parametrize(
    ("columns", "words", "lines"),
    [
        (0, "a " * 60 + "b", [f"{START} {'a ' * 60}b"]),
        (59, "a " * 60 + "b", [f"{START} {'a ' * 60}b"]),
        (80, "x" * 32, [f"{START} {'x' * 32}"]),
        (80, "x" * 33, [START.rstrip(), UNDER + "x" * 33]),
        (80, f"{'x' * 30} y {'z' * 53} end", [f"{START} {'x' * 30} y", UNDER + "z" * 53, f"{UNDER}end"]),
        (80, "x" * 99 + " end", [START.rstrip(), UNDER + "x" * 99, f"{UNDER}end"]),
        (60, "a  b 'c d e f g'", [f"{START} a  b 'c d e", f"{UNDER}f g'"]),
    ],
)
def test_a_line_ends_where_the_terminal_does(columns: int, words: str, lines: list[str]) -> None:
    assert folded(f"{START} {words}", columns).split("\n") == lines


def test_colours_take_no_room() -> None:
    fields = {f"name{at}": "value" for at in range(20)}
    plain, coloured = (TerminalLine("central", colour=on).make(NOW, "info", "e", fields) for on in (False, True))
    sizes = [[len(line.split("name")) for line in folded(text, 80).split("\n")] for text in (plain, coloured)]
    assert sizes[0] == sizes[1]
    assert max(len(line) for line in folded(plain, 80).split("\n")) <= 80


def test_a_terminal_says_its_columns_and_anything_else_has_none() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0), os.fdopen(theirs, "w") as terminal:
        for columns in (80, 132):  # a person makes the window wider
            ioctl(ours, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
            assert columns_of(terminal) == columns
    with Path(os.devnull).open("w") as nowhere:
        assert [columns_of(nowhere), columns_of(io.StringIO())] == [0, 0]
