"""The photo is a JPEG that anybody can open, of exactly the wanted size, and invented."""

import io

import pytest
from PIL import Image

from appliance.errors import WrongUse
from appliance.simulate.portrait import HEIGHT, USUAL_BYTES, WIDTH, portrait


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    image.load()
    return image


@pytest.mark.parametrize("size_bytes", [2000, 3000, 4289, 4290, 4291, 5100, 5117, 5118, 6000])
def test_it_is_a_picture_of_exactly_the_wanted_size(size_bytes: int) -> None:
    jpeg = portrait(1, size_bytes)
    assert len(jpeg) == size_bytes
    assert (jpeg[:2], jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")
    picture = opened(jpeg)
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (148, 178), "RGB")


@pytest.mark.parametrize("serial", [0, 1, 2, 99, 9_999_999])
def test_every_face_can_be_drawn_at_the_usual_size(serial: int) -> None:
    jpeg = portrait(serial)
    assert len(jpeg) == USUAL_BYTES == 4290
    assert opened(jpeg).size == (WIDTH, HEIGHT) == (148, 178)


def test_the_frame_says_the_size_that_cards_have() -> None:
    assert bytes.fromhex("00B20094") in portrait(1)


def test_the_same_serial_is_the_same_face_and_another_is_another() -> None:
    again = portrait.__wrapped__(7, USUAL_BYTES, b"invented ")
    assert again == portrait(7)
    assert len({portrait(serial) for serial in range(20)}) == 20


def test_it_is_a_drawing_and_no_single_colour() -> None:
    colours = opened(portrait(3)).getcolors(WIDTH * HEIGHT)
    assert colours is not None
    assert len(colours) > 50


def test_what_fills_it_can_be_chosen_and_is_no_part_of_the_picture() -> None:
    plain, white = portrait(3, 5118), portrait(3, 5118, b" \n")
    assert b" \n" * 100 in white
    assert opened(plain).tobytes() == opened(white).tobytes()


@pytest.mark.parametrize("size_bytes", [0, 4, 1000])
def test_a_size_that_no_face_fits_is_refused(size_bytes: int) -> None:
    with pytest.raises(WrongUse, match=f"{size_bytes} bytes"):
        portrait(1, size_bytes)
