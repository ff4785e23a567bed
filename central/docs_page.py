"""The API reference as one HTML page, made from the OpenAPI description: no scripts, nothing from elsewhere."""

import json
import shlex
from collections.abc import Mapping
from html import escape
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from central.openapi import openapi
from central.openapi_parts import CODES, Json


def docs_html() -> str:
    """The reference of this version."""
    return render(openapi(version("glowing-fiesta")))


def render(spec: Json) -> str:
    """The reference of ``spec``. Every text from it is escaped."""
    info = spec["info"]
    style = (files("central") / "docs_page.css").read_text(encoding="utf-8")
    title = f"{escape(info['title'])}: API reference"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n</head>\n<body>\n'
        f'<div class="page">\n<header><h1>{title}</h1>\n'
        f'<p class="version">Version {escape(info["version"])} · <a href="/openapi.json">OpenAPI description</a></p>'
        f'</header>\n<nav aria-label="Endpoints">{_contents(spec)}</nav>\n<main>\n'
        f"<p>{escape(info['description'])}</p>\n{_start()}"
        f"{''.join(_section(spec, tag) for tag in spec['tags'])}{_errors()}</main>\n</div>\n</body>\n</html>\n"
    )


def _operations(spec: Json, tag: str) -> list[tuple[str, str, Json]]:
    return [
        (path, method, operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]


def _contents(spec: Json) -> str:
    parts = []
    for tag in spec["tags"]:
        links = "".join(
            f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
            for _, _, operation in _operations(spec, tag["name"])
        )
        parts.append(f"<div><h2>{escape(tag['name'])}</h2><ul>{links}</ul></div>")
    return "".join(parts) + '<div><h2>More</h2><ul><li><a href="#errors">Errors</a></li></ul></div>'


def _start() -> str:
    setup = "METRICS_URL=http://127.0.0.1:8080\nMETRICS_KEY=gf_..."
    return (
        f"<p>The examples read the service's address and your key from two shell variables:</p>{_pre(setup)}"
        "<p>Send an <code>Idempotency-Key</code> with every POST of metrics, a new one for each and the same one when "
        "you retry: then a retry never counts twice.</p>"
    )


def _section(spec: Json, tag: Json) -> str:
    articles = "".join(_article(spec, *found) for found in _operations(spec, tag["name"]))
    return f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>{articles}"


def _article(spec: Json, path: str, method: str, operation: Json) -> str:
    parameters = [resolve(spec, parameter) for parameter in operation.get("parameters", [])]
    parts = [
        f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
        f'<div class="route"><span class="method {method}">{method}</span>{escape(path)}</div>'
        f"<p>{escape(operation['description'])}</p>"
    ]
    if parameters:
        rows = "".join(
            _row(
                item["name"], item["schema"], item["description"], needed=item.get("required", False), place=item["in"]
            )
            for item in parameters
        )
        parts.append(f"<h4>Parameters</h4><dl>{rows}</dl>")
    if "requestBody" in operation:
        parts.append(f"<h4>Body</h4><dl>{_fields(spec, operation['requestBody']['content']['application/json'])}</dl>")
    parts.append(f"<h4>Example</h4>{_pre(curl(path, method, operation, parameters))}{_answers(operation)}")
    return "".join(parts) + "</article>\n"


def _fields(spec: Json, media: Json, prefix: str = "") -> str:
    """Rows of the fields of an object's schema; those of the items of a list below it."""
    described = resolve(spec, media["schema"])
    rows = []
    for name, field in described["properties"].items():
        rows.append(_row(prefix + name, field, field.get("description", ""), needed=name in described["required"]))
        items = resolve(spec, field.get("items", {}))
        if "properties" in items:
            rows.append(_fields(spec, {"schema": items}, f"{prefix}{name}[]."))
    return "".join(rows)


def _row(name: str, described: Json, text: str, *, needed: bool, place: str = "") -> str:
    kinds = described.get("type", "")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if "enum" in described:
        kind = " or ".join(described["enum"])
    elif kind == "array":
        kind = f"list of {described['minItems']} to {described['maxItems']:,}"
    detail = f"{kind}, {place}" if place in ("header", "path") else kind
    mark = ' <span class="needed">required</span>' if needed else ""
    return (
        f'<dt><code>{escape(name)}</code>{mark}<span class="kind">{escape(detail)}</span></dt><dd>{escape(text)}</dd>'
    )


def _answers(operation: Json) -> str:
    """The first success with its example, then the statuses of the errors."""
    parts = []
    for status, answer in operation["responses"].items():
        example = answer.get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            parts.append(f"<h4>Answer {status}</h4>{_pre(json.dumps(example, indent=2))}")
    refused = [status for status, answer in operation["responses"].items() if "$ref" in answer]
    if refused:
        parts.append(f'<p class="status"><a href="#errors">Errors</a>: {", ".join(refused)}</p>')
    return "".join(parts)


def curl(path: str, method: str, operation: Json, parameters: list[Json]) -> str:
    """A command that can be pasted into a shell."""
    headers, query = [], []
    for item in parameters:
        if item["in"] == "path":
            path = path.replace(f"{{{item['name']}}}", str(item["example"]))
        elif item["in"] == "query" and "example" in item:
            query.append(f"-d {item['name']}={item['example']}")
        elif item["name"] == "Idempotency-Key":
            # A fixed one would make the second paste a replay that stores nothing.
            headers.append('-H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"')
    lines = [f'"$METRICS_URL{path}"', *headers, *query]
    if operation["security"]:
        lines.insert(1, '-H "X-API-Key: $METRICS_KEY"')
    if "requestBody" in operation:
        lines.append(
            f"-d {shlex.quote(_short_json(operation['requestBody']['content']['application/json']['example']))}"
        )
    elif method != "get":
        lines[0] = f"-X {method.upper()} {lines[0]}"
    if query:
        lines[0] = f"-G {lines[0]}"
    if "application/octet-stream" in operation["responses"].get("200", {}).get("content", {}):
        lines.append("-o metrics-copy.duckdb")
    return "curl " + " \\\n  ".join(lines)


def _short_json(value: Json) -> str:
    """On one line where that is short."""
    line = json.dumps(value)
    return line if len(line) <= 80 else json.dumps(value, indent=2)


def resolve(spec: Json, found: Mapping[str, Any]) -> Json:
    """What a ``$ref`` stands for; anything else as it is."""
    if "$ref" not in found:
        return dict(found)
    value: Json = spec
    for part in found["$ref"].removeprefix("#/").split("/"):
        value = value[part]
    return value


def _errors() -> str:
    rows = "".join(
        f'<dt><code>{code}</code><span class="kind">{entry.status}</span></dt><dd>{escape(entry.meaning)}</dd>'
        for code, entry in CODES.items()
    )
    fault = {"code": "VALIDATION_ERROR", "message": "value is required", "details": {"field": "value"}}
    shape = {"success": False, "error": fault}
    return (
        '<h2 id="errors">Errors</h2><p>One shape for all; details.field names the one at fault.</p>'
        f"{_pre(json.dumps(shape, indent=2))}<h4>Codes</h4><dl>{rows}</dl>"
    )


def _pre(text: str) -> str:
    return f'<pre tabindex="0"><code>{escape(text, quote=False)}</code></pre>'
