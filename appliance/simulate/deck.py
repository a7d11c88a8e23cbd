"""The deck: every virtual card by its name, good, odd and hostile.

``names()`` is the list with a line on each, ``deck(name)`` a fresh card. A name with a number or a status word in it
stands for a family: ``mute-at-N`` is ``mute-at-3``, ``sw-XXXX`` is ``sw-6A82``. ``samples()`` has one name for every
line of the list, for tests that take the whole deck.

Good cards are those of ``person-N`` and of the chips (``nid17``); the others differ from a good one in one thing, or
are no Thai ID cards at all.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from appliance.errors import WrongUse
from appliance.simulate.card import (
    BEYOND,
    NO_CLASS,
    OK,
    UNKNOWN,
    BankCard,
    Chip,
    MuteCard,
    RefusingCard,
    ThaiCard,
    VirtualCard,
    is_read,
    is_select,
)
from appliance.simulate.data_quirks import IMAGES, PEOPLE, SERIAL
from appliance.simulate.persons import PHOTO_AREA_BYTES, PHOTO_AT, Person, person
from appliance.simulate.quirks import (
    ApduLevel,
    AsksLength,
    Endless,
    Late,
    MuteAt,
    OtherAtr,
    PlainSelect,
    PulledAt,
    ResetAt,
    Resized,
    Says,
    SwappedAt,
    WrongLength,
)


@dataclass(frozen=True)
class Entry:
    """A line of the deck.

    Args:
        about: what is special about the card.
        make: makes a fresh one.
    """

    about: str
    make: Callable[[], VirtualCard]


@dataclass(frozen=True)
class Family:
    """Cards that differ in a number or a status word.

    Args:
        about: what is special about them.
        pattern: finds that number or word in a name.
        sample: the name of one of them.
        make: makes a fresh card of what was found.
    """

    about: str
    pattern: str
    sample: str
    make: Callable[[str], VirtualCard]


def deck(name: str) -> VirtualCard:
    """Return a fresh card by name.

    Raises:
        WrongUse: no such card; the words suggest names like it.
    """
    entry = _entries().get(name)
    if entry is not None:
        return entry.make()
    for family in _FAMILIES.values():
        found = re.fullmatch(family.pattern, name)
        if found:
            return family.make(found[1])
    near = difflib.get_close_matches(name, names(), n=2)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    hint += "N stands for a number, XXXX for a status word; " if name.rpartition("-")[0] in _stems() else ""
    raise WrongUse(f"no virtual card named {name!r}; {hint}`card-station simulate card --deck` lists them all")


def _stems() -> set[str]:
    """Return what the names of families begin with, such as ``mute-at``."""
    return {name.rpartition("-")[0] for name in _FAMILIES}


def names() -> dict[str, str]:
    """Return every name of the deck and what is special about that card, in one line; N and XXXX stand for families."""
    families = {name: family.about for name, family in _FAMILIES.items()}
    return {**families, **{name: entry.about for name, entry in _entries().items()}}


def samples() -> list[str]:
    """Return one name that can be had for each line of ``names()``, in the same order."""
    return [*(family.sample for family in _FAMILIES.values()), *_entries()]


def _entries() -> dict[str, Entry]:
    return {**_BEHAVIOUR, **_of_chips(), **_of_people(), **_of_images()}


def _of_chips() -> dict[str, Entry]:
    return {name: Entry(about, partial(ThaiCard, person(1), chip)) for name, (about, chip) in _chips().items()}


def _of_people() -> dict[str, Entry]:
    return {name: Entry(about, partial(_card_of, who)) for name, (about, who) in PEOPLE.items()}


def _of_images() -> dict[str, Entry]:
    return {name: Entry(about, partial(_card_with, image)) for name, (about, image) in IMAGES.items()}


def _card_of(who: Callable[[], Person]) -> ThaiCard:
    return ThaiCard(who())


def _card_with(image: Callable[[], bytes]) -> ThaiCard:
    return ThaiCard(person(SERIAL), image=image())


def _chips() -> dict[str, tuple[str, Chip]]:
    """Return the chips: the generations by what their ATR says, and those that lack something."""
    chips = {}
    for generation in range(19):
        chip = _generation(generation)
        lacks = "" if chip.has_laser else "; no laser number, no chip number"
        chips[f"nid{generation}"] = (f'chip "TH NID {generation}"{lacks}', chip)
    return {
        **chips,
        "nid15-ff": ('chip "TH NID 15" with guard time FF', Chip(_atr("3B7996", "00FF", b"TH NID 15"))),
        "3b67": ("GET RESPONSE wants P2=01, says 6A 86 to 00", Chip(_ATR_3B67, fetch_p2=1)),
        "3b67-6b00": ("GET RESPONSE wants P2=01, says 6B 00 to 00", Chip(_ATR_3B67, fetch_p2=1, wrong_fetch=BEYOND)),
        "no-nhso": ("no applet of the health insurance", Chip(has_health=False)),
        "no-laser": ("no applet of the laser number", Chip(has_laser=False)),
        "no-chip-number": ("the card manager knows no chip number", Chip(has_number=False)),
    }


def _generation(number: int) -> Chip:
    """Return the chip whose ATR ends with TH NID ``number``, 0 to 18."""
    text = f"TH NID {number}".encode("ascii")
    if number > 10:
        return Chip(_atr("3B7996", "0000", text))
    start = "3B68" if number == 6 else "3B7818" if number < 10 else "3B7918"
    return Chip(_atr(start, "0000", text), has_laser=False, has_number=False)


def _atr(start: str, middle: str, history: bytes) -> bytes:
    return bytes.fromhex(start + middle) + history


def _thai(serial: int = 1) -> ThaiCard:
    return ThaiCard(person(serial))


def _is_photo(command: bytes) -> bool:
    start = int.from_bytes(command[2:4], "big")
    return is_read(command) and start < PHOTO_AT + PHOTO_AREA_BYTES and start + command[-1] > PHOTO_AT


def _is_laser(command: bytes) -> bool:
    return command[:2] == b"\x80\x00"


def _is_chip_number(command: bytes) -> bool:
    return command[:2] == b"\x80\xca"


def _is_manager(command: bytes) -> bool:
    return is_select(command) and len(command) <= 5


_ATR_3B67 = bytes.fromhex("3B670000") + b"INVENT0"
_ATR_DUMB = bytes.fromhex("3B00")
_ATR_MEMORY = bytes.fromhex("3B0492231091")
_ATR_EID = bytes.fromhex("3B9813400AA503010101AD1311")
_ATR_SIM = bytes.fromhex("3B3F94008069AF0307015900000A0E833E9F16")
_ATR_TICKET = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
_ATR_BOTH = bytes.fromhex("3B80800101")
_ATR_T1 = bytes.fromhex("3B800181")

_BEHAVIOUR: Mapping[str, Entry] = {
    "bank": Entry("a bank card: knows payment, refuses our applet", BankCard),
    "dumb": Entry("answers 6D 00 to everything", lambda: RefusingCard(_ATR_DUMB, UNKNOWN)),
    "memory": Entry("a memory card by its ATR; answers 6E 00", lambda: RefusingCard(_ATR_MEMORY, NO_CLASS, NO_CLASS)),
    "eid": Entry("a foreign identity card; refuses our applet", lambda: RefusingCard(_ATR_EID)),
    "sim": Entry("a telephone's card; answers 6E 00", lambda: RefusingCard(_ATR_SIM, NO_CLASS, NO_CLASS)),
    "contactless": Entry(
        "a contactless ticket by its ATR; answers 6A 81", lambda: RefusingCard(_ATR_TICKET, b"\x6a\x81")
    ),
    "t0-t1": Entry("a Thai card whose ATR offers T=0 and T=1", lambda: OtherAtr(_thai(), _ATR_BOTH)),
    "t1": Entry("a Thai card whose ATR offers T=1 alone", lambda: OtherAtr(_thai(), _ATR_T1)),
    "atr-1-byte": Entry("a Thai card with an ATR of one byte", lambda: OtherAtr(_thai(), b"\x3b")),
    "atr-40-bytes": Entry("a Thai card with an ATR of 40 bytes", lambda: OtherAtr(_thai(), bytes(40))),
    "mute": Entry("gives its ATR, and never answers", MuteCard),
    "mute-atr": Entry("does not even give an ATR", lambda: OtherAtr(MuteCard(), b"")),
    "slow": Entry("each answer comes 200 ms late", lambda: Late(_thai(), 0.2)),
    "very-slow": Entry("each answer comes 2 s late", lambda: Late(_thai(), 2.0)),
    "endless": Entry("fetches give 255 bytes and announce more, for ever", lambda: Endless(_thai(), bytes(255))),
    "endless-empty": Entry("fetches give nothing and announce more, for ever", lambda: Endless(_thai(), b"")),
    "wrong-length": Entry("wants another length each time (6C nn)", lambda: WrongLength(_thai())),
    "asks-length": Entry("wants READ with its length (6C nn), then answers", lambda: AsksLength(_thai())),
    "short": Entry("answers are 3 bytes shorter than asked", lambda: Resized(_thai(), -3)),
    "long": Entry("answers are 3 bytes longer than asked", lambda: Resized(_thai(), 3)),
    "no-sw": Entry("answers READ with one byte, half a status word", lambda: Says(_thai(), is_read, b"\x90")),
    "empty": Entry("answers READ with no byte at all", lambda: Says(_thai(), is_read, b"")),
    "huge": Entry("answers READ with 60,000 bytes", lambda: Says(_thai(), is_read, bytes(59998) + OK)),
    "apdu-level": Entry("gives all data at once with 90 00, never 61 nn", lambda: ApduLevel(_thai())),
    "select-9000": Entry("answers SELECT with 90 00 in place of 61 0A", lambda: PlainSelect(_thai())),
    "photo-refused": Entry("refuses its photo (69 82)", lambda: Says(_thai(), _is_photo, b"\x69\x82")),
    "laser-refused": Entry("refuses its laser number (6D 00)", lambda: Says(_thai(), _is_laser, UNKNOWN)),
    "chip-number-refused": Entry(
        "refuses its chip number (69 82)", lambda: Says(_thai(), _is_chip_number, b"\x69\x82")
    ),
    "manager-refused": Entry("refuses its card manager (6A 81)", lambda: Says(_thai(), _is_manager, b"\x6a\x81")),
}

_FAMILIES: Mapping[str, Family] = {
    "person-N": Family(
        "invented person N, a good card", r"person-([0-9]{1,7})", "person-1", lambda number: _thai(int(number))
    ),
    "mute-at-N": Family(
        "stops answering at command N",
        r"mute-at-([1-9][0-9]{0,3})",
        "mute-at-3",
        lambda number: MuteAt(_thai(), int(number)),
    ),
    "reset-at-N": Family(
        "loses its applet before command N: 69 85 until it is selected again",
        r"reset-at-([1-9][0-9]{0,3})",
        "reset-at-3",
        lambda number: ResetAt(_thai(), int(number)),
    ),
    "pulled-at-N": Family(
        "leaves the reader at command N",
        r"pulled-at-([1-9][0-9]{0,3})",
        "pulled-at-3",
        lambda number: PulledAt(_thai(), int(number)),
    ),
    "swapped-at-N": Family(
        "is person 1, and from command N on person 2",
        r"swapped-at-([1-9][0-9]{0,3})",
        "swapped-at-3",
        lambda number: SwappedAt(_thai(1), _thai(2), int(number)),
    ),
    "sw-XXXX": Family(
        "answers SELECT with status word XXXX",
        r"sw-([0-9A-Fa-f]{4})",
        "sw-6A82",
        lambda word: Says(_thai(), is_select, bytes.fromhex(word)),
    ),
    "read-sw-XXXX": Family(
        "answers READ with status word XXXX",
        r"read-sw-([0-9A-Fa-f]{4})",
        "read-sw-6982",
        lambda word: Says(_thai(), is_read, bytes.fromhex(word)),
    ),
}
