"""A request's body: from bytes as sent to decoded JSON with exact numbers. No I/O."""

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
"""Most gzip members or zstd frames in a body: each copies what follows it, so many tiny ones would cost seconds."""
MAX_SHORT_BYTES: Final = 131_072
"""Of a body that is decoded at once, and of an item: a batch is decoded item by item."""
_BLANK: Final = b" \n\r\t"
_NOT_A_NUMBER: Final = Decimal("NaN")
_ZERO: Final = Decimal(0)
_BLANKS_AS_QUOTES: Final = bytes.maketrans(b" \n\r\t", b'""""')
"""With it the colon of each member of an object follows a quote. So may a colon within a string."""
_ENDLESS: Final = re.compile(rb"(?<=[\[:,\s])(-?[1-9]\d{999})\d+(?=[\s,\]}])")
"""An integer of more than 1,000 digits. In a string no rule lets 1,000 digits pass, so it does not matter there."""


class TooLarge(ApiError):
    """413 for a body over a bound."""


def too_large() -> TooLarge:
    """413 for a body over either bound."""
    return TooLarge(
        413,
        "BODY_TOO_LARGE",
        f"a body may be {MAX_BODY_BYTES} bytes as sent and {MAX_EXPANDED_BYTES} bytes expanded; send a smaller batch",
        details={"field": "body"},
    )


def expand(body: bytes, encoding: str, most: int = MAX_EXPANDED_BYTES) -> bytes:
    """The body without its Content-Encoding: gzip, zstd or identity.

    Never holds more than ``most`` bytes of output and one. Raises ApiError: TooLarge over that size, 415 for an
    encoding that is unknown, and 400 for one that is torn or false.
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
    """Whether the last frame ends where the body does; the stream reader is silent about a torn one.

    The size of all frames together was checked before.
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
    """415, which names the encodings that are taken (RFC 9110, 12.5.3)."""
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
    except InvalidOperation:  # an exponent beyond Decimal's own range: of a zero, tiny, or none the rules will have
        digits, _, exponent = text.lower().partition("e")
        return _ZERO if exponent.startswith("-") or not digits.strip("-0.") else _NOT_A_NUMBER


_DECODER: Final = msgspec.json.Decoder(float_hook=_exact)


def decode_json(body: bytes) -> Any:
    """JSON with ints as int and every other number as an exact Decimal.

    Raises ApiError: INVALID_JSON, or VALIDATION_ERROR where an object names a field twice, at any depth.
    """
    try:
        try:
            decoded = _DECODER.decode(body)
        except msgspec.ValidationError:  # an integer of more digits than Python reads: its item's fault, no other's
            decoded = _DECODER.decode(_ENDLESS.sub(rb"\1", body))
        if _may_repeat_fields(body, decoded):
            json.loads(body.decode(), object_pairs_hook=_once, parse_int=str, parse_float=str)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        reason = str(error)[:200] if body else "the body is empty"
        raise ApiError(
            400, "INVALID_JSON", f"the body must be JSON in UTF-8: {reason}", details={"field": "body"}
        ) from None
    return decoded


def decode_short(body: bytes) -> Any:
    """As decode_json, of what has MAX_SHORT_BYTES without the blanks around it. Raises ApiError for more."""
    text = body.strip(_BLANK)
    if len(text) <= MAX_SHORT_BYTES:
        return decode_json(text)
    try:
        _DECODER.decode(text[:MAX_SHORT_BYTES])  # it ends too early; what is nested too deeply shows before that
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError:
        pass
    fault = Fault(
        "VALIDATION_ERROR", "body", f'only a batch, {{"metrics": [...]}}, may have over {MAX_SHORT_BYTES} bytes'
    )
    raise invalid(fault)


def _too_deep() -> ApiError:
    return ApiError(400, "INVALID_JSON", "the body is nested too deeply", details={"field": "body"})


def _may_repeat_fields(body: bytes, decoded: Any) -> bool:
    """Whether the text may name more members than were decoded: of two with one name the decoder keeps the last.

    False is certain. A tenth of the time of decoding, so that only a body in doubt is read a second time.
    """
    braces = body.count(b"{")
    members, objects, level = 0, 0, [decoded]
    while level:
        dicts = [value for value in level if type(value) is dict]
        members += sum(map(len, dicts))
        objects += len(dicts)
        if objects == braces:  # there is none further down; a batch ends here, above its values
            break
        lists = [value for value in level if type(value) is list]
        level = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
    return body.translate(_BLANKS_AS_QUOTES).count(b'":') > members


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Raises ApiError for the first name that an object has twice. For json.loads, which calls it for each object."""
    names = set()
    for name, _ in pairs:
        if name in names:
            message = f"the field {name[:80]!r} is given twice in one object; give each field once"
            raise invalid(Fault("VALIDATION_ERROR", name[:80], message))
        names.add(name)
