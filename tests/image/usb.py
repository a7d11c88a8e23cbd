"""USB card readers of the emulated machine, and the hand that plugs them and puts cards in.

QEMU's ``usb-ccid`` is a CCID reader that takes whole APDUs; ``ccid-card-passthru`` sends each of them over a socket
to this process, where a virtual card of ``appliance.simulate`` answers. A message on that socket is a header of three
numbers of four bytes (type, reader, length; big endian) and its data.

Two faults of QEMU are made good here, because no true reader has them. It drops the answer that is due when its card
goes, and the guest's driver then waits for minutes: the reader here says first that the command failed. And it drops
the notice that a card went where the guest is not just then asking: the notice is given twice.

Source: libcacard, ``vscard_common.h``.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from appliance.simulate.card import Pulled, VirtualCard
from appliance.simulate.quirks import At
from tests.image.machine import Machine, MachineError, connected

_INIT, _ERROR, _READER_ADD, _ATR, _CARD_REMOVE, _APDU = 1, 2, 3, 5, 6, 7
_VERSION = 2
_HEADER = struct.Struct(">III")
_DEVICE_PATIENCE_S = 5.0
_FETCH_S = 0.1  # in which the guest fetches an answer
_POLL_S = 0.3  # longer than between two askings of the guest for notices


class UsbReader:
    """One reader, in a port or in the drawer.

    Args:
        machine: the machine that it is plugged into.
        number: 0 or 1.

    Attributes:
        gives_up_after_s: how long a card may be silent before the reader says so; None for ever: its firmware hangs.
    """

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine, self._number = machine, number
        self.gives_up_after_s: float | None = None
        self._line: socket.socket | None = None
        self._card: VirtualCard | None = None
        self._plugs = 0

    @property
    def is_plugged(self) -> bool:
        """Say whether it is in a port."""
        return self._line is not None

    def plug(self, port: int) -> None:
        """Put it into USB port ``port`` (1 to 4), without a card."""
        self._plugs += 1
        name = f"reader{self._number}-{self._plugs}"
        self._machine.qmp("device_add", driver="usb-ccid", id=name, bus="usb.0", port=str(port))
        self._add_card_socket(name)
        self._line = connected(self._machine.card_line(self._number), _DEVICE_PATIENCE_S)
        self._send(_INIT, b"VSCD" + struct.pack(">II", _VERSION, 0))
        self._send(_READER_ADD)
        threading.Thread(target=self._serve, args=(self._line,), name="usb-card", daemon=True).start()

    def unplug(self) -> None:
        """Pull it out of its port; a card that is in stays in the pulled reader."""
        line, self._line, self._card = self._line, None, None
        self._machine.qmp("device_del", id=f"reader{self._number}-{self._plugs}")
        if line is not None:
            line.shutdown(socket.SHUT_RDWR)  # its thread holds it too: closing alone would not end it
            line.close()

    def insert(self, card: VirtualCard) -> None:
        """Put a card in."""
        card.reset()
        self._card = card
        self._send(_ATR, card.atr)

    def remove(self) -> None:
        """Take the card out."""
        self._card = None
        self._send(_CARD_REMOVE)
        time.sleep(_POLL_S)
        self._send(_CARD_REMOVE)

    def _add_card_socket(self, name: str) -> None:
        end_s = time.monotonic() + _DEVICE_PATIENCE_S
        while True:  # the card of the last plugging lets its socket go a moment after it went
            try:
                self._machine.qmp(
                    "device_add", driver="ccid-card-passthru", bus=f"{name}.0", chardev=f"card{self._number}"
                )
            except MachineError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.02)
            else:
                return

    def _send(self, kind: int, data: bytes = b"") -> None:
        if self._line is not None:
            self._line.sendall(_HEADER.pack(kind, 0, len(data)) + data)

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError, ValueError), line.makefile("rb") as messages:
            while len(header := messages.read(_HEADER.size)) == _HEADER.size:
                kind, _, size_bytes = _HEADER.unpack(header)
                data = messages.read(size_bytes)
                if kind == _APDU and self._card is not None:
                    self._pass_on(data, self._card)

    def _pass_on(self, command: bytes, card: VirtualCard) -> None:
        try:
            answer = card.answer(command)
        except Pulled:
            self._say_failed(0)
            time.sleep(_FETCH_S)
            self.remove()
            return
        if answer is not None:
            self._send(_APDU, answer)
        elif self.gives_up_after_s is not None:
            self._say_failed(self.gives_up_after_s)

    def _say_failed(self, after_s: float) -> None:
        time.sleep(after_s)
        self._send(_ERROR, bytes(4))


class Interrupted(At):
    """Something happens at command ``at``, and the card says nothing from then on.

    Args:
        card: the card inside.
        at: counts commands from 1.
        then: what happens.
    """

    def __init__(self, card: VirtualCard, at: int, then: Callable[[], None]) -> None:
        super().__init__(card, at)
        self._then = then

    def _say(self, command: bytes) -> bytes | None:
        if len(self.log) == self.at:
            self._then()
        return super()._say(command) if len(self.log) < self.at else None
