"""Makes words fit: the largest legible size first, then fewer letters, never half a letter.

Thai writes vowels and tone marks above, below and around a consonant. Cutting inside such a cluster leaves another
word or none, so words are only ever cut between clusters.

At 16 pixels one more thing needs care: a mark at the end of a cluster runs into the curl of a following ไ ใ or โ, and
ไม่ได้ ("cannot") begins to look like another word. Such a pair is set two hair spaces, two pixels, apart.
"""

from dataclasses import dataclass
from unicodedata import category

from PIL import ImageDraw, ImageFont

from appliance.panel.fonts import font

BIG_PX = 16
SMALL_PX = 14  # the smallest that may carry Thai
_ELLIPSIS = "…"
_SARA_AM = "\u0e33"  # an ordinary letter to Unicode, but half of it stands over the consonant before it
_CURLED_VOWELS = "ไใโ"
_APART = "\u200a\u200a"
_LEADING_VOWELS = "เแโใไ"  # written before the consonant that they belong to


@dataclass(frozen=True)
class Fitted:
    """Words that fit.

    Args:
        words: what to draw.
        font: with what.
        width: of the ink, pixels.
    """

    words: str
    font: ImageFont.FreeTypeFont
    width: int

    def draw(self, draw: ImageDraw.ImageDraw, left: int, base: int, fill: int = 1) -> None:
        """Draw the words, their ink from ``left`` on, standing on the row ``base``."""
        overhang = min(self.font.getbbox(spaced(self.words), mode="1", anchor="ls")[0], 0)
        draw.text((left - overhang, base), spaced(self.words), fill=fill, font=self.font, anchor="ls")


def clusters(text: str) -> list[str]:
    """Split ``text`` into the pieces that may be parted: a consonant with all its vowels and marks."""
    pieces: list[str] = []
    for letter in text:
        joins = category(letter) == "Mn" or letter == _SARA_AM
        if pieces and (joins or pieces[-1][-1] in _LEADING_VOWELS):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def spaced(text: str) -> str:
    """Return ``text`` with room where a mark would run into the curl of the next vowel."""
    letters = []
    for before, letter in zip(" " + text, text, strict=False):
        is_crowded = letter in _CURLED_VOWELS and category(before) == "Mn"
        letters.append(_APART + letter if is_crowded else letter)
    return "".join(letters)


def width_px(text: str, size_px: int) -> int:
    """Return how many pixels wide the ink of ``text`` is at ``size_px``."""
    left, _, right, _ = font(size_px).getbbox(spaced(text), mode="1", anchor="ls")
    return int(right - min(left, 0))


def fit(text: str, room_px: int, sizes: tuple[int, ...] = (BIG_PX, SMALL_PX)) -> Fitted:
    """Return ``text`` at the first of ``sizes`` that fits into ``room_px``, or shortened at the last one."""
    for size in sizes:
        if width_px(text, size) <= room_px:
            return Fitted(text, font(size), width_px(text, size))
    pieces, size = clusters(text), sizes[-1]
    while pieces and width_px("".join(pieces) + _ELLIPSIS, size) > room_px:
        pieces.pop()
    words = "".join(pieces).rstrip() + _ELLIPSIS
    return Fitted(words, font(size), width_px(words, size))
