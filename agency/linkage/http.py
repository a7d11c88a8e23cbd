"""One HTTP exchange with an end: a deadline for all of it, a limit for its size, a certificate that is checked.

The standard library's client bounds each wait and not their sum: a server that sends a byte a second holds it for
hours. Here a watchdog shuts the socket down when the time is over; only the look-up of the name has the system's own
time. What is of a person goes in a body, never in a URL, for those end up in the logs of proxies. Redirects are not
followed: the address is configuration.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from appliance.errors import ConfigError

MAX_BODY_BYTES = 65_536
_FAILURES = (OSError, http.client.HTTPException, ValueError)


class NotReached(Exception):
    """Nothing of the request can have been carried out: no connection, or no trust in it."""


class NoAnswer(Exception):
    """The request left, and no whole answer came: what became of it nobody knows."""


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        status: HTTP status.
        body: at most ``MAX_BODY_BYTES``.
    """

    status: int
    body: bytes


@dataclass(frozen=True)
class Endpoint:
    """A place to ask.

    Args:
        url: https, or http on this very machine.
        timeout_s: for the whole exchange.
        ca: certificates to trust; the system's where it is None.
        headers: sent with each request.
    """

    url: str
    timeout_s: float
    ca: Path | None = None
    headers: Mapping[str, str] | None = None

    def check(self) -> None:
        """Make sure that it can be used. Raises ConfigError."""
        fault = _fault(self.url)
        if fault:
            raise ConfigError([f"{self.url!r} {fault}"])
        try:
            self._context()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"cannot use the certificates in {self.ca}: {error.strerror or error}"]) from None

    def post(self, path: str, body: bytes, content_type: str) -> Reply:
        """Send ``body`` and return the answer.

        Args:
            path: added to the URL's.
            body: of the request.
            content_type: of it.

        Raises:
            NotReached: it never left.
            NoAnswer: it left, and no whole answer came in time.
        """
        parts = urlsplit(self.url)
        connection = self._connection(parts)
        connected: list[socket.socket] = []
        watchdog = threading.Timer(self.timeout_s, _shut, (connection, connected))
        watchdog.daemon = True
        watchdog.start()
        try:
            try:
                connection.connect()
                connected.append(connection.sock)  # the connection lets go of it when the headers are read
            except _FAILURES as error:  # without its words: they may hold what was sent
                raise NotReached(type(error).__name__) from None
            try:
                headers = {**(self.headers or {}), "Content-Type": content_type, "Connection": "close"}
                connection.request("POST", parts.path.rstrip("/") + path or "/", body, headers)
                return _whole(connection.getresponse())
            except _FAILURES as error:
                raise NoAnswer(type(error).__name__) from None
        finally:
            watchdog.cancel()
            connection.close()

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "https":
            return _Https(host, parts.port, timeout=self.timeout_s, context=self._context())
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_s)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class _Https(http.client.HTTPSConnection):
    """Shows its socket before the handshake, so that the watchdog can end that too."""

    def __init__(self, host: str, port: int | None, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context

    def connect(self) -> None:
        bare = socket.create_connection((self.host, self.port), self.timeout)
        sock = self._tls.wrap_socket(bare, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = sock
        sock.do_handshake()


def _whole(response: http.client.HTTPResponse) -> Reply:
    content = response.read(MAX_BODY_BYTES + 1)
    if len(content) > MAX_BODY_BYTES or response.length:
        raise NoAnswer("more, or less, than an answer holds")
    return Reply(response.status, content)


def _shut(connection: http.client.HTTPConnection, connected: list[socket.socket]) -> None:
    sockets = connected or ([connection.sock] if connection.sock is not None else [])
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _fault(url: str) -> str | None:
    """Return what is wrong with a URL."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        return "must be a plain URL, https://host/path, without user, query or fragment"
    if parts.scheme == "http" and not _is_here(host):
        return "must be https: what is asked there is of citizens"
    return None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
