"""Status words that this project tells apart (ISO 7816-4, table 6)."""

OK = 0x9000
MORE_DATA = 0x61  # SW1: SW2 bytes wait for GET RESPONSE
WRONG_LENGTH = 0x6C  # SW1: SW2 is the right Le
FILE_NOT_FOUND = 0x6A82


def sw1(sw: int) -> int:
    """Return the first byte of a status word."""
    return sw >> 8


def sw2(sw: int) -> int:
    """Return the second byte of a status word."""
    return sw & 0xFF
