"""Text as the card holds it: TIS-620, padded, and sometimes not text at all.

Strict: a byte that TIS-620 does not define, or a control character, makes the field unreadable, and each fault is
named. Nothing is replaced and nothing is skipped, for a name with a letter less is another name. Padding is spaces,
on some cards NULs.

Source: TIS 620-2533 (1990); docs/card.md.
"""

PADDING = b" \0"

_DEFINED = bytes([*range(0x20, 0x7F), *range(0xA1, 0xDB), *range(0xDF, 0xFC)])
_FAULTS = (("control", True), ("undefined_byte", False))


class Unreadable(ValueError):
    """The bytes of a field are not what the field holds.

    Args:
        codes: one word for each fault, such as ``undefined_byte``.
    """

    def __init__(self, *codes: str) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


def decode(raw: bytes) -> str:
    """Return the text of a field without its padding; empty where the field is blank.

    Raises:
        Unreadable: ``control`` (a control character), ``undefined_byte`` (no letter of TIS-620).
    """
    body = raw.strip(PADDING)
    if wrong := body.translate(None, _DEFINED):
        are_controls = {byte < 0x20 or byte == 0x7F for byte in wrong}
        raise Unreadable(*(code for code, is_control in _FAULTS if is_control in are_controls))
    return body.decode("tis-620")


def read_back(shown: str) -> str:
    """Return a text that can have come from a card: nothing that does something to a terminal. Raises ValueError."""
    if not shown.isprintable():
        raise ValueError("no text of a card")
    return shown


def decode_digits(raw: bytes) -> str:
    """Return a field of ASCII digits; empty where it is blank.

    Raises:
        Unreadable: ``not_digits``.
    """
    body = raw.strip(PADDING)
    if body and not body.isdigit():
        raise Unreadable("not_digits")
    return body.decode("ascii")


def decode_parts(raw: bytes, count: int) -> list[str]:
    """Return the ``count`` parts of a text that '#' divides, each without padding; empty where the field is blank.

    Raises:
        Unreadable: ``parts`` (another number of parts), or as ``decode``.
    """
    whole = decode(raw)
    if not whole:
        return []
    parts = [part.strip() for part in whole.split("#")]
    if len(parts) != count:
        raise Unreadable("parts")
    return parts if any(parts) else []
