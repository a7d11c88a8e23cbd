"""The big signs, drawn by hand on a grid of 36x36 pixels with strokes that can be seen from two metres.

On the usual 0.96 inch panel a pixel is 0.17 mm, so a sign is 6 mm high and its strokes are a millimetre wide. Each
sign has an outline of its own: a tick and a cross are never told apart by light alone.
"""

from collections.abc import Callable, Sequence

from PIL.ImageDraw import ImageDraw

from appliance.panel.words import Symbol

SIZE_PX = 36
_ON, _OFF = 1, 0
_Point = tuple[int, int]


def draw_symbol(draw: ImageDraw, symbol: Symbol, left: int, top: int) -> None:
    """Draw ``symbol`` into the square of 36x36 pixels whose corner is at (``left``, ``top``)."""
    _SIGNS[symbol](_Pen(draw, left, top))


class _Pen:
    """Draws in the coordinates of the square, 0-35."""

    def __init__(self, draw: ImageDraw, left: int, top: int) -> None:
        self._draw, self._left, self._top = draw, left, top

    def _moved(self, points: Sequence[_Point]) -> list[_Point]:
        return [(x + self._left, y + self._top) for x, y in points]

    def area(self, *points: _Point, fill: int = _ON) -> None:
        self._draw.polygon(self._moved(points), fill=fill)

    def box(self, a: _Point, b: _Point, fill: int = _ON, radius: int = 0) -> None:
        self._draw.rounded_rectangle(self._moved([a, b]), radius, fill=fill)

    def frame(self, a: _Point, b: _Point, width: int, radius: int = 0) -> None:
        self._draw.rounded_rectangle(self._moved([a, b]), radius, outline=_ON, width=width)

    def disc(self, a: _Point, b: _Point, fill: int = _ON) -> None:
        self._draw.ellipse(self._moved([a, b]), fill=fill)


def _tick(pen: _Pen) -> None:
    pen.area((0, 19), (6, 13), (13, 20), (29, 4), (35, 10), (13, 32))


def _tick_in_disc(pen: _Pen) -> None:
    pen.disc((0, 0), (35, 35))
    pen.area((6, 18), (10, 14), (15, 19), (25, 9), (29, 13), (15, 27), fill=_OFF)


def _cross(pen: _Pen) -> None:
    pen.area((2, 8), (8, 2), (34, 28), (28, 34))
    pen.area((28, 2), (34, 8), (8, 34), (2, 28))


def _exclamation(pen: _Pen) -> None:
    pen.area((18, 0), (35, 35), (0, 35))
    pen.area((15, 11), (20, 11), (19, 23), (16, 23), fill=_OFF)
    pen.disc((15, 26), (20, 31), fill=_OFF)


def _chip_card(pen: _Pen, top: int) -> None:
    pen.frame((2, top), (33, top + 19), 2, 3)
    pen.box((7, top + 6), (13, top + 12))
    pen.box((18, top + 7), (28, top + 8))
    pen.box((18, top + 11), (25, top + 12))


def _card_in(pen: _Pen) -> None:
    _chip_card(pen, 16)
    pen.box((15, 0), (20, 5))
    pen.area((9, 5), (26, 5), (18, 13), (17, 13))


def _card_out(pen: _Pen) -> None:
    _chip_card(pen, 0)
    pen.area((17, 22), (18, 22), (26, 30), (9, 30))
    pen.box((15, 30), (20, 35))


def _hourglass(pen: _Pen) -> None:
    pen.box((5, 0), (30, 4))
    pen.box((5, 31), (30, 35))
    pen.area((7, 5), (28, 5), (28, 10), (20, 18), (28, 26), (28, 30), (7, 30), (7, 26), (15, 18), (7, 10))
    pen.area((10, 7), (25, 7), (25, 9), (10, 9), fill=_OFF)
    pen.area((17, 20), (18, 20), (24, 26), (11, 26), fill=_OFF)


def _no_reader(pen: _Pen) -> None:
    pen.frame((3, 12), (32, 33), 3, 3)
    pen.box((9, 18), (26, 20))
    pen.area((0, 3), (3, 0), (35, 32), (32, 35), fill=_OFF)
    pen.area((2, 0), (35, 33), (33, 35), (0, 2))


def _stop(pen: _Pen) -> None:
    pen.area((10, 0), (25, 0), (35, 10), (35, 25), (25, 35), (10, 35), (0, 25), (0, 10))
    pen.box((6, 14), (29, 21), fill=_OFF)


def _key(pen: _Pen) -> None:
    pen.disc((0, 9), (17, 26))
    pen.disc((5, 14), (12, 21), fill=_OFF)
    pen.box((16, 15), (35, 20))
    pen.box((23, 20), (26, 26))
    pen.box((30, 20), (34, 28))


def _buttons(pen: _Pen) -> None:
    pen.frame((0, 7), (35, 28), 3, 8)
    for left in (6, 15, 24):
        pen.disc((left, 15), (left + 5, 20))


def _two_cards(pen: _Pen) -> None:
    _chip_card(pen, 0)
    pen.box((0, 12), (29, 35), fill=_OFF)
    pen.frame((0, 15), (28, 34), 2, 3)
    pen.box((5, 21), (11, 27))
    pen.box((16, 22), (24, 23))
    pen.box((16, 26), (21, 27))


def _person(pen: _Pen) -> None:
    pen.disc((10, 0), (25, 15))
    pen.disc((2, 18), (33, 49))
    pen.box((0, 36), (35, 50), fill=_OFF)


def _gear(pen: _Pen) -> None:
    pen.box((14, 0), (21, 35))
    pen.box((0, 14), (35, 21))
    for a, b in (((3, 8), (8, 3)), ((3, 27), (8, 32))):
        pen.area(a, b, (35 - a[0], 35 - a[1]), (35 - b[0], 35 - b[1]))
    pen.disc((5, 5), (30, 30))
    pen.disc((12, 12), (23, 23), fill=_OFF)


_SIGNS: dict[Symbol, Callable[[_Pen], None]] = {
    Symbol.TICK: _tick,
    Symbol.TICK_IN_DISC: _tick_in_disc,
    Symbol.CROSS: _cross,
    Symbol.EXCLAMATION: _exclamation,
    Symbol.CARD_IN: _card_in,
    Symbol.CARD_OUT: _card_out,
    Symbol.HOURGLASS: _hourglass,
    Symbol.NO_READER: _no_reader,
    Symbol.STOP: _stop,
    Symbol.KEY: _key,
    Symbol.BUTTONS: _buttons,
    Symbol.TWO_CARDS: _two_cards,
    Symbol.PERSON: _person,
    Symbol.GEAR: _gear,
}
