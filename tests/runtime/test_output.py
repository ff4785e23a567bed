"""Output that cannot be written ends a program with one line and the right exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = ("agent", "central")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_full_disk_is_one_line_and_exit_code_1(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "Error: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_reader_that_left_is_no_news(program: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


def test_bash_takes_the_script_that_completes() -> None:
    script = subprocess.run([sys.executable, "-m", "central", "completion", "bash"], stdout=subprocess.PIPE, check=True)
    subprocess.run(["bash", "-n"], input=script.stdout, check=True)
    assert b"fiesta-central" in script.stdout


def test_a_terminal_of_ascii_gets_escapes() -> None:
    code = "from runtime.output import careful_output\nwith careful_output():\n    print('h\u00e4fen')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "h\\xe4fen\n", "")
