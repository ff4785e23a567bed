"""Serves the web page: the static files of central/page, read once at the start, with their security headers."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from central.errors import ApiError
from central.web.middleware import Handler

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
"""The page may use nothing inline and nothing from other hosts, and no script may turn text into markup."""
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""With ``no-cache`` a browser keeps a file but asks each time whether its ETag changed. So it sees upgrades at once."""
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def document(body: bytes, content_type: str) -> Handler:
    """The handler of a fixed document. It answers 304 to a browser that has the document."""
    tag = sha256(body).hexdigest()[:32]
    headers = {**HEADERS, "ETag": f'"{tag}"'}

    async def handle(request: web.Request) -> web.StreamResponse:
        if any(known.value in (tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": content_type})

    return handle


def page() -> Handler:
    """The handler of the page itself."""
    return _documents()["index.html"]


def assets() -> Handler:
    """The handler of the page's scripts, styles and icon. Raises ApiError 404 for any other name."""
    known: Mapping[str, Handler] = _documents()

    async def handle(request: web.Request) -> web.StreamResponse:
        asset = known.get(request.match_info["file"])
        if asset is None:
            raise ApiError(404, "NOT_FOUND", "the page has no such file")
        return await asset(request)

    return handle


def _documents() -> dict[str, Handler]:
    """The files of the page and of its folders, by their paths."""
    root = files("central").joinpath("page")
    folders = {"": root, **{f"{entry.name}/": entry for entry in root.iterdir() if entry.is_dir()}}
    return {
        prefix + entry.name: document(entry.read_bytes(), content_type)
        for prefix, folder in folders.items()
        for entry in folder.iterdir()
        for suffix, content_type in _TYPES.items()
        if entry.name.endswith(suffix)
    }
