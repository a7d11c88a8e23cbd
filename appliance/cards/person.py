"""What the card says of the person in words: names and address, each divided by '#' into named parts."""

from dataclasses import dataclass
from typing import Self

from appliance.cards.text import decode_parts


@dataclass(frozen=True)
class Name:
    """A name in one language; a part that the person does not have is empty.

    Args:
        title: such as ``นาย``.
        first: first name.
        middle: usually empty.
        last: empty for a person with one name only.
        full: all of it, as it is written.
    """

    title: str
    first: str
    middle: str
    last: str
    full: str

    @classmethod
    def parse(cls, raw: bytes, after_title: str) -> Self | None:
        """Read ``title#first#middle#last``; None where the field is blank.

        Args:
            raw: the field's bytes.
            after_title: what stands between title and first name: nothing in Thai, a space in English.

        Raises:
            Unreadable: it is not four parts of text.
        """
        parts = decode_parts(raw, 4)
        if not parts:
            return None
        title, first, middle, last = parts
        head = after_title.join(part for part in (title, first) if part)
        return cls(title, first, middle, last, " ".join(part for part in (head, middle, last) if part))


#: Slot of an address, in the card's order, and the words with which its content begins where it carries a label.
_SLOTS: dict[str, tuple[str, ...]] = {
    "house": (),
    "moo": ("หมู่ที่",),
    "trok": ("ตรอก",),
    "soi": ("ซอย",),
    "road": ("ถนน",),
    "subdistrict": ("ตำบล", "แขวง"),
    "district": ("อำเภอ", "เขต"),
    "province": ("จังหวัด",),
}


@dataclass(frozen=True)
class Address:
    """An address; a slot that it does not have is empty. Contents keep their labels (``หมู่ที่ 4``).

    Args:
        house: house number.
        moo: village number.
        trok: lane.
        soi: side street.
        road: road.
        subdistrict: tambon, or khwaeng in Bangkok.
        district: amphoe, or khet in Bangkok.
        province: province; Bangkok carries no label.
        full: the slots that are not empty, with a space between.
    """

    house: str
    moo: str
    trok: str
    soi: str
    road: str
    subdistrict: str
    district: str
    province: str
    full: str

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Read eight parts; None where the field is blank.

        A part with the label of another slot goes there, where that slot is empty.

        Raises:
            Unreadable: it is not eight parts of text.
        """
        parts = decode_parts(raw, len(_SLOTS))
        if not parts:
            return None
        slots = dict(zip(_SLOTS, parts, strict=True))
        for place, part in zip(_SLOTS, parts, strict=True):
            slot = _labelled(part) or place
            if not slots[slot]:
                slots[slot], slots[place] = part, ""
        return cls(**slots, full=" ".join(part for part in parts if part))


def _labelled(part: str) -> str | None:
    return next((slot for slot, labels in _SLOTS.items() if labels and part.startswith(labels)), None)
