"""Decodes a request's body: from the bytes that were sent to JSON with exact numbers. No I/O."""

import codecs
import json
import re
import zlib
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any, Final

import msgspec
import zstandard

from central.errors import ApiError, invalid
from protocol.item import Fault
from protocol.limits import MAX_BODY_BYTES, MAX_EXPANDED_BYTES

MAX_PARTS: Final = 100
"""The most gzip members or zstd frames in a body. Each one copies the bytes after it, so many would take seconds."""
MAX_SHORT_BYTES: Final = 131_072
"""The most bytes that are decoded in one call: a whole body that is not a batch, or one item of a batch."""
_BLANK: Final = b" \n\r\t"
_NOT_A_NUMBER: Final = Decimal("NaN")
_ZERO: Final = Decimal(0)
_BLANKS_AS_QUOTES: Final = bytes.maketrans(b" \n\r\t", b'""""')
"""After this translation, a quote stands before the colon of every member of an object. Strings can have that too."""
_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_ENDLESS: Final = re.compile(rb"(?<=[\[:,\s])(-?[1-9]\d{999})\d+(?=[\s,\]}])")
"""An integer of more than 1,000 digits. A match inside a string does no harm: no valid text has so many digits."""


class TooLarge(ApiError):
    """413 for a body over the limit."""


def too_large() -> TooLarge:
    """413 for a body that is too long, as sent or expanded."""
    return TooLarge(
        413,
        "BODY_TOO_LARGE",
        f"a body may have {MAX_BODY_BYTES} bytes as sent and {MAX_EXPANDED_BYTES} bytes expanded; send a smaller batch",
        details={"field": "body"},
    )


def expand(body: bytes, encoding: str, most: int = MAX_EXPANDED_BYTES) -> bytes:
    """Undo the body's Content-Encoding: gzip, zstd or identity.

    Never holds more than ``most`` + 1 bytes of output. Raises ApiError: TooLarge above that size, 415 if the encoding
    is unknown, and 400 if the body is cut short or does not have that encoding.
    """
    match encoding.strip().lower():
        case "" | "identity":
            expanded = body
        case "gzip" | "x-gzip":
            expanded = _gunzip(body, most)
        case "zstd":
            expanded = _unzstd(body, most)
        case other:
            raise _unknown_encoding(other)
    if len(expanded) > most:
        raise too_large()
    return expanded


def _gunzip(body: bytes, most: int) -> bytes:
    chunks: list[bytes] = []
    room = most + 1
    while body:
        if len(chunks) == MAX_PARTS:
            raise _too_many_parts()
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            chunk = member.decompress(body, room)
        except zlib.error:
            raise _bad_encoding("the body is not the gzip that Content-Encoding promises") from None
        chunks.append(chunk)
        room -= len(chunk)
        if room <= 0:
            raise too_large()
        if not member.eof:
            raise _bad_encoding("the gzip body is cut short")
        body = member.unused_data.lstrip(b"\0")
    return b"".join(chunks)


def _unzstd(body: bytes, most: int) -> bytes:
    chunks: list[bytes] = []
    room = most + 1
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_EXPANDED_BYTES).stream_reader(body, read_across_frames=True)
    try:
        while room > 0 and (chunk := reader.read(min(room, 1 << 18))):
            chunks.append(chunk)
            room -= len(chunk)
    except zstandard.ZstdError:
        raise _bad_encoding("the body is not the zstd that Content-Encoding promises") from None
    if room <= 0:
        raise too_large()
    if not _zstd_is_whole(body):
        raise _bad_encoding("the zstd body is cut short")
    return b"".join(chunks)


def _zstd_is_whole(body: bytes) -> bool:
    """Whether the last frame is complete. The stream reader does not report one that is cut short.

    The caller has checked the size of all frames together.
    """
    for _ in range(MAX_PARTS):
        frame = zstandard.ZstdDecompressor(max_window_size=MAX_EXPANDED_BYTES).decompressobj()
        frame.decompress(body)
        if not frame.eof:
            return False
        body = frame.unused_data
        if not body:
            return True
    raise _too_many_parts()


def _too_many_parts() -> ApiError:
    return _bad_encoding(f"the body is compressed in more than {MAX_PARTS} parts; compress it in one")


def _unknown_encoding(encoding: str) -> ApiError:
    """415 with the accepted encodings in a header (RFC 9110, 12.5.3)."""
    return ApiError(
        415,
        "UNSUPPORTED_ENCODING",
        f"Content-Encoding {encoding[:40]!r} is not known; use gzip, zstd or none",
        details={"field": "Content-Encoding"},
        headers={"Accept-Encoding": "gzip, zstd"},
    )


def _bad_encoding(message: str) -> ApiError:
    return ApiError(400, "VALIDATION_ERROR", message, details={"field": "Content-Encoding"})


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # the exponent is beyond Decimal's range: the number is zero, nearly zero, or too large
        digits, _, exponent = text.lower().partition("e")
        return _ZERO if exponent.startswith("-") or not digits.strip("-0.") else _NOT_A_NUMBER


_DECODER: Final = msgspec.json.Decoder(float_hook=_exact)


def decode_json(body: bytes) -> Any:
    """Decode JSON with integers as int and every other number as an exact Decimal.

    Raises ApiError: INVALID_JSON, or VALIDATION_ERROR if an object at any depth has a field twice.
    """
    try:
        try:
            decoded = _DECODER.decode(body)
        except msgspec.ValidationError:  # an integer has too many digits for Python; only its own item may fail
            decoded = _DECODER.decode(_ENDLESS.sub(rb"\1", body))
        if _may_repeat_fields(body, decoded):
            json.loads(body.decode(), object_pairs_hook=_once, parse_int=str, parse_float=str)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        message = f"the body must be JSON in UTF-8: {_why_not_json(body, error)}"
        raise ApiError(400, "INVALID_JSON", message, details={"field": "body"}) from None
    return decoded


def _why_not_json(body: bytes, error: Exception) -> str:
    """What is wrong with a body. The decoder's own words do not say it for an encoding."""
    if not body:
        return "the body is empty"
    if body.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark; leave that out"
    if b"\0" in body[:2] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it looks like UTF-16"
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"byte {wrong.start} (0x{body[wrong.start]:02x}) is not UTF-8"
    if _HALF_PAIR.search(body):
        return r"a \u escape is half of a surrogate pair; write both halves, or the character itself"
    return str(error)[:200]


def decode_short(body: bytes) -> Any:
    """Decode as decode_json does. Raises ApiError if the body has over MAX_SHORT_BYTES without surrounding blanks."""
    text = body.strip(_BLANK)
    if len(text) <= MAX_SHORT_BYTES:
        return decode_json(text)
    try:
        _DECODER.decode(text[:MAX_SHORT_BYTES])  # fails, because the text is cut; deep nesting fails before the cut
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError:
        pass
    fault = Fault(
        "VALIDATION_ERROR", "body", f'only a batch, {{"metrics": [...]}}, may have more than {MAX_SHORT_BYTES} bytes'
    )
    raise invalid(fault)


def _too_deep() -> ApiError:
    return ApiError(400, "INVALID_JSON", "the body is nested too deeply", details={"field": "body"})


def _may_repeat_fields(body: bytes, decoded: Any) -> bool:
    """Whether an object may have a field twice. The decoder keeps only the last, so fewer members were decoded.

    False is certain, True is not: then the caller reads the body a second time. This takes a tenth of the time of
    decoding.
    """
    braces = body.count(b"{")
    members, objects, level = 0, 0, [decoded]
    while level:
        dicts = [value for value in level if type(value) is dict]
        members += sum(map(len, dicts))
        objects += len(dicts)
        if objects == braces:  # no object is nested deeper; for a batch this is the level of its items
            break
        lists = [value for value in level if type(value) is list]
        level = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
    if body.count(b":") <= members:  # each has one; a tenth of the time of the look below
        return False
    return body.translate(_BLANKS_AS_QUOTES).count(b'":') > members


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Raise ApiError for the first name that the object has twice. json.loads calls this for each object."""
    names = set()
    for name, _ in pairs:
        if name in names:
            message = f"the field {name[:80]!r} is given twice in one object; give each field once"
            raise invalid(Fault("VALIDATION_ERROR", name[:80], message))
        names.add(name)
