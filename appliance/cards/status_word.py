"""Status words that this project tells apart (ISO 7816-4, table 6)."""

OK = 0x9000
MORE_DATA = 0x61  # SW1: SW2 bytes wait for GET RESPONSE
WRONG_LENGTH = 0x6C  # SW1: SW2 is the right Le
APPLET_LOST = (0x6985, 0x6986)  # no applet is selected: the card was reset
NOT_HELD = (0x6982, 0x6999, 0x6A81, 0x6A82, 0x6A86, 0x6A88, 0x6B00, 0x6D00, 0x6E00)  # no such applet, file or data
WRONG_P1P2 = (0x6A86, 0x6B00)


def sw1(sw: int) -> int:
    """Return the first byte of a status word."""
    return sw >> 8


def sw2(sw: int) -> int:
    """Return the second byte of a status word."""
    return sw & 0xFF
