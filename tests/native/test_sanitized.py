"""``make sanitize`` in short: the tables of the cores' tests and some rounds of the fuzzer, free of chance."""

from pathlib import Path

import pytest

from tests.native.build import compile_sanitized
from tests.native.run import FUZZER, TESTS, run_sanitized


@pytest.fixture(scope="module")
def cores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cores")
    compile_sanitized(folder)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [[*TESTS, "-m", "not hypothesis"], [*FUZZER, "--rounds", "120", "--seed", "0"]],
    ids=["the tables of the tests", "120 rounds of the fuzzer"],
)
def test_sanitizers_and_plain_python_find_nothing_in(arguments: list[str], cores: Path) -> None:
    code, said = run_sanitized(cores, *arguments)
    assert code == 0, said[-5_000:]
