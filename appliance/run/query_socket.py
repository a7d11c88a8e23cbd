"""The way of a question from the station to the link, and of its answer back: two Unix datagram sockets.

Neither end waits for the other, and nothing is kept: a question is of use for seconds. The link carries what it cannot
read; where it has no connection it says so at once, and nobody stands there waiting for nothing.
"""

import socket
from contextlib import suppress
from pathlib import Path

from appliance.events.chain import jws_hash
from appliance.events.query import MAX_ANSWER_BYTES, MAX_QUERY_BYTES
from appliance.ports import OFFLINE
from appliance.run.nudge import bound_socket

QUERY_SOCKET, ANSWER_SOCKET = "query.sock", "answer.sock"
_AT_ONCE = 50


def _received(own: socket.socket, most_bytes: int) -> list[bytes]:
    """Return what waits, at most a few; what is longer than it may be comes cut, and fails its check."""
    found: list[bytes] = []
    with suppress(OSError):
        while len(found) < _AT_ONCE:
            found.append(own.recv(most_bytes + 1))
    return found


class QuerySocket:
    """The station's end (``ports.QueryLine``); a link that is not there takes nothing."""

    def __init__(self, runtime: Path) -> None:
        self._to = str(runtime / QUERY_SOCKET)
        self._socket = bound_socket(runtime / ANSWER_SOCKET)

    def send(self, jws: str) -> bool:
        """Hand over a query; False where no link takes it."""
        try:
            self._socket.sendto(jws.encode(), self._to)
        except OSError:
            return False
        return True

    def receive(self) -> list[bytes]:
        """Return the answers that wait."""
        return _received(self._socket, MAX_ANSWER_BYTES)

    def close(self) -> None:
        """Take no more answers."""
        self._socket.close()


class AnswerSocket:
    """The link's end."""

    def __init__(self, runtime: Path) -> None:
        self._to = str(runtime / ANSWER_SOCKET)
        self._socket = bound_socket(runtime / QUERY_SOCKET)

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._socket.fileno()

    def queries(self) -> list[bytes]:
        """Return the queries that wait."""
        return [one for one in _received(self._socket, MAX_QUERY_BYTES) if len(one) <= MAX_QUERY_BYTES]

    def answer(self, payload: bytes) -> None:
        """Hand an answer to the station, where it is there and has room."""
        if len(payload) <= MAX_ANSWER_BYTES:
            with suppress(OSError):
                self._socket.sendto(payload, self._to)

    def offline(self, query: bytes) -> None:
        """Tell the station that its query goes nowhere."""
        with suppress(UnicodeDecodeError):
            self.answer(OFFLINE + jws_hash(query.decode("ascii")).encode())

    def close(self) -> None:
        """Take no more queries."""
        self._socket.close()
