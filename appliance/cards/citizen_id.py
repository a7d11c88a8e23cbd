"""The 13-digit citizen number and its check digit.

Source: Department of Provincial Administration; the check digit is (11 - sum of d_i * (14 - i) for i = 1..12,
modulo 11) modulo 10.
"""


def check_digit(first_twelve: str) -> str:
    """Return the check digit that belongs to twelve ASCII digits."""
    total = sum(int(digit) * (13 - at) for at, digit in enumerate(first_twelve))
    return str((11 - total % 11) % 10)


def is_valid(number: str) -> bool:
    """Say whether ``number`` is 13 ASCII digits with the right check digit. The digit proves no more than that."""
    return len(number) == 13 and number.isascii() and number.isdigit() and check_digit(number[:12]) == number[12]
