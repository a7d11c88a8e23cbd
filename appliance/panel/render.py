"""Draws one screen: 128x64 pixels of one bit, the same for glass, terminal and paper.

::

    +--------+------------------+
    |        | header           |   direction and time, reference or code
    | symbol |------------------|
    |        | first line       |   16 px: what was done
    +--------+------------------+
    | second line     reference |   16 px: what came of it
    +---------------------------+

The sign is for a glance from two metres, the two lines are for the person who stands there, the small digits are for
the one who asks later. While idle the picture moves a pixel each minute, so that no pixel of the panel burns alone.
"""

from datetime import datetime

from PIL import Image, ImageDraw

from appliance.panel.digits import digits_width_px, draw_digits
from appliance.panel.fitting import SMALL_PX, fit
from appliance.panel.phrases import Text, text_of
from appliance.panel.screens import NO_CARD_IS_IN, Screen
from appliance.panel.symbols import SIZE_PX, draw_symbol
from appliance.panel.words import row_of

WIDTH, HEIGHT = 128, 64
_ON, _OFF = 1, 0
_RIGHT = WIDTH - 1
_LINES_LEFT = SIZE_PX + 4
_HEADER_BASE, _FIRST_BASE, _SECOND_BASE = 14, 34, 58  # ink reaches 20 up and 6 down at 16 px, 14 up at 14 px
_FIRST_BASE_ALONE = 28
_GAP_PX = 4
_ROW_PX, _ROW_BASE, _ROW_LEFT = 21, 16, 22


def render(screen: Screen, now: datetime, language: str = "th") -> Image.Image:
    """Return the picture of ``screen``.

    Args:
        screen: what to say.
        now: Thai local time, for the clock while idle.
        language: ``th`` or ``en``.

    Returns:
        An image of mode ``1``, 128x64; 1 is lit.

    Raises:
        ConfigError: font or shaping library are missing.
    """
    image = Image.new("1", (WIDTH, HEIGHT), _OFF)
    draw = ImageDraw.Draw(image)
    text = text_of(screen, now, language)
    if text.page:
        _draw_page(draw, text)
        return image
    if text.rows:
        _draw_rows(draw, text.rows)
        return image
    shift = now.minute % 3 if screen.state in NO_CARD_IS_IN else 0
    draw_symbol(draw, row_of(screen.state).symbol, shift, 0)
    has_header = bool(text.header or text.code or text.reference)
    left = _LINES_LEFT + shift
    fit(text.first, _RIGHT - left).draw(draw, left, _FIRST_BASE if has_header else _FIRST_BASE_ALONE)
    is_reference_up = _draw_header(draw, text)
    if "|" in text.second:
        _draw_labels(draw, text, shift)
    else:
        _draw_second(draw, text.second, "" if is_reference_up else text.reference)
    return image


def _draw_header(draw: ImageDraw.ImageDraw, text: Text) -> bool:
    """Draw the header; say whether the reference found room in it."""
    left, right = _LINES_LEFT, _RIGHT
    if text.code:
        code = fit(text.code, right - left, (SMALL_PX,))
        right -= code.width
        code.draw(draw, right, _HEADER_BASE)
    if text.header:
        header = fit(text.header, right - left, (SMALL_PX,))
        header.draw(draw, left, _HEADER_BASE)
        left += header.width
    width = digits_width_px(text.reference)
    if text.code or width + 2 * _GAP_PX > right - left:
        return False
    draw_digits(draw, right - width, _HEADER_BASE, text.reference)
    return True


def _draw_second(draw: ImageDraw.ImageDraw, words: str, reference: str) -> None:
    width = digits_width_px(reference)
    draw_digits(draw, _RIGHT - width, _SECOND_BASE, reference)
    line = fit(words, _RIGHT - width - _GAP_PX if reference else _RIGHT)
    line.draw(draw, 0 if reference else (WIDTH - line.width) // 2, _SECOND_BASE)


def _draw_rows(draw: ImageDraw.ImageDraw, rows: tuple[str, ...]) -> None:
    """Draw what each button stands for, a line each; the letter dark on light, as on the button beside it."""
    for number, row in enumerate(rows):
        letter, _, words = row.partition(" ")
        top = number * _ROW_PX
        draw.rounded_rectangle((0, top + 1, _ROW_LEFT - _GAP_PX - 1, top + _ROW_PX - 2), 3, fill=_ON)
        name = fit(letter, _ROW_LEFT, (SMALL_PX,))
        name.draw(draw, (_ROW_LEFT - _GAP_PX - name.width) // 2, top + _ROW_BASE, fill=_OFF)
        fit(words, _RIGHT - _ROW_LEFT, (SMALL_PX,)).draw(draw, _ROW_LEFT, top + _ROW_BASE)


def _draw_page(draw: ImageDraw.ImageDraw, text: Text) -> None:
    """Draw a page of the menu: its title dark on light with the number of the page, then its lines."""
    draw.rectangle((0, 0, _RIGHT, _ROW_PX - 1), fill=_ON)
    number = fit(text.code, _ROW_LEFT, (SMALL_PX,))
    number.draw(draw, _RIGHT - number.width - 1, _ROW_BASE, fill=_OFF)
    title, *lines = text.page
    fit(title, _RIGHT - number.width - 2 * _GAP_PX, (SMALL_PX,)).draw(draw, 2, _ROW_BASE, fill=_OFF)
    for place, line in enumerate(lines[: HEIGHT // _ROW_PX - 1], 1):
        fit(line, _RIGHT, (SMALL_PX,)).draw(draw, 0, place * _ROW_PX + _ROW_BASE + 1)


def _draw_labels(draw: ImageDraw.ImageDraw, text: Text, shift: int) -> None:
    """Draw what the buttons stand for, side by side; the chosen one is dark on light."""
    parts = text.second.split("|")
    cell = (WIDTH - 2 * _GAP_PX) // len(parts)
    for number, part in enumerate(parts):
        left, right = _GAP_PX + number * cell + shift, number * cell + cell + shift
        is_chosen = number == text.chosen
        draw.rounded_rectangle((left, HEIGHT - 22, right, HEIGHT - 1), 3, fill=int(is_chosen), outline=_ON)
        line = fit(part, right - left - _GAP_PX)
        line.draw(draw, (left + right - line.width) // 2, HEIGHT - 4, fill=int(not is_chosen))
