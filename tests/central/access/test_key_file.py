"""central/access/key_file.py: one key, one private file."""

import os
import stat
from pathlib import Path

from central.access.key_file import read_key, write_key


def test_a_key_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.key"
    (tmp_path / "some.key.tmp").write_text("left over")
    for key in ("gf_first", "gf_second"):
        write_key(path, key)
        assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["some.key"]  # noqa: PTH208
