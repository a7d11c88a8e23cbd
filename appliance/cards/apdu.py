"""Command and response APDUs in the short form of ISO 7816-4."""

from dataclasses import dataclass
from functools import cached_property

from appliance.errors import CardGarbled


@dataclass(frozen=True)
class Command:
    """A command APDU.

    Args:
        cla: class byte.
        ins: instruction byte.
        p1: first parameter.
        p2: second parameter.
        data: 0 to 255 bytes.
        le: bytes expected back, 1 to 256; None sends no Le byte. Over T=0 a card answers a command with data by
            61xx and wants GET RESPONSE, so a command with data carries no Le here.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    def __bytes__(self) -> bytes:
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return self.without_le() + (b"" if self.le is None else bytes([self.le % 256]))

    def without_le(self) -> bytes:
        """Return the command as it is before the byte that asks for an answer."""
        body = bytes([len(self.data)]) + self.data if self.data else b""
        return bytes([self.cla, self.ins, self.p1, self.p2]) + body


@dataclass(frozen=True)
class Response:
    """A response APDU.

    Args:
        data: 0 to 256 bytes.
        sw: the status word, 0x0000-0xFFFF.
    """

    data: bytes
    sw: int

    @classmethod
    def parse(cls, answer: bytes) -> "Response":
        """Split an answer.

        Raises:
            CardGarbled: shorter than a status word, or longer than a short APDU can be.
        """
        if not 2 <= len(answer) <= 258:
            raise CardGarbled(f"an answer of {len(answer)} bytes")
        return cls(answer[:-2], int.from_bytes(answer[-2:], "big"))
