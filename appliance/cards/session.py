"""A conversation with one card: sends a command and sees it through 61xx and 6Cxx to its whole answer.

Over T=0 a card answers ``61 nn`` ("nn bytes wait") or ``6C nn`` ("ask again with Le = nn"), and no layer below does
the asking; a reader that works with whole APDUs does it all by itself and gives ``90 00`` at once. Both are met, and
both are bounded: a card that never comes to an end is garbled, not endless.

Some old cards are said to want GET RESPONSE with P2 = 01 (docs/card.md): it is tried where P2 = 00 is refused.
"""

from collections.abc import Callable

from appliance.cards import status_word
from appliance.cards.apdu import Command, Response
from appliance.errors import CardGarbled, CardRefused, CardReset

MAX_GET_RESPONSE = 8
MAX_CORRECTIONS = 2

_INS_GET_RESPONSE = 0xC0


class Session:
    """Talks through ``transmit`` and counts what it sends.

    Args:
        transmit: sends one APDU, returns data and status word; raises CardError.
    """

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self._transmit = transmit
        self._response_p2 = 0x00
        self.apdus = 0

    def select(self, command: Command) -> None:
        """Send a SELECT. What the card would tell of the applet is not fetched.

        Raises:
            CardRefused: the card does not have it.
        """
        sw = self._corrected(command).sw
        if sw != status_word.OK and status_word.sw1(sw) != status_word.MORE_DATA:
            raise CardRefused(sw)

    def ask(self, command: Command, size_bytes: int) -> bytes:
        """Send ``command`` and return exactly ``size_bytes`` of answer.

        Raises:
            CardReset: the applet is not selected any more.
            CardRefused: the card answered with another error.
            CardGarbled: an answer of another length, or one that does not end.
        """
        response = self._corrected(command)
        data, fetches = response.data, 0
        while status_word.sw1(response.sw) == status_word.MORE_DATA:
            announced = status_word.sw2(response.sw) or 256
            if fetches == MAX_GET_RESPONSE or len(data) + announced > size_bytes:
                raise CardGarbled(f"the card announces more than the {size_bytes} bytes that were asked for")
            response = self._get_response(announced)
            data += response.data
            fetches += 1
        if response.sw in status_word.APPLET_LOST:
            raise CardReset(f"the card has no applet selected any more (status word {response.sw:04X})")
        if response.sw != status_word.OK:
            raise CardRefused(response.sw, has_begun=fetches > 0)
        if len(data) != size_bytes:
            raise CardGarbled(f"{len(data)} bytes where {size_bytes} were asked for")
        return data

    def _get_response(self, size_bytes: int) -> Response:
        response = self._corrected(Command(0x00, _INS_GET_RESPONSE, 0x00, self._response_p2, le=size_bytes))
        if self._response_p2 == 0x00 and response.sw in status_word.WRONG_P1P2:
            self._response_p2 = 0x01
            response = self._corrected(Command(0x00, _INS_GET_RESPONSE, 0x00, 0x01, le=size_bytes))
        return response

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
