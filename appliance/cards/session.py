"""A conversation with one card: sends a command and sees it through 61xx and 6Cxx to its whole answer.

Over T=0 a card answers ``61 nn`` ("nn bytes wait") or ``6C nn`` ("ask again with Le = nn"), and no layer below does
the asking. Both are bounded here: a card that never comes to an end is garbled, not endless.
"""

from collections.abc import Callable

from appliance.cards import status_word
from appliance.cards.apdu import Command, Response
from appliance.errors import CardGarbled, CardRefused, NotAThaiIdCard

MAX_GET_RESPONSE = 8
MAX_CORRECTIONS = 2

_INS_SELECT = 0xA4
_INS_GET_RESPONSE = 0xC0
_P1_BY_NAME = 0x04


class Session:
    """Talks through ``transmit`` and counts what it sends.

    Args:
        transmit: sends one APDU, returns data and status word; raises CardError.
    """

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self._transmit = transmit
        self.apdus = 0

    def select(self, aid: bytes) -> None:
        """Select an applet by its name.

        Raises:
            NotAThaiIdCard: the card does not have it.
        """
        sw = self._once(Command(0x00, _INS_SELECT, _P1_BY_NAME, 0x00, aid)).sw
        if sw != status_word.OK and status_word.sw1(sw) != status_word.MORE_DATA:
            raise NotAThaiIdCard(f"SELECT was answered with status word {sw:04X}")

    def ask(self, command: Command, size_bytes: int) -> bytes:
        """Send ``command`` and return exactly ``size_bytes`` of answer.

        Raises:
            CardRefused: the card answered with an error.
            CardGarbled: an answer of another length, or one that does not end.
        """
        response = self._corrected(command)
        data = response.data
        for _ in range(MAX_GET_RESPONSE):
            if status_word.sw1(response.sw) != status_word.MORE_DATA:
                break
            length = status_word.sw2(response.sw) or 256
            response = self._corrected(Command(0x00, _INS_GET_RESPONSE, 0x00, 0x00, le=length))
            data += response.data
        else:
            raise CardGarbled("the card goes on announcing more data")
        if response.sw != status_word.OK:
            raise CardRefused(response.sw)
        if len(data) != size_bytes:
            raise CardGarbled(f"{len(data)} bytes where {size_bytes} were asked for")
        return data

    def _corrected(self, command: Command) -> Response:
        for _ in range(MAX_CORRECTIONS + 1):
            response = self._once(command)
            if status_word.sw1(response.sw) != status_word.WRONG_LENGTH:
                return response
            length = status_word.sw2(response.sw) or 256
            command = Command(command.cla, command.ins, command.p1, command.p2, command.data, length)
        raise CardGarbled("the card never agrees on a length")

    def _once(self, command: Command) -> Response:
        self.apdus += 1
        return Response.parse(self._transmit(bytes(command)))
