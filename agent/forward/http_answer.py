"""The bytes of one answer, from the first to the last. No I/O. The parser, httptools, finds what is not HTTP.

Only the first whole answer counts. Bytes after it belong to no request, so they end the connection.
"""

from collections.abc import Callable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_ANSWER_BYTES: Final = 4 << 20
"""The answer to a batch with every item refused has some 200 kB. A longer answer is not central's."""
MAX_HEAD_BYTES: Final = 65_536
"""Limit of all headers together, also those of interim answers such as 100 Continue."""
MAX_HEADERS: Final = 200
_SWITCHES: Final = 101


class Answer:
    """Call ``take`` with what comes until the answer is ``whole``. ``sent`` returns whether the request was sent."""

    def __init__(self, sent: Callable[[], bool] = lambda: True) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names are in lower case. When a name comes more than once, the last value is here."""
        self.body = bytearray()
        self.whole = False
        self.keeps_alive = False
        """Whether the connection can carry another request."""
        self._sent = sent
        self._early = False
        self._has_head = False
        self._head_bytes = 0
        self._lines = 0
        self._parser = HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """Take the next bytes. Raises ValueError when they cannot be an answer to the request."""
        if not self._head_bytes:
            self._early = not self._sent()
            if not data.startswith(b"H"):
                raise ValueError("the answer is not HTTP: other bytes come before it")
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.whole:
                raise ValueError(f"the answer is not HTTP: {_cause(error)}") from None
            self.keeps_alive = False
        if len(self.body) > MAX_ANSWER_BYTES:
            raise ValueError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        if not self._has_head and self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the answer has headers without end")

    def end(self) -> None:
        """Say that the connection has ended. Raises ConnectionError when the answer is not whole."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if not self.whole and (framed or not self._has_head):
            raise ConnectionResetError("the connection was closed before the answer was whole")
        self.whole, self.keeps_alive = True, False

    def check_order(self) -> None:
        """Raises ValueError when a 2xx answer came before the request was sent."""
        if self._early and 200 <= self.status < 300:
            raise ValueError("the answer came before the request was sent")

    def on_message_begin(self) -> None:
        if self.whole:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.whole or self._has_head:
            return  # a header of another answer, or a trailer
        self._lines += 1
        if self._lines > MAX_HEADERS:
            raise ValueError("there are too many headers")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.whole:
            return
        self.status = self._parser.get_status_code()
        if self.status < 100 or self.status == _SWITCHES:
            raise ValueError(f"nobody asked for {self.status:03}")
        self._has_head = self.status >= 200
        if not self._has_head:
            self.headers.clear()

    def on_body(self, part: bytes) -> None:
        if not self.whole:
            self.body += part

    def on_message_complete(self) -> None:
        if not self.whole and self._has_head:
            self.whole = True
            self.keeps_alive = self._parser.should_keep_alive() and not self._early


def _cause(error: Exception) -> str:
    """The text of what one of our callbacks raised, else of the parser's own error."""
    return str(error.__context__ or error)
