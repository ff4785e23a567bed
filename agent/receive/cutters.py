"""A stream cut into lines, wherever the network cut it into reads.

Lines end with a newline. DogStatsD's streams (``unixstream://``) consist of frames instead: four bytes of length,
little-endian, then as many bytes of lines, of which the last needs no end.
"""

from typing import Final, NamedTuple, Protocol

MAX_LINE: Final = 16_384
"""Bytes of a line, its end left out; also what is read at once."""
MAX_FRAME: Final = 65_536
"""Bytes of a frame, as of a unix datagram. Where a length is larger, it is no length, or nothing for us."""
_LENGTH: Final = 4
_NO_TEXT: Final = frozenset((*range(32), 0x7F, 0xFE, 0xFF)) - frozenset(b"\t\n\r")


class Lost(NamedTuple):
    """Lines that are not counted, why, and the beginning of one of them."""

    reason: str
    lines: int
    sample: bytes


class Cutter(Protocol):
    """What a connection's bytes go through. ``lost`` is what it has left out, until somebody takes that."""

    lost: list[Lost]

    def push(self, data: bytes) -> bytes:
        """The lines that ``data``, at most MAX_LINE bytes, completes, without the last one's end; may be empty."""

    def end(self, *, closed: bool) -> bytes:
        """The last line, where the client has ``closed`` the connection and it needs no end. Else it is lost."""


class LineCutter:
    """Cuts a stream into whole lines; a line of more than MAX_LINE bytes is left out, whole."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._begun = b""
        self._skipping = False

    def push(self, data: bytes) -> bytes:
        """See Cutter. ``data`` may have a newline more at its end."""
        first, newline, rest = data.partition(b"\n")
        begun = self._begun + first
        if len(begun) > MAX_LINE and not self._skipping:
            self.lost.append(Lost("line_too_long", 1, begun))
            self._skipping = True
        if not newline:
            self._begun = b"" if self._skipping else begun
            return b""
        whole, more, self._begun = rest.rpartition(b"\n")
        skipped, self._skipping = self._skipping, False
        if skipped:
            return whole
        return begun + b"\n" + whole if more else begun

    def end(self, *, closed: bool) -> bytes:
        """See Cutter."""
        begun, self._begun = self._begun, b""
        if begun and not closed:
            self.lost.append(Lost("line_cut", 1, begun))
            return b""
        return begun


class FrameCutter:
    """Cuts a stream of frames into lines.

    What a frame of more than MAX_FRAME bytes has in it is lost as ``frame_too_long``: at least one line, and as many as
    come.
    """

    def __init__(self) -> None:
        self._lines = LineCutter()
        self.lost = self._lines.lost
        self._header = b""
        self._left = 0
        """Bytes of the frame that are to come."""
        self._too_long = False
        self._already = 0
        """Lines of this frame that are lost already."""

    def push(self, data: bytes) -> bytes:
        """See Cutter."""
        found, at = [], 0
        while at < len(data):
            if not self._left:
                at += self._read_header(data[at : at + _LENGTH - len(self._header)])
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            lines = self._lines.push(part if self._left else part + b"\n")
            if lines and self._too_long:
                self._lose(lines)
            elif lines:
                found.append(lines)
        return b"\n".join(found)

    def end(self, *, closed: bool) -> bytes:
        """See Cutter. A frame says how long it is, so one that is not whole is cut, also where the client closed."""
        if self._lines.end(closed=True) or self._left or self._header:
            self.lost.append(Lost("line_cut", 1, self._header or b"(in a frame)"))
        return b""

    def _read_header(self, part: bytes) -> int:
        """Take a part of the length; how many bytes of it."""
        self._header += part
        if len(self._header) == _LENGTH:
            self._left = int.from_bytes(self._header, "little")
            self._too_long, self._already = self._left > MAX_FRAME, 0
            if self._too_long:
                self.lost.append(Lost("frame_too_long", 1, self._header))
                self._already = 1
            self._header = b""
        return len(part)

    def _lose(self, lines: bytes) -> None:
        count = len([line for line in lines.split(b"\n") if line])
        more, self._already = max(0, count - self._already), max(0, self._already - count)
        if more:
            self.lost.append(Lost("frame_too_long", more, lines))


class EitherCutter:
    """Lines or frames, as the first four bytes tell: the upper half of a length is no text.

    That is so for all lengths that make sense, and for most of the others.
    """

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._first = b""
        self._chosen: Cutter | None = None

    def push(self, data: bytes) -> bytes:
        """See Cutter."""
        if self._chosen is not None:
            return self._chosen.push(data)
        self._first += data
        if len(self._first) < _LENGTH:
            return b""
        chosen = self._choose()
        begin, rest = chosen.push(self._first[:_LENGTH]), chosen.push(self._first[_LENGTH:])
        self._first = b""
        return begin + b"\n" + rest if begin and rest else begin or rest

    def end(self, *, closed: bool) -> bytes:
        """See Cutter."""
        begin = b""
        chosen = self._chosen
        if chosen is None:  # four bytes never came
            chosen = self._choose()
            begin = chosen.push(self._first)
        rest = chosen.end(closed=closed)
        return begin + b"\n" + rest if begin and rest else begin or rest

    def _choose(self) -> Cutter:
        upper = self._first[_LENGTH // 2 : _LENGTH]
        is_length = len(upper) == _LENGTH // 2 and (upper[0] == 0 or upper[1] in _NO_TEXT)
        chosen: Cutter = FrameCutter() if is_length else LineCutter()
        self._chosen, self.lost = chosen, chosen.lost
        return chosen
