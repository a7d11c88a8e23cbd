"""The allow-list: compares every command with what the active service may read, before it goes to the card.

It stands in the reader worker, next to the card, and knows nothing of who asks: a fault or a foe in the station
process still cannot read a byte more than the service's profile names. Two applets answer the same read command
with different files, so it follows which one is selected.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache

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

    def __init__(self, transmit: Callable[[bytes], bytes], allowed: Collection[Field]) -> None:
        self._transmit = transmit
        self._applets, self._readable = _lists(frozenset(allowed))
        self._selected: Applet | None = None

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU and return its answer.

        Raises:
            CommandForbidden: the service may not send it; nothing was sent. The message holds no byte of the card.
        """
        applet = self._applets.get(command) or self._applets.get(command[:-1])  # the card may have asked for an Le
        if applet is None and not self._is_allowed(command):
            raise CommandForbidden(f"the service may not send the command {command[:8].hex()}; it was not sent")
        if applet is None:
            return self._transmit(command)
        self._selected = None  # a SELECT that fails or breaks off may leave the applet before it, with another file
        answer = self._transmit(command)
        if answer[-2:] == b"\x90\x00" or answer[-2:-1] == b"\x61":
            self._selected = applet
        return answer

    def _is_allowed(self, command: bytes) -> bool:
        if command[:4] in _GET_RESPONSE and len(command) == 5:
            return True
        if self._selected is None:
            return False
        if self._selected in ANSWERS:
            return command[:-1] == ANSWERS[self._selected].command.without_le()
        if command[:2] == _READ and len(command) in _READ_BYTES and command[4:6] == b"\x02\x00" and command[6]:
            start = int.from_bytes(command[2:4], "big")
            return any(run.start <= start and start + command[6] <= run.stop for run in self._readable[self._selected])
        return False


@cache
def _lists(fields: frozenset[Field]) -> tuple[Mapping[bytes, Applet], Mapping[Applet, Sequence[range]]]:
    """Return the SELECT commands without Le, and the bytes of each applet's file that may be read.

    Whoever may read anything may ask whether this is a Thai ID card at all.
    """
    applets = {Applet.MOI, *(field.applet for field in fields)} if fields else set()
    selects = {select(applet).without_le(): applet for applet in applets}
    return selects, {applet: runs(_stretches(fields, applet)) for applet in Applet}


def _stretches(fields: frozenset[Field], applet: Applet) -> Iterator[range]:
    for field in fields:
        if field.applet is applet:
            yield field.stretch
            if field is Field.PHOTO:
                yield PHOTO_LENGTH
