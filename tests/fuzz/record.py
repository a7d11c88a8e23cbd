"""Fuzz target: the bytes that a card holds, to a record, to JSON, and back.

An input is three bytes that say which fields to leave out, then the fields one after the other, each as long as the
card holds it, the photo last. An input that ends too soon gives short and empty fields; a field of an optional applet
that is empty is one that the card does not hold.
"""

from collections.abc import Iterator
from dataclasses import replace

from appliance.cards.thai_id import Applet, Field
from appliance.simulate.card import chip_record
from appliance.simulate.data_quirks import IMAGES, PEOPLE, SERIAL
from appliance.simulate.persons import Person, file_image, health_image, person
from tests.fuzz.invariants import check_decoding

IN_ORDER = (*(field for field in Field if field is not Field.PHOTO), Field.PHOTO)


def run(data: bytes) -> None:
    """Decode one input and assert what must hold."""
    check_decoding(fields_of(data))


def fields_of(data: bytes) -> dict[Field, bytes | None]:
    """Return the bytes of each field, in the order of the fields."""
    left_out, data = int.from_bytes(data[:3], "big"), data[3:]
    found: dict[Field, bytes | None] = {}
    for at, field in enumerate(IN_ORDER):
        size_bytes = field.size_bytes + 2 * (field is Field.PHOTO)
        part, data = data[:size_bytes], data[size_bytes:]
        if not left_out >> at & 1:
            found[field] = part or (b"" if field.applet is Applet.MOI else None)
    return {field: found[field] for field in Field if field in found}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Return a name and an input for every card of the deck whose data are odd, its photo made small."""
    yield "good", _seed(person(1), file_image(person(1)))
    for name, (_, who) in PEOPLE.items():
        yield name, _seed(who(), file_image(who()))
    yield "long-laser", _seed(replace(person(SERIAL), laser="ZZ00000000051234"), file_image(person(SERIAL)))
    for name, (_, image) in IMAGES.items():
        yield name, _seed(person(SERIAL), image())


def _seed(who: Person, image: bytes) -> bytes:
    others = {
        Field.LASER_NUMBER: who.laser.encode().ljust(16, b"\0"),
        Field.CHIP_NUMBER: chip_record(who)[13:21],
        Field.HEALTH: health_image(who)[4:350],
    }
    text = [others.get(field) or image[field.offset : field.stretch.stop] for field in IN_ORDER[:-1]]
    return bytes(3) + b"".join(text) + _photo(image)


def _photo(image: bytes) -> bytes:
    """Return length and photo as they are odd on the card, but small."""
    length, jpeg = image[0x0179:0x017B], image[0x017B : 0x017B + 5118]
    size_bytes = int.from_bytes(length, "big")
    end = jpeg.rfind(b"\xff\xd9")
    small = jpeg[:2] + b"\xff\xe0 small" + (jpeg[end:size_bytes][:8] if end > 0 else b"")
    said = len(small).to_bytes(2, "big") if 0 < size_bytes <= len(jpeg) else length
    return said + small
