"""runtime/settings.py: where a value comes from, and what each fault is called, with a program of three settings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from runtime import setting_rules as rules
from runtime.settings import Naming, SettingsError, load, settings_of

NAMING = Naming("TOY_", without_prefix=("db_",), of_others=frozenset({"TOY_CLIENT"}), secret_files=True)
ONE, LOW = "is not a setting", "must be a whole number from 1 to 9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    size: Annotated[int, rules.whole(1, 9), "How large it is."] = 5
    db_host: Annotated[str, rules.text, "Where the database is."] = "here"
    word: Annotated[str | None, rules.one_of("open", "sesame"), "What opens the door."] = field(
        default=None, repr=False
    )


def check(toy: Toy) -> Iterator[str]:
    if toy.size == 9 and toy.db_host == "here":
        yield "TOY_SIZE is 9, which does not fit here"


def toy(environ: dict[str, str], config: Path | None = None, naming: Naming = NAMING) -> Toy:
    return load(Toy, naming, environ, config=config, check=check)


def faults(environ: dict[str, str], config: Path | None = None, naming: Naming = NAMING) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        toy(environ, config, naming)
    return str(caught.value).split("\n")


def test_a_field_gives_its_name_rule_and_default() -> None:
    size, host, word = settings_of(Toy, NAMING).values()
    assert (size.variables, size.about, size.default, size.secret) == (("TOY_SIZE",), "How large it is.", 5, False)
    assert host.variables == ("DB_HOST",)
    assert (word.variables, word.secret) == (("TOY_WORD", "TOY_WORD_FILE"), True)
    assert settings_of(Toy, Naming("T_"))["word"].variables == ("T_WORD",)


@pytest.mark.parametrize(
    ("environ", "file", "made"),
    [
        ({}, "", Toy()),
        ({"TOY_SIZE": "", "TOY_NONE": "", "OTHER": "1", "TOY_CLIENT": "1", "DB_OTHER": "1"}, "", Toy()),
        ({"TOY_SIZE": "3", "DB_HOST": "there"}, "", Toy(size=3, db_host="there")),
        ({}, "size = 2\nword = 'open'", Toy(size=2, word="open")),
        ({"TOY_SIZE": "3"}, "size = 2", Toy(size=3)),
        ({"TOY_SIZE": "3"}, "size = 'wrong, and not asked for'", Toy(size=3)),
        ({"TOY_SIZE": "9", "DB_HOST": "there"}, "", Toy(size=9, db_host="there")),
    ],
)
def test_a_variable_overrides_the_file_and_the_file_the_default(
    tmp_path: Path, environ: dict[str, str], file: str, made: Toy
) -> None:
    config = tmp_path / "toy.toml"
    config.write_text(file)
    assert toy(environ, config) == made


@pytest.mark.parametrize(
    ("environ", "listed"),
    [
        ({"TOY_SIZE": "0"}, [f"TOY_SIZE is '0'; it {LOW}"]),
        ({"TOY_SIZE": "9"}, ["TOY_SIZE is 9, which does not fit here"]),
        ({"TOY_SIZ": "1"}, [f"TOY_SIZ {ONE}; did you mean TOY_SIZE?"]),
        ({"TOY_size": "1"}, [f"TOY_size {ONE}; did you mean TOY_SIZE?"]),
        ({"TOY_WORD_FILES": "1"}, [f"TOY_WORD_FILES {ONE}; did you mean TOY_WORD_FILE?"]),
        ({"TOY_DB_HOST": "there"}, [f"TOY_DB_HOST {ONE}; docs/settings.md lists them all; unset it"]),
        ({"TOY_SIZE_FILE": "x"}, [f"TOY_SIZE_FILE {ONE}; did you mean TOY_SIZE?"]),
        (
            {"TOY_WORD": "open", "TOY_WORD_FILE": "x"},
            ["TOY_WORD and TOY_WORD_FILE are both set; leave one of them out"],
        ),
        (
            {"TOY_ZZZ": "1", "TOY_SIZE": "9", "TOY_WORD": "shut"},
            [
                "TOY_WORD is 'shut'; it must be open or sesame",
                f"TOY_ZZZ {ONE}; docs/settings.md lists them all; unset it",
            ],
        ),
    ],
)
def test_every_fault_of_the_environment_is_named(environ: dict[str, str], listed: list[str]) -> None:
    assert faults(environ) == listed


def test_faults_of_file_and_environment_are_reported_together(tmp_path: Path) -> None:
    config = tmp_path / "toy.toml"
    config.write_text("size = true\nwords = 'open'\nzzz = 1")
    assert faults({"TOY_ZZZ": "1"}, config) == [
        f"TOY_ZZZ {ONE}; docs/settings.md lists them all; unset it",
        f"size (in {config}) is True; it {LOW}",
        f"words (in {config}) {ONE}; did you mean word?",
        f"zzz (in {config}) {ONE}; there are db_host, size, word",
    ]


@pytest.mark.parametrize(("held", "word"), [("open\n", "open"), ("sesame", "sesame"), ("\r\n", None), ("", None)])
def test_a_secret_may_be_in_a_file(tmp_path: Path, held: str, word: str | None) -> None:
    (tmp_path / "word").write_bytes(held.encode())
    made = toy({"TOY_WORD_FILE": str(tmp_path / "word")})
    assert made == Toy(word=word)
    assert "sesame" not in repr(made)


def test_a_secret_in_a_file_keeps_the_rule_of_the_secret(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("shut\n")
    given = {"TOY_WORD_FILE": str(tmp_path / "word")}
    assert faults(given) == ["TOY_WORD_FILE is 'shut'; it must be open or sesame"]
    without = faults(given, naming=Naming("TOY_"))
    assert without == [f"TOY_WORD_FILE {ONE}; did you mean TOY_WORD?"]
