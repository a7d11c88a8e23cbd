"""A virtual card in the virtual reader of a real pcscd, over the wire of the driver ``vpcd``."""

import socket
import struct
import threading
import time
from contextlib import suppress

from appliance.simulate.card import Pulled, VirtualCard

VPCD_PORT = 35963

_POWER = (b"\x00", b"\x01", b"\x02")
_ATR = b"\x04"


class VpcdCard:
    """A virtual card in the virtual reader of a real pcscd.

    The card dials in (TCP): connecting is inserting, closing is removing. A frame is a length of two bytes, big
    endian, and the payload; a payload of one byte is control (0 off, 1 on, 2 reset, 4 "your ATR?"). Each of the first
    three loses the card's state; a card that raises ``Pulled`` hangs up.

    Args:
        card: what answers.
        port: where vpcd listens on this machine.
    """

    def __init__(self, card: VirtualCard, port: int = VPCD_PORT) -> None:
        self.card = card
        self._address = ("127.0.0.1", port)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._is_noticed = threading.Event()

    def insert(self, timeout_s: float = 5.0) -> None:
        """Put the card in. Raises OSError where no virtual reader listens within ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                line = socket.create_connection(self._address, timeout=1)
                break
            except OSError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.02)
        line.settimeout(None)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = line
        self._thread = threading.Thread(target=self._serve, args=(line,), name="vpcd-card", daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Take the card out."""
        line, self._socket = self._socket, None
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    def wait_noticed(self, timeout_s: float) -> bool:
        """Say whether the virtual reader has spoken to the card; it does not while it holds another one."""
        return self._is_noticed.wait(timeout_s)

    def is_in(self) -> bool:
        """Say whether the virtual reader still holds the card."""
        return self._thread is not None and self._thread.is_alive()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError, EOFError), line:
            while True:
                (size_bytes,) = struct.unpack(">H", _receive(line, 2))
                message = _receive(line, size_bytes)
                self._is_noticed.set()
                try:
                    answer = self._control(message) if size_bytes == 1 else self.card.answer(message)
                except Pulled:
                    return
                if answer is not None:
                    line.sendall(struct.pack(">H", len(answer)) + answer)

    def _control(self, message: bytes) -> bytes | None:
        if message in _POWER:
            self.card.reset()
        return self.card.atr or None if message == _ATR else None


def _receive(line: socket.socket, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        # vpcd sends length and payload apart with Nagle on; without an immediate ACK each exchange costs 44 ms.
        # The option holds for one receive only.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = line.recv(size_bytes - len(data))
        if not part:
            raise EOFError
        data += part
    return data
