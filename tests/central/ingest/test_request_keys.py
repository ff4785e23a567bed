"""central/ingest/submission.py: which requests count as the same, by key, header, path and body."""

import pytest

from central.errors import ApiError
from central.ingest.submission import request_key


def test_a_request_without_a_header_has_no_key() -> None:
    assert request_key(1, None, "/p", b"x") is None


@pytest.mark.parametrize(
    ("other", "same_id", "same_fingerprint"),
    [
        ((1, "k", "/p", b"x"), True, True),
        ((1, "k", "/q", b"x"), True, False),
        ((1, "k", "/p", b"y"), True, False),
        ((2, "k", "/p", b"x"), False, True),
        ((1, "K", "/p", b"x"), False, True),
    ],
)
def test_the_id_is_of_key_and_header_the_fingerprint_of_path_and_body(
    other: tuple[int, str, str, bytes], same_id: bool, same_fingerprint: bool
) -> None:
    one, two = request_key(1, "k", "/p", b"x"), request_key(*other)
    assert one is not None
    assert two is not None
    assert (len(one.id), len(one.fingerprint)) == (16, 16)
    assert (one.id == two.id, one.fingerprint == two.fingerprint) == (same_id, same_fingerprint)


def test_key_row_and_header_do_not_run_together() -> None:
    one, two = request_key(1, "11", "/p", b"x"), request_key(11, "1", "/p", b"x")
    assert one != two


@pytest.mark.parametrize("header", ["", "k" * 256, "ü", "a\nb", "\x7f"])
def test_a_bad_header_is_named(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        request_key(1, header, "/p", b"x")
    assert (caught.value.status, caught.value.details) == (400, {"field": "Idempotency-Key"})


@pytest.mark.parametrize("header", ["k", "k" * 255, " a ", "~!"])
def test_a_good_header_is_taken(header: str) -> None:
    assert request_key(1, header, "/p", b"x") is not None


BATCH = "/api/metrics/batch"
DRAWN = "c0ffee5eaf00d1234567890abcdef012"


@pytest.mark.parametrize(
    ("header", "path", "shared"),
    [
        (DRAWN, BATCH, True),
        (DRAWN + ".0", BATCH, True),
        (DRAWN + ".1.0.1", BATCH, True),
        ("0b5c3f0e-8a4d-4c9e-9b1f-2f6f1d7e8a90", BATCH, True),
        ("0B5C3F0E-8A4D-4C9E-9B1F-2F6F1D7E8A90", BATCH, True),
        (DRAWN, "/api/metrics/counter", True),
        ("1", "/api/metrics/counter", False),
        (DRAWN[:-1], BATCH, False),
        (DRAWN + ".2", BATCH, False),
        (DRAWN + "0", BATCH, False),
        ("1", BATCH, False),
        ("2026-02-15T00:00:00Z", BATCH, False),
        ("0" * 31 + "1", BATCH, False),  # counted up
        ("00000000-0000-0000-0000-000000000000", BATCH, False),
        ("12345671234567123456712345671234", BATCH, False),
    ],
)
def test_a_key_drawn_at_random_is_one_under_any_api_key(header: str, path: str, shared: bool) -> None:
    one, other, changed = (request_key(key, header, path, body) for key, body in ((1, b"x"), (2, b"x"), (1, b"y")))
    assert one is not None
    assert other is not None
    assert changed is not None
    assert (one.id == changed.id, one.id == other.id) == (True, False)
    assert (one.shared is not None, other.shared) == (shared, one.shared)
    assert not shared or changed.shared != one.shared
