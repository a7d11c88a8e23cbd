"""What each return code of PC/SC means to us: the card, the reader or the service, each with an error of its own.

A code that nobody knows is a fault of the service: it never passes for a card.

Source: PC/SC part 10, pcsclite.h; what each call gives under which fault was measured (``tests/contract``).
"""

from appliance.errors import (
    CardBusy,
    CardError,
    CardGarbled,
    CardMute,
    CardProtocolMismatch,
    CardRemoved,
    CardReset,
    CardServiceDown,
    CardServiceRefuses,
    CardUnpowered,
    NoReader,
    ReaderGone,
)

READER_GONE = (0x80100009, 0x80100017)  # SCARD_E_UNKNOWN_READER, SCARD_E_READER_UNAVAILABLE

_WORDS: dict[type[CardError], str] = {
    CardRemoved: "the card left, or does not answer",
    CardMute: "the card does not answer",
    CardUnpowered: "the reader cannot power the card",
    CardProtocolMismatch: "the card speaks no protocol that the reader knows",
    CardBusy: "another program has the card",
    CardReset: "the card was reset, by itself or by another program",
    CardGarbled: "the card answers more than it may",
}
_ACCESS_DENIED = 0x8010006A  # SCARD_W_SECURITY_VIOLATION
_CARD: dict[int, type[CardError]] = {
    0x8010000C: CardRemoved,  # SCARD_E_NO_SMARTCARD
    0x80100069: CardRemoved,  # SCARD_W_REMOVED_CARD
    0x80100016: CardRemoved,  # SCARD_E_NOT_TRANSACTED
    0x80100066: CardMute,  # SCARD_W_UNRESPONSIVE_CARD
    0x80100067: CardUnpowered,  # SCARD_W_UNPOWERED_CARD
    0x80100065: CardProtocolMismatch,  # SCARD_W_UNSUPPORTED_CARD
    0x8010000F: CardProtocolMismatch,  # SCARD_E_PROTO_MISMATCH
    0x8010000B: CardBusy,  # SCARD_E_SHARING_VIOLATION
    0x80100068: CardReset,  # SCARD_W_RESET_CARD
    0x80100008: CardGarbled,  # SCARD_E_INSUFFICIENT_BUFFER
}


def fault_of(result: int) -> CardError | NoReader | CardServiceDown:
    """Return the error of a result that is not success; some versions of the library give it as a negative number."""
    code = result & 0xFFFFFFFF
    if code in _CARD:
        return _CARD[code](f"{_WORDS[_CARD[code]]} (PC/SC {code:08X})")
    if code in READER_GONE:
        return ReaderGone("the reader was unplugged while it was in use")
    return service_fault_of(result)


def service_fault_of(result: int) -> CardServiceDown:
    """Return the error of a result that leaves no doubt about the service."""
    code = result & 0xFFFFFFFF
    if code == _ACCESS_DENIED:
        return CardServiceRefuses("pcscd refuses this user, or has no room for another client (8010006A)")
    return CardServiceDown(f"pcscd does not answer ({code:08X})")
