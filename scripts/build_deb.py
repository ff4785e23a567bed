"""``make deb``: Debian packages of the agent and of the service, in dist/. Nothing is downloaded, now or later.

A package has our modules and the locked packages that they need, copied from .venv, in a folder of its own under
/usr/lib; a program in /usr/bin that finds them; the units; and a file of settings in /etc/fiesta. The modules that
others compiled are for one version of Python, so each package depends on that one.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ROOT / "deploy" / "debian"
OURS: Final = "glowing-fiesta"
PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
MAINTAINER: Final = "Glowing Fiesta maintainers <maintainers@glowing-fiesta.internal>"
SMALL: Final = ("-Zxz", "-z1")
"""How dpkg-deb packs. A higher level takes minutes and saves little."""
_LEFT_OUT: Final = re.compile(r"(^|/)(__pycache__|tests?|[\w-]+-stubs|\.[^/]+)(/|$)|\.(pyc|pyi|c|h|pxd|pyx)$")
"""Files of packages that no program needs."""

_OF_OTHERS: Final = ("embedded-library", "unstripped-binary-or-object", "library-not-linked-against-libc")


class Package(NamedTuple):
    """A package: its program, our modules in it, and its files. ``extra`` is that of the wheel."""

    name: str
    summary: str
    about: str
    modules: tuple[str, ...]
    extra: str
    settings: str
    units: tuple[str, ...]


PACKAGES: Final = (
    Package(
        "fiesta-agent",
        "metrics agent: counts StatsD lines of this host",
        "It takes StatsD lines over UDP, TCP and unix sockets, keeps them safe on disk\n"
        " and sends them to the service. Every sample is counted exactly once, or\n"
        " visibly counted as dropped.",
        ("agent", "protocol", "runtime"),
        "",
        "agent.toml",
        ("fiesta-agent.service", "fiesta-agent.socket"),
    ),
    Package(
        "fiesta-central",
        "metrics service: stores what agents send and answers queries",
        "It stores counters and values in MySQL, MariaDB or an embedded database, and\n"
        " answers exact sums, percentiles and rates over HTTP. The package also has\n"
        " the command line that asks a service on another host.",
        ("central", "protocol", "runtime"),
        "central",
        "central.env",
        ("fiesta-central@.service",),
    ),
)


def main(target: Path) -> None:
    """Build all packages into ``target`` and print their paths."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = Path(folder).glob("*.whl")
        for package in PACKAGES:
            print(build(package, wheel, Path(folder) / package.name, target))


def build(package: Package, wheel: Path, root: Path, target: Path, pack: Sequence[str] = SMALL) -> Path:
    """Build one package from the wheel; ``root`` is a folder for its files. Returns its path."""
    library = root / "usr" / "lib" / package.name
    library.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        wanted = [
            name
            for name in archive.namelist()
            if name.split("/")[0] in package.modules or (".dist-info/" in name and not name.endswith("RECORD"))
        ]
        archive.extractall(library, wanted)
    version = distribution(OURS).version
    for other in needed(package.extra):
        copy(other, library)
    _write(root / "usr" / "bin" / package.name, _program(package), 0o755)
    for unit in package.units:
        text = (ROOT / "systemd" / unit).read_text().replace("/opt/fiesta/bin/", "/usr/bin/")
        _write(root / "lib" / "systemd" / "system" / unit, text)
    _write(root / "etc" / "fiesta" / package.settings, (SOURCES / package.settings).read_text())
    documents = root / "usr" / "share" / "doc" / package.name
    _write(documents / "copyright", (SOURCES / "copyright").read_text())
    _compress(documents / "changelog.gz", _changelog(package, version))
    _write(root / "usr" / "share" / "lintian" / "overrides" / package.name, _overrides(package))
    _control(package, version, root)
    architecture = _said("dpkg", "--print-architecture")
    made = target / f"{package.name}_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", *pack, "--build", root, made], check=True, capture_output=True)
    return made


def needed(extra: str) -> Iterator[Distribution]:
    """The installed packages that ours asks for with this extra, and those that they ask for. All are locked."""
    ahead = [(Requirement(text), extra) for text in distribution(OURS).requires or []]
    found: dict[str, set[str]] = {}
    while ahead:
        requirement, asked = ahead.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": asked}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        known = distribution(requirement.name)
        for wanted in {"", *requirement.extras} - found.get(name, set()):
            found.setdefault(name, set()).add(wanted)
            ahead += [(Requirement(text), wanted) for text in known.requires or []]
    return (distribution(name) for name in sorted(found) if name != OURS)


def copy(package: Distribution, library: Path) -> None:
    """Copy what a package has installed, without programs, tests and what only a compiler or a type checker reads."""
    for file in package.files or []:
        path = file.as_posix()
        if path.startswith("../") or _LEFT_OUT.search(path):
            continue
        source, to = Path(str(package.locate_file(file))), library / path
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)


def _program(package: Package) -> str:
    """The program. It finds its modules beside itself, wherever the package's root is."""
    return (
        f"#!/usr/bin/{PYTHON} -sP\n"
        "import sys\n"
        "from pathlib import Path\n\n"
        f'sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib" / "{package.name}"))\n'
        f"from {package.modules[0]}.commands.main import main\n\n"
        "sys.exit(main())\n"
    )


def _changelog(package: Package, version: str) -> str:
    """A changelog that Debian's tools can read. It points to CHANGELOG.md."""
    when = format_datetime(datetime.fromtimestamp((ROOT / "CHANGELOG.md").stat().st_mtime, UTC))
    return (
        f"{package.name} ({version}) unstable; urgency=medium\n\n"
        f"  * See CHANGELOG.md of the sources.\n\n -- {MAINTAINER}  {when}\n"
    )


def _control(package: Package, version: str, root: Path) -> None:
    """Write DEBIAN/: what dpkg must know, the sums of the files, and the scripts."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in files:
        if path.parent.name != "bin":
            path.chmod(0o644)
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)  # noqa: S324 - dpkg asks for it
    control = {
        "Package": package.name,
        "Version": version,
        "Architecture": _said("dpkg", "--print-architecture"),
        "Maintainer": MAINTAINER,
        "Installed-Size": str(sum(path.stat().st_size for path in files) // 1024),
        "Depends": f"{PYTHON}, libc6, libgcc-s1, libstdc++6, zlib1g",
        "Section": "net",
        "Priority": "optional",
        "Description": f"{package.summary}\n {package.about}",
    }
    folder = root / "DEBIAN"
    _write(folder / "control", "".join(f"{name}: {value}\n" for name, value in control.items()))
    _write(folder / "md5sums", sums)
    _write(folder / "conffiles", f"/etc/fiesta/{package.settings}\n")
    for script in ("postinst", "prerm", "postrm"):
        text = (SOURCES / f"{package.name}.{script}").read_text().replace("PYTHON", f"/usr/bin/{PYTHON}")
        _write(folder / script, text, 0o755)
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _overrides(package: Package) -> str:
    """The warnings of lintian that we accept: how others compiled their packages, and that we have no mail address."""
    tags = ("bogus-mail-host", "bogus-mail-host-in-debian-changelog", *_OF_OTHERS)
    return "".join(f"{package.name}: {tag}\n" for tag in tags)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _compress(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(ROOT / "dist")
