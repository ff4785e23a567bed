"""runtime/terminal_line.py: what a person at a terminal sees of a log."""

from datetime import datetime

import pytest

from runtime.terminal_line import TerminalLine, wants_colour

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
