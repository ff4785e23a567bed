"""central/commands/progress.py: shown on a terminal and removed afterwards; nothing is shown elsewhere."""

import io

from rich.console import Console

from central.commands.progress import copying, stepping, working


def terminal(*, person: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=person, width=100), text


def test_a_person_sees_what_is_done() -> None:
    console, text = terminal(person=True)
    with working("migrating", console):
        pass
    assert "migrating" in text.getvalue()


def test_a_person_sees_which_step_of_how_many() -> None:
    console, text = terminal(person=True)
    with stepping("migrating", console) as tell:
        tell("0001_first", 1, 2)
        tell("0002_second", 2, 2)
    assert "migrating 0002_second" in text.getvalue()
    assert "1/2" in text.getvalue()


def test_a_log_gets_a_plain_line_a_step() -> None:
    console, text = terminal(person=False)
    with stepping("migrating", console) as tell:
        tell("0001_first", 1, 2)
        tell("0002_second", 2, 2)
    assert text.getvalue() == "migrating 1 of 2: 0001_first\nmigrating 2 of 2: 0002_second\n"


def test_a_person_sees_how_much_is_copied() -> None:
    console, text = terminal(person=True)
    with copying(2_000, console) as tell:
        tell(500)
        tell(1_500)
    assert "2.0/2.0 kB" in text.getvalue()


def test_a_size_that_nobody_promised_is_no_fault() -> None:
    console, text = terminal(person=True)
    with copying(None, console) as tell:
        tell(500)
    assert "500" in text.getvalue()


def test_a_log_gets_nothing() -> None:
    console, text = terminal(person=False)
    with working("migrating", console), copying(10, console) as tell:
        tell(10)
    assert text.getvalue() == ""
