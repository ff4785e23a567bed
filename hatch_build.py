"""Builds the compiled cores where a C compiler and Python's headers are; else the wheel is plain Python."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE: Final = "core.abi3.so"
"""One file for every CPython from 3.11 on."""
CORES: Final = {"agent": "agent/aggregate", "central": "central"}
"""Folder of native/ -> the package that imports its module."""
SHARED: Final = "protocol"
"""Folder of native/ that is compiled into each of them."""
COMPILERS: Final = ("cc", "gcc", "clang")


class CustomBuildHook(BuildHookInterface[Any]):
    """An editable installation gets the modules in its folders, a wheel its own copies and the tag of its platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        self._folder = tempfile.TemporaryDirectory()
        for core, package in CORES.items():
            module = root / package / MODULE
            if version == "editable":
                module.unlink(missing_ok=True)
            else:
                module = Path(self._folder.name) / f"{core}.so"
            fault = compile_core(root / "native" / core, module)
            if fault is not None:
                self.app.display_warning(f"The cores are not compiled, plain Python does their work: {fault}")
                return
            if version != "editable":
                build_data["force_include"][str(module)] = f"{package}/{MODULE}"
        if version != "editable":
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"cp311-abi3-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()


def compile_core(
    sources: Path, module: Path, compiler: Sequence[str] | None = None, flags: Sequence[str] | None = None
) -> str | None:
    """Compile a package's sources and the shared ones beside them into ``module``; why not, where that cannot be done.

    CC and CFLAGS are honoured where ``compiler`` and ``flags`` are not given.
    """
    if not sys.platform.startswith("linux"):
        return "it is for Linux"
    compiler = compiler or shlex.split(os.environ.get("CC", "")) or list(filter(shutil.which, COMPILERS))[:1]
    if not compiler:
        return "there is no C compiler"
    command = [
        *compiler,
        *("-O2", "-DNDEBUG", "-shared", "-fPIC", "-fvisibility=hidden"),
        *("-I", sysconfig.get_paths()["include"], "-I", str(sources.parent)),
        *(shlex.split(os.environ.get("CFLAGS", "")) if flags is None else flags),
        *map(str, sorted([*sources.glob("*.c"), *(sources.parent / SHARED).glob("*.c")])),
        *("-o", str(module)),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        return f"{compiler[0]} says: {next((line for line in said if ': error:' in line), said[0])}"
    return None
