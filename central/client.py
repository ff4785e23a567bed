"""How the command line asks the running service: one REST request at a time, with exact numbers and clear errors."""

import http.client
import json
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from central.access.key_file import read_key
from central.query.formats import COMPLETE_HEADER, UNKNOWN_HEADER
from central.settings import Settings
from runtime.private_files import open_new

TIMEOUT_SECONDS: Final = 60.0
_CHUNK: Final = 1 << 20
_MARKED: Final = re.compile(r'"\\u0000(-?[0-9.]+)\\u0000"')
_FIRST_CERTIFICATE: Final = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


Watch = Callable[[int | None], AbstractContextManager[Callable[[int], object]]]


def _unwatched(_: int | None) -> AbstractContextManager[Callable[[int], object]]:
    return nullcontext(lambda done: None)


class ClientError(Exception):
    """The request failed. The message is one line that says what to do.

    ``code`` is the code of the service's error answer, if it sent one.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Target(NamedTuple):
    """The service's URL, the key to send (empty for none) and the certificate to expect.

    ``url_source`` is the setting or option that the URL comes from; empty for the service that the settings start.
    """

    url: str
    key: str
    key_source: str
    certificate: Path | None = None
    url_source: str = ""


def exact_json(answer: Any) -> str:
    """A decoded answer as JSON again. Its Decimals keep all digits, which json alone would write as floats."""
    return _MARKED.sub(r"\1", json.dumps(answer, default=lambda number: f"\0{number:f}\0"))


def target_of(settings: Settings) -> Target:
    """The service that these settings start, with its admin key. Raises ClientError if there is no key."""
    if settings.listen[1] == 0:
        raise ClientError("METRICS_LISTEN has port 0, so the port of the service is unknown; set the port that it uses")
    if settings.admin_key is not None:
        return Target(settings.url, settings.admin_key, "METRICS_ADMIN_KEY", settings.tls_cert)
    path = settings.data_dir / "admin.key"
    return Target(settings.url, _admin_key(path), str(path), settings.tls_cert)


def remote_target(url: str, url_source: str, key: str, key_source: str) -> Target:
    """A service anywhere. Raises ClientError for a URL that is none."""
    parts = urlsplit(url)
    try:
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        fits = False
    if not fits or parts.query or parts.fragment or parts.username is not None:
        raise ClientError(f"{url_source} is {url[:80]!r}; it must be such as https://metrics.example.com")
    return Target(url.rstrip("/"), key, key_source, None, url_source)


def _admin_key(path: Path) -> str:
    try:
        return read_key(path)
    except FileNotFoundError:
        raise ClientError(
            f"no admin key at {path}: start the service once ('fiesta-central serve' writes it), run this where it "
            "runs, or set METRICS_DATA_DIR or METRICS_ADMIN_KEY"
        ) from None
    except (OSError, ValueError) as error:
        raise ClientError(f"the admin key at {path} cannot be read: {error}") from None


class Downloaded(NamedTuple):
    """A file that the service sent. Without ``complete`` it may lack acknowledged points that wait in the spill.

    ``unknown`` has the names and the pattern that do not exist, with commas between.
    """

    size: int
    complete: bool
    unknown: str = ""


class Client:
    """Sends requests to one service. It opens a new connection for each request."""

    def __init__(self, target: Target, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._target = target
        self._timeout = timeout

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The decoded answer to a GET. Numbers with a point are Decimal. Raises ClientError."""
        return self._json("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str = "") -> Any:
        """The decoded answer to a POST. Raises ClientError."""
        return self._json("POST", path, body, {"Idempotency-Key": idempotency_key} if idempotency_key else {})

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """The decoded answer to a PATCH. Raises ClientError."""
        return self._json("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """The decoded answer to a DELETE. Raises ClientError."""
        return self._json("DELETE", path)

    def get_text(self, path: str, query: Mapping[str, str]) -> str:
        """The text of the answer to a GET. Raises ClientError."""
        with self._request("GET", f"{path}?{urlencode(query)}") as response:
            return response.read().decode()

    def status(self, path: str) -> tuple[str, Any]:
        """The Date header (or "") and the decoded answer to a GET, whatever its status. Raises ClientError."""
        with self._request("GET", path, refused=False) as response:
            try:
                return response.headers.get("Date", ""), json.loads(response.read())
            except ValueError:
                raise self._foreign() from None

    def download(self, path: str, target: Path, watch: Watch = _unwatched) -> Downloaded:
        """Write the answer to a GET to the new file ``target`` (mode 0600), whole or not at all.

        ``watch`` is called with the announced size. The function that it yields is called with the size of each piece.

        Raises ClientError, and FileExistsError if ``target`` exists.
        """
        if target.exists():
            raise FileExistsError(target)
        partial = target.with_name(f"{target.name}.part")
        with self._request("GET", path) as response:
            try:
                size = _save(response, partial, watch)
                partial.rename(target)
            finally:
                partial.unlink(missing_ok=True)
            complete = response.headers.get(COMPLETE_HEADER) != "false"
            return Downloaded(size, complete, response.headers.get(UNKNOWN_HEADER, ""))

    def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, more: Mapping[str, str] | None = None
    ) -> Any:
        with self._request(method, path, body, more) as response:
            try:
                return json.loads(response.read(), parse_float=Decimal)
            except ValueError:
                raise self._foreign() from None

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
        *,
        refused: bool = True,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        headers = {**({"X-API-Key": self._target.key} if self._target.key else {}), **(more or {})}
        try:
            self._connect(connection)
            connection.request(
                method, urlsplit(self._target.url).path + path, None if body is None else json.dumps(body), headers
            )
            with connection.getresponse() as response:
                if refused and response.status >= 300:
                    raise self._refusal(response)
                yield response
        except TimeoutError:
            raise ClientError(f"{self._target.url} did not answer within {self._timeout:g} s: see its log") from None
        except http.client.IncompleteRead:
            raise ClientError("the service broke off in the middle of its answer: see its log, try again") from None
        except (http.client.HTTPException, ConnectionError):
            raise self._foreign() from None
        finally:
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise ClientError(self._distrust(error)) from None
        except OSError as error:
            advice = (
                f"check {self._target.url_source}"
                if self._target.url_source
                else "start it with 'fiesta-central serve', or set METRICS_LISTEN to the address it listens on"
            )
            raise ClientError(
                f"no service answers at {self._target.url} ({error.strerror or error}): {advice}"
            ) from None

    def _connection(self) -> http.client.HTTPConnection:
        url = urlsplit(self._target.url)
        host, certificate = url.hostname or "", self._target.certificate
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=self._timeout)
        context = ssl.create_default_context() if certificate is None else _trust_only(certificate)
        return http.client.HTTPSConnection(host, url.port, timeout=self._timeout, context=context)

    def _distrust(self, error: ssl.SSLError) -> str:
        if self._target.url_source:
            return f"{self._target.url} cannot be trusted: {error}; SSL_CERT_FILE may name your own authority"
        return f"{self._target.url} does not show the certificate of METRICS_TLS_CERT: {error}"

    def _refusal(self, response: http.client.HTTPResponse) -> ClientError:
        try:
            error = json.loads(response.read())["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            return self._foreign()
        if response.status == 401:
            advice = (
                f"check that it is a key of {self._target.url}"
                if self._target.url_source
                else "check that METRICS_DATA_DIR and METRICS_ADMIN_KEY are those of the running service"
            )
            return ClientError(f"the service does not accept the key of {self._target.key_source}: {advice}")
        if response.status in (429, 503) and (seconds := response.headers.get("Retry-After")):
            message = f"{message}; try again in {seconds} s"
        return ClientError(f"{message} ({code})", code)

    def _foreign(self) -> ClientError:
        source = self._target.url_source or "METRICS_LISTEN"
        return ClientError(f"what answers at {self._target.url} is not the service: check {source}")


def _save(response: http.client.HTTPResponse, path: Path, watch: Watch) -> int:
    """Write the body durably. Raises IncompleteRead if it is cut short, which http.client does not always notice."""
    size = 0
    text = response.headers.get("Content-Length")
    promised = None if text is None else int(text)
    with os.fdopen(open_new(path), "wb") as file:
        with watch(promised) as advance:
            while chunk := response.read(_CHUNK):
                size += file.write(chunk)
                advance(len(chunk))
        if promised is not None and size != promised:
            raise http.client.IncompleteRead(b"", promised - size)
        file.flush()
        os.fsync(file.fileno())
    return size


def _trust_only(certificate: Path) -> ssl.SSLContext:
    """A TLS context that accepts exactly this certificate.

    This is stricter than checking a chain and a host name. It also works if the certificate names no loopback address.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    leaf = _FIRST_CERTIFICATE.search(certificate.read_text(encoding="ascii", errors="replace"))
    context.load_verify_locations(cadata=leaf[0] if leaf else "")
    return context
