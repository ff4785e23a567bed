"""runtime/addresses.py: hosts and ports as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.addresses import (
    from_this_host,
    is_host,
    is_ip,
    is_loopback,
    join_address,
    may_mean_loopback,
    split_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:65535", ("::1", 65_535)),
        ("name.example:0", ("name.example", 0)),
        ("web_1.internal.:8125", ("web_1.internal.", 8_125)),
    ],
)
def test_an_address_survives_the_round_trip(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address
    assert join_address(*address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "8080", ":8080", "host:", "host", "::1:8080", "[::1]", "[::g]:80", "[]:80", "[name]:80", "[127.0.0.1]"),
        *("127.0.0.1:65536", "127.0.0.1:80 ", " 127.0.0.1:80", "127.0.0.1:٨٠", "127.0.0.1:-1", "a..b:80", "-a:80"),
        *(f"{'a' * 64}:80", f"{'a.' * 127}:80", "http://a:80", "user@a:80", "a b:80", "a:80\n"),
    ],
)
def test_a_bad_address_raises_and_is_quoted_in_short(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port$") as caught:
        split_address(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("header", "own", "meant"),
    [
        *(("127.0.0.1", "127.0.0.1", True), ("127.0.0.1:8080", "127.0.0.1", True), ("[::1]:8080", "::1", True)),
        *(("[::1]", "127.0.0.1", True), ("::1", "127.0.0.1", True), ("10.0.0.7:80", "127.0.0.1", True)),
        *(("localhost", "127.0.0.1", True), ("LocalHost.:9126", "127.0.0.1", True), ("a.localhost", "::1", True)),
        *(("evil.example", "127.0.0.1", False), ("evil.example:8080", "127.0.0.1", False), ("", "127.0.0.1", False)),
        *(("127.0.0.1.nip.example", "127.0.0.1", False), ("notlocalhost", "127.0.0.1", False)),
        *(("localhost:80:evil.example", "127.0.0.1", False), ("[evil.example]:80", "127.0.0.1", False)),
    ],
)
def test_a_host_header_means_this_host_by_address_or_as_localhost(header: str, own: str, meant: bool) -> None:
    assert may_mean_loopback(header, own) is meant


@given(st.text())
def test_any_address_that_is_split_is_a_host_and_a_port(text: str) -> None:
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert is_host(host)
    assert 0 <= port <= 65_535


@pytest.mark.parametrize(
    ("text", "host", "ip", "loopback"),
    [
        ("127.0.0.1", True, True, True),
        ("127.9.9.9", True, True, True),
        ("::1", True, True, True),
        ("localhost", True, False, True),
        ("LOCALHOST", True, False, True),
        ("10.0.0.1", True, True, False),
        ("0.0.0.0", True, True, False),
        ("::", True, True, False),
        ("fe80::1", True, True, False),
        ("localhost.evil.example", True, False, False),
        ("db.internal", True, False, False),
        ("a" * 63, True, False, False),
        ("a" * 64, False, False, False),
        ("a..b", False, False, False),
        ("-a", False, False, False),
        ("a b", False, False, False),
        ("[::1]", False, False, False),
        ("::g", False, False, False),
        ("", False, False, False),
    ],
)
def test_which_texts_are_hosts(text: str, host: bool, ip: bool, loopback: bool) -> None:
    assert (is_host(text), is_ip(text), is_loopback(text)) == (host, ip, loopback)


@pytest.mark.parametrize(
    ("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("web1", "web1")]
)
def test_the_address_of_a_listener_for_a_program_on_this_host(host: str, reached: str) -> None:
    assert from_this_host(host) == reached
