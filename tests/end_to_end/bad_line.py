"""A line between a client and the service that loses the first answer to each request and refuses the second try."""

import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ID = "Idempotency-Key"
_PASSED_ON = ("X-API-Key", "Content-Type", _ID)


@contextmanager
def bad_line(service: str) -> Iterator[tuple[str, Counter[str]]]:
    """Its URL, and how often each Idempotency-Key came. GETs pass."""
    tries: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        """Stores the first try without a word, is busy at the second, passes the third on."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers[_ID]
            tries[key] += 1
            if tries[key] == 2:
                self._answer(503, b'{"success":false}', {"Retry-After": "1"})
                return
            answer = self._pass_on(body)
            if tries[key] == 1:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(*answer, {})

        def do_GET(self) -> None:
            self._answer(*self._pass_on(None), {})

        def _pass_on(self, body: bytes | None) -> tuple[int, bytes]:
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            request = urllib.request.Request(service + self.path, data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read()

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests say what went wrong themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", tries
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
