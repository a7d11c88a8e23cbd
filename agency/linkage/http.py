"""One HTTP exchange with an end: a deadline for all of it, a limit for its size, a certificate that is checked.

The standard library's client bounds each wait and not their sum: a server that sends a byte a second holds it for
hours. Here each wait gets what is left of the time, so nothing is shut down from another thread: that takes the layer
of TLS off, and what is read next is read in clear. Only the look-up of the name has the system's own time.

A body is believed only whole: as long as it was announced, or chunked to its last chunk. What is of a person goes in a
body, never in a URL, for those end up in the logs of proxies. Redirects are not followed: the address is configuration.
"""

import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from appliance.errors import ConfigError

MAX_BODY_BYTES = 65_536
_MAX_RECEIVED_BYTES = 2 * MAX_BODY_BYTES  # with the headers, and what chunks cost
_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(?i:https?)://(?:(?![@?#\\])[!-~])+")
_LENGTH, _CHUNK = re.compile(r"[0-9]{1,9}"), re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_HTTP_1_1 = 11
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
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError([f"cannot use the certificates in {self.ca}: {reason}"]) from None

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
        ends_s = time.monotonic() + self.timeout_s
        parts = urlsplit(self.url)
        try:
            request = self._request(parts, path, body, content_type)
            line = _Line(self._connect(parts, ends_s), ends_s)
        except _FAILURES as error:  # without its words: they may hold what was sent
            raise NotReached(type(error).__name__) from None
        with line:
            try:
                line.send(request)
                return _reply(line)
            except _FAILURES as error:
                raise NoAnswer(type(error).__name__) from None

    def _request(self, parts: SplitResult, path: str, body: bytes, content_type: str) -> bytes:
        headers = {
            "Host": parts.netloc,
            "Accept-Encoding": "identity",
            **(self.headers or {}),
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        start = f"POST {parts.path.rstrip('/') + path or '/'} HTTP/1.1"
        lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("ascii") + body

    def _connect(self, parts: SplitResult, ends_s: float) -> socket.socket:
        """Return a connection that can be trusted. Raises OSError."""
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        context = self._context() if parts.scheme == "https" else None
        sock = _first(host, port, ends_s)
        try:
            if context is not None:
                sock = layer = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                layer.settimeout(_left_s(ends_s))
                layer.do_handshake()
        except _FAILURES:
            sock.close()
            raise
        return sock

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _left_s(ends_s: float) -> float:
    """Return what is left of the time. Raises TimeoutError."""
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _first(host: str, port: int, ends_s: float) -> socket.socket:
    """Connect to the first address that answers; one that is dead leaves the others their share of the time."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for shares, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left_s(ends_s) / shares)
            sock.connect(address)
        except OSError:
            sock.close()
            if shares == 1:
                raise
        else:
            return sock
    raise OSError("no address")


class _Line(io.RawIOBase):
    """A connection on which every wait ends with the exchange, and every byte that comes is counted.

    Args:
        sock: connected; closed with the line.
        ends_s: monotonic time.
    """

    def __init__(self, sock: socket.socket, ends_s: float) -> None:
        self._sock, self._ends_s, self._received = sock, ends_s, 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what ``http.client`` reads from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, and wait for something only while there is time."""
        self._sock.settimeout(_left_s(self._ends_s))
        count = self._sock.recv_into(buffer)
        self._received += count
        if self._received > _MAX_RECEIVED_BYTES:
            raise ValueError("more than an answer holds")
        return count

    def send(self, content: bytes) -> None:
        """Send all of it in time."""
        rest = memoryview(content)
        while rest:
            self._sock.settimeout(_left_s(self._ends_s))
            rest = rest[self._sock.send(rest) :]

    def close(self) -> None:
        """Hang up."""
        self._sock.close()
        super().close()


def _reply(line: Any) -> Reply:
    response = http.client.HTTPResponse(line, method="POST")
    response.begin()
    lengths, codings = (response.headers.get_all(name, []) for name in ("Content-Length", "Transfer-Encoding"))
    if not codings and len(lengths) == 1 and _LENGTH.fullmatch(lengths[0].strip()):
        body = _exactly(response.fp, int(lengths[0]))
    elif not lengths and [one.strip().lower() for one in codings] == ["chunked"] and response.version == _HTTP_1_1:
        body = b"".join(_chunks(response.fp))
    else:
        raise NoAnswer("it does not say where its body ends")
    return Reply(response.status, body)


def _chunks(stream: io.BufferedReader) -> Iterator[bytes]:
    left = MAX_BODY_BYTES
    while True:
        size = _CHUNK.fullmatch(stream.readline(16))
        if size is None or int(size[1], 16) > left:
            raise NoAnswer("a chunk of no size, or more than an answer holds")
        left -= int(size[1], 16)
        yield _exactly(stream, int(size[1], 16))
        if stream.read(2) != b"\r\n":
            raise NoAnswer("a chunk without its end")
        if not int(size[1], 16):
            return


def _exactly(stream: io.BufferedReader, size: int) -> bytes:
    content = stream.read(size) if size <= MAX_BODY_BYTES else b""
    if len(content) != size:
        raise NoAnswer("more, or less, than an answer holds")
    return content


def _fault(url: str) -> str | None:
    """Return what is wrong with a URL, and what it must be."""
    if not _PLAIN.fullmatch(url):
        return "must be a plain URL, https://host/path in ASCII (a Thai name as xn--…), without user, query or fragment"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        is_good = bool(host.encode("idna")) and port != 0
    except ValueError:  # UnicodeError is one
        is_good = False
    if not is_good:
        return "has no host, or a port that is none: https://host/path or https://host:port/path, 1 to 65535"
    if parts.scheme == "http" and not _is_here(host):
        return "must be https: what is asked there is of citizens"
    return None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
