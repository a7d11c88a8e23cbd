"""A broker that says whatever a test wants: it speaks TLS and the least of MQTT, stores nothing and delivers nothing.

It acknowledges every event, so to a station it looks healthy. What it sends beyond that is up to ``speech``.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
FINE = 0


@dataclass
class Rogue:
    """One rogue, listening.

    Args:
        listener: its socket.
        context: its TLS.
        answer: reason code of its CONNACK.
        limits: properties of its CONNACK.
        speech: called once a connection has subscribed to something, or was accepted where nobody does.
    """

    listener: socket.socket
    context: ssl.SSLContext
    answer: int = FINE
    limits: bytes = b""
    speech: Callable[["Visitor"], None] = lambda visitor: None
    connections: int = 0
    bundles: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._meet, args=(line,), daemon=True).start()

    def _meet(self, line: socket.socket) -> None:
        with suppress(OSError, EOFError), self.context.wrap_socket(line, server_side=True) as tls:
            Visitor(self, tls).talk()


@dataclass
class Visitor:
    """One connection of a client."""

    rogue: Rogue
    tls: ssl.SSLSocket
    version: int = 5

    def talk(self) -> None:
        while True:
            first, body = self._packet()
            kind = first >> 4
            if kind == CONNECT:
                self.version = body[6]
                properties = bytes([len(self.rogue.limits)]) + self.rogue.limits if self.version == 5 else b""
                self.send(0x20, bytes([0, self.rogue.answer]) + properties)
            elif kind == PUBLISH:
                self._acknowledge(first, body)
            elif kind == SUBSCRIBE:
                self.send(0x90, body[:2] + self._no_properties() + bytes([1, 1, 1]))
                self.rogue.speech(self)
            elif kind == PINGREQ:
                self.send(0xD0, b"")

    def send(self, first: int, body: bytes) -> None:
        """Send one whole packet."""
        self.tls.sendall(self.header(first, len(body)) + body)

    def header(self, first: int, size_bytes: int) -> bytes:
        """Return a fixed header that promises ``size_bytes``."""
        length = bytearray()
        while size_bytes or not length:
            size_bytes, seven = divmod(size_bytes, 128)
            length.append(seven | (0x80 if size_bytes else 0))
        return bytes([first, *length])

    def publish(self, topic: str, payload: bytes, qos: int = 1, mid: int = 1) -> None:
        name = topic.encode()
        number = struct.pack("!H", mid) if qos else b""
        head = struct.pack("!H", len(name)) + name + number + self._no_properties()
        self.send(0x30 | qos << 1, head + payload)

    def disconnect(self, reason: int) -> None:
        self.send(0xE0, bytes([reason, 0]))

    def _no_properties(self) -> bytes:
        return b"\0" if self.version == 5 else b""

    def _acknowledge(self, first: int, body: bytes) -> None:
        (size,) = struct.unpack_from("!H", body)
        name, rest = body[2 : 2 + size], body[2 + size :]
        if name.endswith(b"/event"):
            self.rogue.bundles.append(rest[2 + len(self._no_properties()) :])
        self.send(0x40, rest[:2])

    def _packet(self) -> tuple[int, bytes]:
        first, size, shift = self._read(1)[0], 0, 0
        while True:
            seven = self._read(1)[0]
            size |= (seven & 0x7F) << shift
            shift += 7
            if not seven & 0x80:
                return first, self._read(size)

    def _read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            piece = self.tls.recv(size - len(content))
            if not piece:
                raise EOFError
            content += piece
        return content


@contextmanager
def rogue_with(tls: Path) -> Iterator[Rogue]:
    """Start a rogue with the certificate of the agency's real broker, which lies in the folder ``tls``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rogue = Rogue(listener, context)
        threading.Thread(target=rogue.serve, daemon=True).start()
        yield rogue
        listener.shutdown(socket.SHUT_RDWR)
