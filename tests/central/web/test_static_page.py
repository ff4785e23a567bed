"""central/web/static_page.py and central/page: the headers that a browser gets, and what the files may not do."""

import re
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hatchling.build import build_wheel

from central.store.plan import WINDOWS
from central.web.openapi.document import openapi
from central.web.static_page import HEADERS
from tests.central.harness import Central

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "central" / "page"
SCRIPTS: Final = sorted(PAGE.glob("*.js"))
FILES: Final = sorted(path for path in PAGE.rglob("*") if path.is_file())
OURS: Final = sorted(path for path in PAGE.iterdir() if path.is_file())
UPLOT: Final = {
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""SHA-256 of the files of uPlot 1.6.32 as npm has them: the library that draws the charts. Nobody edits them here."""
SELF: Final = "'self'"
NONE: Final = "'none'"
POLICY: Final = {
    "default-src": NONE,
    "script-src": SELF,
    "style-src": SELF,
    "img-src": f"{SELF} data:",
    "connect-src": SELF,
    "base-uri": NONE,
    "form-action": NONE,
    "frame-ancestors": NONE,
    "require-trusted-types-for": "'script'",
    "trusted-types": NONE,
}


# --- headers


async def test_the_page_and_all_its_files_have_the_strict_headers(central: Central) -> None:
    files = {f"/page/{path.relative_to(PAGE)}" for path in FILES if path.suffix}
    assert {"/page/main.js", "/page/base.css", "/page/icon.svg", "/page/uplot/uPlot.esm.js"} <= files
    for path in ["/", "/docs", "/openapi.json", *files]:
        reply = await central.ask("GET", path, key=None)
        assert reply.status == 200, path
        assert dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; ")) == POLICY
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert reply.headers["Cache-Control"] == "no-cache"


async def test_a_browser_that_has_a_file_gets_304_until_it_changes(central: Central) -> None:
    first = await central.ask("GET", "/page/main.js", key=None)
    tag = first.headers["ETag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await central.ask("GET", "/page/main.js", key=None, headers={"If-None-Match": sent})
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", tag)
        assert again.headers.items() >= HEADERS.items()
    changed = await central.ask("GET", "/page/main.js", key=None, headers={"If-None-Match": '"other"'})
    assert (changed.status, changed.text) == (200, first.text)
    tags = {(await central.ask("GET", f"/page/{path.name}", key=None)).headers["ETag"] for path in OURS}
    assert len(tags) == len(OURS)


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "..%2fapp.py",
        "%2e%2e%2fapp.py",
        "index",
        "main.js%00",
        "__init__.py",
        "uplot",
        "uplot/LICENSE",
        "uplot/../main.js/x",
    ],
)
async def test_there_is_no_way_out_of_the_folder(central: Central, name: str) -> None:
    reply = await central.ask("GET", f"/page/{name}", key=None)
    assert reply.error[:2] == (404, "NOT_FOUND")


async def test_no_other_answer_is_sniffed_or_kept(central: Central) -> None:
    asked = [
        await central.counter("a"),
        await central.counter("a b"),
        await central.query("a", "sum"),
        await central.query("a", "sum", format="csv"),
        await central.ask("GET", "/api/metrics", key=None),
        await central.ask("GET", "/api/admin/backup"),
        await central.ask("GET", "/nowhere", key=None),
        await central.ask("POST", "/health", key=None),
        *[await central.ask("GET", path, key=None) for path in ("/health", "/ready", "/metrics")],
    ]
    assert [reply.status for reply in asked] == [201, 400, 200, 200, 401, 200, 404, 405, 200, 200, 200]
    for reply in asked:
        assert (reply.headers["X-Content-Type-Options"], reply.headers["Cache-Control"]) == ("nosniff", "no-store")


# --- what is in the files


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", html)
    served = {f"/page/{path.relative_to(PAGE)}" for path in FILES}
    assert set(re.findall(r'(?:src|href)="([^"#]+)', html)) <= served | {"/openapi.json"}
    for path in OURS:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}|@import|\burl\(['\"h/]", text), path.name


def test_the_chart_library_is_what_npm_has() -> None:
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in (PAGE / "uplot").iterdir()}
    assert found == UPLOT
    assert "(v1.6.32)" in (PAGE / "uplot" / "uPlot.esm.js").read_text()
    assert "The MIT License" in (PAGE / "uplot" / "LICENSE").read_text()


@pytest.mark.parametrize("path", [*SCRIPTS, PAGE / "uplot" / "uPlot.esm.js"], ids=lambda path: path.name)
def test_no_script_turns_text_into_markup_or_code(path: Path) -> None:
    banned = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|Function\("
    )
    assert not re.findall(banned + r"|srcdoc|javascript:", path.read_text())


@pytest.mark.parametrize("path", [*PAGE.glob("*.js"), *PAGE.glob("*.css")], ids=lambda path: path.name)
def test_the_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_every_path_that_the_page_asks_for_is_described() -> None:
    asked = {
        found
        for path in SCRIPTS
        for found in re.findall(r'"(/(?:api|metrics|ready|health|openapi)[^"]*)"', path.read_text())
    }
    assert {"/api/metrics", "/api/metrics/aggregate", "/metrics", "/ready", "/openapi.json"} <= asked
    assert asked - {"/api/"} <= set(openapi("1")["paths"])


async def test_every_metric_that_the_page_reads_is_there(central: Central) -> None:
    await central.counter("a")
    await central.counter("a b")
    text = (await central.ask("GET", "/metrics", key=None)).text
    read = set(re.findall(r'"((?:fiesta|process)_[a-z_]+)"', (PAGE / "service.js").read_text()))
    assert len(read) >= 8
    assert read <= set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))


def test_the_windows_that_the_page_knows_are_those_of_the_service() -> None:
    (table,) = re.findall(r"WINDOW_SECONDS = \{(.+?)\}", (PAGE / "time.js").read_text())
    assert {name: int(seconds.replace("_", "")) for name, seconds in re.findall(r'"(\w+)": ([\d_]+)', table)} == WINDOWS
    words = re.findall(r'"(\w+)":', re.findall(r"const PER = \{(.+?)\}", (PAGE / "result.js").read_text())[0])
    assert words == list(WINDOWS)


def test_the_wheel_has_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CC", "no-such-compiler")  # the page is the same in a wheel of plain Python
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        assert {f"central/page/{path.relative_to(PAGE)}" for path in FILES} <= set(wheel.namelist())


# --- colours


def palettes() -> list[dict[str, str]]:
    """The light and the dark colours by name."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", (PAGE / "base.css").read_text())
    return [{name: pair[index] for name, *pair in found} for index in (0, 1)]


def luminance(colour: str) -> float:
    """WCAG 2: relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark"])
def test_text_and_lines_stand_out(colours: dict[str, str]) -> None:
    grounds = ("ground", "card", "sunk")
    pairs = [
        (text, ground) for text in ("ink", "soft", "accent", "good", "bad", "info", "middling") for ground in grounds
    ]
    pairs += [("on-accent", "accent"), ("on-accent", "bad"), ("ink", "bad-ground"), ("bad", "bad-ground")]
    pairs += [("ink", "info-ground"), ("info", "info-ground")]
    low = {pair: contrast(*(colours[name] for name in pair)) for pair in pairs}
    low = {pair: round(ratio, 2) for pair, ratio in low.items() if ratio < 4.5}
    lines = {
        (name, "card"): contrast(colours[name], colours["card"]) for name in ("edge", *(f"s{at}" for at in range(8)))
    }
    low |= {pair: round(ratio, 2) for pair, ratio in lines.items() if ratio < 3}
    assert low == {}
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
