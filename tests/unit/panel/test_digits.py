"""The hand-drawn digits: no two alike, exactly as wide as they say, standing on their row."""

from itertools import combinations

import pytest
from PIL import Image, ImageChops, ImageDraw

from appliance.panel.digits import HEIGHT_PX, digits_width_px, draw_digits

CHARACTERS = "#0123456789"
BASE = 20


def drawn(digits: str) -> Image.Image:
    image = Image.new("1", (80, 32))
    draw_digits(ImageDraw.Draw(image), 10, BASE, digits)
    return image


@pytest.mark.parametrize(("one", "other"), list(combinations(CHARACTERS, 2)))
def test_no_two_are_alike(one: str, other: str) -> None:
    difference = ImageChops.logical_xor(drawn(one), drawn(other))
    assert sum(difference.histogram()[1:]) >= 2


@pytest.mark.parametrize("digit", CHARACTERS)
def test_each_stands_on_the_row(digit: str) -> None:
    left, top, right, bottom = drawn(digit).getbbox() or (0, 0, 0, 0)
    assert left >= 10
    assert right <= 10 + digits_width_px(digit)
    assert top >= BASE - HEIGHT_PX
    assert BASE - 1 <= bottom <= BASE


@pytest.mark.parametrize("digits", ["#1042", "#9999999", "#0", "888"])
def test_the_width_is_the_width(digits: str) -> None:
    _, _, right, _ = drawn(digits).getbbox() or (0, 0, 0, 0)
    assert right == 10 + digits_width_px(digits)


def test_neighbours_do_not_touch() -> None:
    for one in CHARACTERS:
        pair = drawn(one + "8")
        assert pair.crop((14, 0, 15, 32)).getbbox() is None


def test_nothing_and_the_unknown_are_blank() -> None:
    assert digits_width_px("") == 0
    assert drawn("").getbbox() is None
    assert drawn("ก").getbbox() is None
    assert drawn("ก1").getbbox() == drawn(" 1").getbbox()
