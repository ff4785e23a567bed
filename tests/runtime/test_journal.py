"""Which stream the journal reads, as systemd says it."""

import io
import os
from pathlib import Path

import pytest

from runtime.systemd import journal_reads, mark


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("{device}:{inode}", True),
        ("{device}:1{inode}", False),
        ("1{device}:{inode}", False),
        ("", False),
        (None, False),
    ],
)
def test_the_journal_reads_only_the_stream_that_it_is_connected_to(
    tmp_path: Path, text: str | None, reads: bool
) -> None:
    with (tmp_path / "journal").open("w") as stream:
        found = os.fstat(stream.fileno())
        environ = {} if text is None else {"JOURNAL_STREAM": text.format(device=found.st_dev, inode=found.st_ino)}
        assert journal_reads(environ, stream) is reads
    assert not journal_reads(environ, stream), "a closed stream goes nowhere"


def test_a_stream_that_is_no_file_is_not_the_journal() -> None:
    assert not journal_reads({"JOURNAL_STREAM": "8:1234"}, io.StringIO())


def test_a_mark_has_the_syslog_number_of_the_level() -> None:
    assert [mark(level) for level in ("critical", "error", "warning", "info")] == ["<2>", "<3>", "<4>", "<6>"]
