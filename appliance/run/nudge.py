"""The one word between station and link: "look again". What must survive is in the database, never in here."""

import os
import socket
from contextlib import suppress
from pathlib import Path

SOCKET_NAME = "link.sock"


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def bound_socket(path: Path) -> socket.socket:
    """Return a datagram socket at ``path``, in place of what a process of before left there; it never blocks."""
    path.unlink(missing_ok=True)
    made = _new_socket()
    made.bind(str(path))
    path.chmod(0o660)
    return made


class Nudge:
    """The station's side; a link that is not there is no error."""

    def __init__(self, runtime: Path) -> None:
        self._path = str(runtime / SOCKET_NAME)
        self._socket = _new_socket()

    def __call__(self) -> None:
        """Say it."""
        with suppress(OSError):
            self._socket.sendto(b"\n", self._path)


class Ear:
    """The link's side: a socket for ``select``, which the station nudges and the link's own threads can wake."""

    def __init__(self, runtime: Path) -> None:
        self._socket = bound_socket(runtime / SOCKET_NAME)
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def filenos(self) -> list[int]:
        """Return what to wait on."""
        return [self._socket.fileno(), self._read]

    def wake(self) -> None:
        """Wake the loop from another thread."""
        with suppress(BlockingIOError):
            os.write(self._write, b"\n")

    def drain(self) -> None:
        """Forget every nudge so far."""
        with suppress(BlockingIOError):
            while self._socket.recv(16):
                pass
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass
