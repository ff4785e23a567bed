"""Which stream the journal reads, as systemd says it."""

import pytest

from runtime.systemd import journal_reads, mark


@pytest.mark.parametrize(
    ("environ", "reads"),
    [
        ({"JOURNAL_STREAM": "8:1234"}, True),
        ({"JOURNAL_STREAM": "8:123"}, False),
        ({"JOURNAL_STREAM": "9:1234"}, False),
        ({"JOURNAL_STREAM": ""}, False),
        ({}, False),
    ],
)
def test_the_journal_reads_the_stream_that_it_was_connected_to_and_no_other(
    environ: dict[str, str], reads: bool
) -> None:
    assert journal_reads(environ, 8, 1234) is reads


def test_a_mark_is_the_number_that_syslog_has_for_the_level() -> None:
    assert [mark(level) for level in ("critical", "error", "warning", "info")] == ["<2>", "<3>", "<4>", "<6>"]
