"""The answer to reset: which transmission protocols a card offers.

Source: ISO 7816-3, clause 8.
"""

_T0_ALONE = frozenset({0})


def protocols(atr: bytes) -> frozenset[int]:
    """Return the numbers T of the protocols that ``atr`` offers; none where it is no answer to reset."""
    if len(atr) < 2 or atr[0] not in (0x3B, 0x3F):
        return frozenset()
    found: set[int] = set()
    present, at = atr[1] >> 4, 2
    while present:
        at += (present & 0b0111).bit_count()  # TA, TB, TC
        if not present & 0b1000:
            break
        if at >= len(atr):
            return frozenset()
        found.add(atr[at] & 0x0F)
        present, at = atr[at] >> 4, at + 1
    has_check_byte = bool(found - _T0_ALONE)
    is_whole = len(atr) == at + (atr[1] & 0x0F) + has_check_byte
    return frozenset(found or _T0_ALONE) if is_whole else frozenset()
