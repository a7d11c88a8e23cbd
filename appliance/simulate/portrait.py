"""The photo of an invented person: a drawn face, a true JPEG of 148 by 178 pixels, of exactly the wanted size.

A card's photo has no fixed size, and readers go wrong at the odd ones; so a test names the size. What the drawing
does not fill is filled by a comment segment, which every JPEG decoder skips.
"""

import io
import random
import struct
from collections.abc import Callable
from functools import lru_cache

from appliance.errors import WrongUse

WIDTH, HEIGHT = 148, 178
USUAL_BYTES = 4290

_START = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_COMMENT_HEAD_BYTES = 4
_QUALITIES = (85, 70, 50, 30, 10)
_SKIN = ("#f1c9a5", "#e0ac7e", "#c68a5d", "#a86f47")
_HAIR = ("#1b1512", "#2d221c", "#5a5552")
_CLOTHES = ("#203a5c", "#5c2030", "#2f5c34", "#44444c")


@lru_cache(maxsize=64)
def portrait(serial: int, size_bytes: int = USUAL_BYTES, filling: bytes = b"invented ") -> bytes:
    """Return the photo of invented person ``serial``; the same serial is always the same face.

    Args:
        serial: which face.
        size_bytes: size of the JPEG, from about 1,500.
        filling: what its comment segment repeats.

    Raises:
        WrongUse: no face is that small.
    """
    drawing = _drawing(serial)
    for quality in _QUALITIES:
        jpeg = drawing(quality)
        spare_bytes = size_bytes - len(jpeg) - _COMMENT_HEAD_BYTES
        if spare_bytes >= 0:
            text = (filling * (spare_bytes // len(filling) + 1))[:spare_bytes]
            return _START + _COMMENT + struct.pack(">H", spare_bytes + 2) + text + jpeg[len(_START) :]
    raise WrongUse(f"no photo of {size_bytes} bytes can be drawn")


def _drawing(serial: int) -> Callable[[int], bytes]:
    """Return what gives the face of ``serial`` as a JPEG of a quality from 1 to 95."""
    from PIL import Image, ImageDraw  # late: only who looks at a photo pays for it

    choose = random.Random(serial)  # noqa: S311  # a face, not a secret
    skin, hair, clothes = choose.choice(_SKIN), choose.choice(_HAIR), choose.choice(_CLOTHES)
    wide, long, eyes = choose.randint(36, 46), choose.randint(48, 56), choose.randint(14, 19)
    image = Image.new("RGB", (WIDTH, HEIGHT), "#b9d3ea")
    draw = ImageDraw.Draw(image)
    x, y = WIDTH // 2, 82
    draw.ellipse((x - wide - 8, y - long - 14, x + wide + 8, y + long - 10), fill=hair)
    draw.ellipse((x - 64, 138, x + 64, 240), fill=clothes)
    draw.rectangle((x - 14, y + long - 14, x + 14, y + long + 16), fill=skin)
    draw.ellipse((x - wide, y - long, x + wide, y + long), fill=skin)
    draw.chord((x - wide, y - long, x + wide, y + long), 205, 335, fill=hair)
    for side in (-1, 1):
        draw.ellipse((x + side * eyes - 5, y - 8, x + side * eyes + 5, y), fill="white")
        draw.ellipse((x + side * eyes - 2, y - 7, x + side * eyes + 2, y - 2), fill="black")
    draw.line((x, y, x - 4, y + 16, x + 3, y + 16), fill="#7a4a33", width=2)
    draw.arc((x - 14, y + 12, x + 14, y + 32), 20, 160, fill="#8c2f39", width=3)

    def save(quality: int) -> bytes:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return stream.getvalue()

    return save
