"""A small service on port 0 that gives the answers of a test and remembers the requests."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class FakeService:
    """``answers`` by "METHOD /path", with a query or for any: each is a status, a body and headers.

    Anything else is 404 and no JSON.
    """

    port: int = 0
    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    """Method, path with its query, key and body of each request."""

    def answer(self, route: str, status: int, body: bytes, **headers: str) -> None:
        """Say this to ``route`` from now on."""
        self.answers[route] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def serving(*, tls: tuple[Path, Path] | None = None) -> Iterator[FakeService]:
    """A fake service; with ``tls`` it shows that certificate."""
    fake = FakeService()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.asked.append((self.command, self.path, self.headers.get("X-API-Key", ""), body))
            route = f"{self.command} {self.path.partition('?')[0]}"
            other = fake.answers.get(route, (404, b"<html>not here</html>", {}))
            status, answer, headers = fake.answers.get(f"{self.command} {self.path}", other)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = respond

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that hangs up is part of the test
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
