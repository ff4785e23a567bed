"""Cuts a stream into lines, wherever a read of the stream began or ended.

A line ends with a newline. DogStatsD's streams (``unixstream://``) consist of frames instead. A frame is a length of
four bytes, little-endian, and as many bytes of lines. The last line of a frame needs no newline.
"""

from typing import Final, NamedTuple, Protocol

MAX_LINE: Final = 16_384
"""The most bytes of a line without its newline, and of one read."""
MAX_FRAME: Final = 65_536
"""The most bytes of a frame, the same as of a unix datagram."""
_LENGTH: Final = 4
_NO_TEXT: Final = frozenset((*range(32), 0x7F, 0xFE, 0xFF)) - frozenset(b"\t\n\r")


class Lost(NamedTuple):
    """Lines that are not counted: the reason, how many, and the beginning of one of them."""

    reason: str
    lines: int
    sample: bytes


class Cutter(Protocol):
    """Takes a connection's bytes and gives its lines. ``lost`` has what it left out; the caller empties it."""

    lost: list[Lost]

    @property
    def unfinished(self) -> bool:
        """Whether it has a part of a line or frame that has not come to its end."""

    def push(self, data: bytes) -> bytes:
        """The lines that ``data`` (at most MAX_LINE bytes) completes. The last one has no newline. May be empty."""

    def end(self, *, closed: bool) -> bytes:
        """The unfinished last line. It counts when the client has ``closed`` the connection, else it is lost."""


class LineCutter:
    """Cuts a stream into whole lines. A line of more than MAX_LINE bytes is left out."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._begun = b""
        self._skipping = False

    @property
    def unfinished(self) -> bool:
        """See Cutter."""
        return bool(self._begun)

    def push(self, data: bytes) -> bytes:
        """See Cutter. ``data`` may have one byte more, a newline at its end."""
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

    The lines of a frame of more than MAX_FRAME bytes are lost as ``frame_too_long``. At least one is counted.
    """

    def __init__(self) -> None:
        self._lines = LineCutter()
        self.lost = self._lines.lost
        self._header = b""
        self._left = 0
        """Bytes of the frame that have not come yet."""
        self._too_long = False
        self._already = 0
        """Lines of this frame that are counted as lost in advance."""

    @property
    def unfinished(self) -> bool:
        """See Cutter."""
        return bool(self._left or self._header or self._lines.unfinished)

    def push(self, data: bytes) -> bytes:
        """See Cutter."""
        blocks, at = [], 0
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
                blocks.append(lines)
        return b"\n".join(blocks)

    def end(self, *, closed: bool) -> bytes:
        """See Cutter. A frame gives its length, so an unfinished frame is lost even when the client closed."""
        if self._lines.end(closed=True) or self._left or self._header:
            self.lost.append(Lost("line_cut", 1, self._header or b"(in a frame)"))
        self._left, self._header = 0, b""
        return b""

    def _read_header(self, part: bytes) -> int:
        """Take a part of the frame's length. Returns how many bytes were taken."""
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
    """Cuts lines or frames. The first four bytes tell which, because the upper half of a length is not text.

    That holds for every length up to MAX_FRAME and for most larger ones.
    """

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._first = b""
        self._chosen: Cutter | None = None

    @property
    def unfinished(self) -> bool:
        """See Cutter."""
        return bool(self._first) if self._chosen is None else self._chosen.unfinished

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
