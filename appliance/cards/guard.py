"""The allow-list: compares every command with what the active service may read, before it goes to the card.

It stands in the reader worker, next to the card, and knows nothing of who asks: a fault or a foe in the station
process still cannot read a byte more than the service's profile names. Two applets answer the same read command
with different files, so it follows which one is selected.
"""

from collections.abc import Callable, Iterable, Iterator

from appliance.cards.apdu import Command
from appliance.cards.plan import runs
from appliance.cards.thai_id import ANSWERS, PHOTO_LENGTH, Applet, Field, select
from appliance.errors import CommandForbidden

_GET_RESPONSE = (b"\x00\xc0\x00\x00", b"\x00\xc0\x00\x01")
_READ = b"\x80\xb0"
_READ_BYTES = (7, 8)  # without Le, and with the Le that 6Cxx asked for


class Guard:
    """Sends what is allowed through ``transmit``, and refuses the rest.

    Args:
        transmit: sends one APDU, returns data and status word.
        allowed: the fields that may be read.
    """

    def __init__(self, transmit: Callable[[bytes], bytes], allowed: Iterable[Field]) -> None:
        self._transmit = transmit
        fields = frozenset(allowed)
        self._applets = {field.applet: select(field.applet) for field in fields}
        self._readable = {applet: runs(_stretches(fields, applet)) for applet in Applet}
        self._selected: Applet | None = None

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU and return its answer.

        Raises:
            CommandForbidden: the service may not send it; nothing was sent. The message holds no byte of the card.
        """
        applet = next((applet for applet, known in self._applets.items() if _is_same(command, known)), None)
        if applet is None and not self._is_allowed(command):
            raise CommandForbidden(f"the service may not send the command {command[:8].hex()}; it was not sent")
        answer = self._transmit(command)
        if applet is not None:  # a card that refuses a SELECT keeps the applet before it, with another file
            self._selected = applet if answer[-2:] == b"\x90\x00" or answer[-2:-1] == b"\x61" else None
        return answer

    def _is_allowed(self, command: bytes) -> bool:
        if command[:4] in _GET_RESPONSE and len(command) == 5:
            return True
        if self._selected is None:
            return False
        if self._selected in ANSWERS:
            return _is_same(command, ANSWERS[self._selected].command)
        if command[:2] == _READ and len(command) in _READ_BYTES and command[4:6] == b"\x02\x00" and command[6]:
            start = int.from_bytes(command[2:4], "big")
            return any(run.start <= start and start + command[6] <= run.stop for run in self._readable[self._selected])
        return False


def _stretches(fields: Iterable[Field], applet: Applet) -> Iterator[range]:
    for field in fields:
        if field.applet is applet:
            yield field.stretch
            if field is Field.PHOTO:
                yield PHOTO_LENGTH


def _is_same(command: bytes, known: Command) -> bool:
    """Say whether a command is the known one, whatever Le it carries: the card may have asked for another."""
    bare = bytes(Command(known.cla, known.ins, known.p1, known.p2, known.data))
    return command == bare or (len(command) == len(bare) + 1 and command.startswith(bare))
