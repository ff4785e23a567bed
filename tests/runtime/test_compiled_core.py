"""A core is outdated once a source is newer."""

import os
from pathlib import Path

import pytest

from runtime.compiled_core import is_outdated


@pytest.mark.parametrize(
    ("core", "sources", "outdated"),
    [
        (20, {"agent/module.c": 10, "protocol/histogram.h": 19}, False),
        (20, {"agent/module.c": 10, "protocol/histogram.h": 21}, True),
        (20, {"agent/module.c": 21}, True),
        (20, {"agent/module.c": 20, "agent/notes.txt": 30}, False),
        (20, {}, False),
        (None, {"agent/module.c": 10}, False),
    ],
)
def test_a_core_is_outdated_once_a_source_is_newer(
    tmp_path: Path, core: int | None, sources: dict[str, int], outdated: bool
) -> None:
    module, native = tmp_path / "core.abi3.so", tmp_path / "native"
    times = {native / name: at for name, at in sources.items()} | ({} if core is None else {module: core})
    for path, at in times.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))
    assert is_outdated(module, native) is outdated
