"""Hand-drawn digits, 4x7 pixels, for the reference that a person may be asked for later.

An outline font of this height runs together on a panel without grey; these stay apart.
"""

from PIL.ImageDraw import ImageDraw

HEIGHT_PX = 7
_PITCH_PX = 5
_GLYPHS = {
    "#": "0000 0101 1111 0101 1111 0101 0000",
    "0": "0110 1001 1001 1001 1001 1001 0110",
    "1": "0010 0110 0010 0010 0010 0010 0111",
    "2": "0110 1001 0001 0010 0100 1000 1111",
    "3": "1110 0001 0001 0110 0001 0001 1110",
    "4": "1001 1001 1001 1111 0001 0001 0001",
    "5": "1111 1000 1110 0001 0001 1001 0110",
    "6": "0110 1000 1000 1110 1001 1001 0110",
    "7": "1111 0001 0001 0010 0100 0100 0100",
    "8": "0110 1001 1001 0110 1001 1001 0110",
    "9": "0110 1001 1001 0111 0001 0001 0110",
}


def digits_width_px(digits: str) -> int:
    """Return the width of ``digits``: 5 pixels for each character, less the last gap."""
    return max(len(digits) * _PITCH_PX - 1, 0)


def draw_digits(draw: ImageDraw, left: int, base: int, digits: str) -> None:
    """Draw ``digits`` (0-9 and #; anything else stays blank) standing on the row ``base``."""
    for place, digit in enumerate(digits):
        for y, row in enumerate(_GLYPHS.get(digit, "").split()):
            for x, dot in enumerate(row):
                if dot == "1":
                    draw.point((left + place * _PITCH_PX + x, base - HEIGHT_PX + y), fill=1)
