"""The key, given or in a file."""

from pathlib import Path

import pytest

from agent.forward.api_key import ApiKey, BadKeyError
from tests.agent.fakes import KEY


def test_a_given_key() -> None:
    key = ApiKey(KEY, None)
    assert key.value == KEY
    assert not key.try_reread()


def test_a_key_in_a_file_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert ApiKey(None, tmp_path / "key").value == KEY


def test_a_rotated_key_is_found(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    key = ApiKey(None, file)
    assert not key.try_reread()
    file.write_text("new")
    assert key.try_reread()
    assert key.value == "new"
    assert not key.try_reread()
    file.write_text("")
    assert not key.try_reread()
    assert key.value == "new"


@pytest.mark.parametrize("content", [b"", b"two words", b"a\nb", "schlüssel".encode(), b"\x00", b"k" * 513])
def test_a_file_without_a_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadKeyError, match="API_KEY_FILE") as caught:
        ApiKey(None, tmp_path / "key")
    assert not content or content.decode() not in str(caught.value)


def test_no_key_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadKeyError, match="fiesta-central keys create"):
        ApiKey(None, None)
    with pytest.raises(BadKeyError, match="No such file"):
        ApiKey(None, tmp_path / "nowhere")
    with pytest.raises(BadKeyError, match="API_KEY must hold"):
        ApiKey("a b", None)
