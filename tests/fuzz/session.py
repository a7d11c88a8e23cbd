"""Fuzz target: a conversation with a card that answers as it likes, through the allow-list, to a record.

An input is three bytes that say which fields are read (and, in the two highest bits, of which chip), three that say
which the service may read (none: the same), and then the script: one instruction for each command that the card gets
(``Script``). Where the script is at its end, the card is honest; so every input is a card that is good but for what the
script does to it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from functools import cache, lru_cache

from appliance.cards import reading
from appliance.cards.decode import decode
from appliance.cards.guard import Guard
from appliance.cards.record import Record
from appliance.cards.thai_id import ALL, CID, TEXT, WITH_PHOTO, Applet, Field
from appliance.errors import CardBusy, CardError, CardGarbled, CardMute, CardRemoved, CardReset, CommandForbidden
from appliance.simulate.card import Chip, ThaiCard, chip_record
from appliance.simulate.persons import Person, file_image, health_image, person, with_photo
from tests.fuzz.invariants import AllowList, check_record, most_commands

FIELDS = tuple(Field)
CHIPS = (Chip(), Chip(fetch_p2=1), Chip(has_health=False, has_laser=False, has_number=False))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) + b"\xff\xd9"  # two windows

_FAULTS = (CardRemoved, CardMute, CardReset, CardBusy, CardGarbled)


class Step(IntEnum):
    """What happens to a command, with what follows the instruction in a script."""

    HONEST = 0  # the right answer
    SKIP = 1  # this and the next n answers are right (one byte)
    WORD = 2  # another status word (two bytes)
    CUT = 3  # n bytes of data less (one byte)
    LONGER = 4  # n bytes of data more (one byte)
    SAY = 5  # n bytes as they stand (two bytes and n)
    FLIP = 6  # byte n is another one (one byte, and that one)
    FAIL = 7  # the line breaks (one byte: how)
    SWAP = 8  # from here on the other card
    RESET = 9  # the card forgets its applet
    PARTS = 10  # only n bytes of the data now, the rest is announced (one byte)
    FOR_EVER = 11  # this and every later command is answered by n bytes (one byte and n)


class Script:
    """A card, or two that are swapped, that does what a script says.

    One byte modulo 12 is the ``Step`` for one command. What the cards say is true until a step says otherwise.

    Args:
        data: the script.
        at_most: how many commands it answers; one more is a failure.
        chip: of both cards.
    """

    def __init__(self, data: bytes, at_most: int, chip: Chip = CHIPS[0]) -> None:
        self._left = data
        self._at_most = at_most
        self._cards = [ThaiCard(person(serial), chip, _image(serial)) for serial in (1, 2)]
        self._kept = b""
        self._for_ever: bytes | None = None
        self._honest = self._swaps = 0
        self.log: list[bytes] = []
        self.is_true = True

    def transmit(self, command: bytes) -> bytes:
        """Return data and status word. Raises CardError, as a slot does."""
        self.log.append(command)
        assert len(self.log) <= self._at_most, "the read does not end"
        if self._for_ever is not None:
            return self._for_ever
        right = self._right(command)
        if self._honest or not self._left:
            self._honest -= bool(self._honest)
            return right
        step = Step(self._byte() % len(Step))
        self._swaps += step is Step.SWAP
        self.is_true &= step in (Step.HONEST, Step.SKIP, Step.SWAP, Step.PARTS) and self._swaps < 2
        return self._changed(step, right)

    def _changed(self, step: Step, right: bytes) -> bytes:  # noqa: PLR0911 - one case a step
        data, word = right[:-2], right[-2:]
        match step:
            case Step.SKIP:
                self._honest = self._byte()
            case Step.WORD:
                return data + self._take(2)
            case Step.CUT:
                return data[: max(len(data) - self._byte(), 0)] + word
            case Step.LONGER:
                return data + bytes(self._byte()) + word
            case Step.SAY:
                return self._take(int.from_bytes(self._take(2), "big"))
            case Step.FLIP if data:
                at = self._byte() % len(data)
                return data[:at] + (self._take(1) or b"#") + data[at + 1 :] + word
            case Step.FAIL:
                raise _FAULTS[self._byte() % len(_FAULTS)]
            case Step.SWAP:
                self._cards.reverse()
            case Step.RESET:
                self._cards[0].reset()
            case Step.PARTS if data and word == b"\x90\x00":
                size_bytes = self._byte() % len(data)
                self._kept = data[size_bytes:]
                return data[:size_bytes] + bytes([0x61, len(self._kept) % 256])
            case Step.FOR_EVER:
                self._for_ever = self._take(self._byte())
                return self._for_ever
        return right

    def _right(self, command: bytes) -> bytes:
        """Return what the card in the slot says; both hear everything."""
        kept, self._kept = self._kept, b""
        if kept and command[:2] == b"\x00\xc0":
            return kept + b"\x90\x00"
        answers = [card.answer(command) or b"" for card in self._cards]
        return answers[0]

    def _byte(self) -> int:
        return int.from_bytes(self._take(1), "big")

    def _take(self, size_bytes: int) -> bytes:
        taken, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return taken


def run(data: bytes) -> None:
    """Read one scripted card and assert what must hold."""
    fields, allowed = chosen(data[:3]), chosen(data[3:6])
    chip = CHIPS[int.from_bytes(data[:1], "big") // 64 % len(CHIPS)]
    check_reading(fields, set(allowed or fields), data[6:], chip)


def chosen(mask: bytes) -> list[Field]:
    """Return the fields whose bits are set, in their order."""
    bits = int.from_bytes(mask, "big")
    return [field for at, field in enumerate(FIELDS) if bits >> at & 1]


def check_reading(fields: list[Field], allowed: set[Field], script: bytes, chip: Chip = CHIPS[0]) -> Record | CardError:
    """Read ``fields`` of a scripted card; return the record or the error, and assert what must hold of both."""
    card, judge, told = Script(script, most_commands(fields), chip), AllowList(allowed), list[Record]()
    line = Guard(_judged(card.transmit, judge), allowed)
    try:
        record = reading.read(line.transmit, fields, told.append)
    except CardError as error:
        if isinstance(error, CommandForbidden):
            assert not may_read(fields, allowed), "a read forbids itself"
        return error
    finally:
        assert len(told) <= 3
        for so_far in told:
            check_record(so_far)
    check_record(record)
    assert list(record.values) == fields
    assert record.apdus == len(card.log)
    for question in judge.questions:
        if question.sw == b"\x90\x00" or question.applet is Applet.MOI:
            assert (question.sw, question.got) == (b"\x90\x00", question.asked), "an answer that is not whole"
    if card.is_true and (Field.CITIZEN_ID in fields or {field.applet for field in fields} == {Applet.MOI}):
        said = json.dumps({**record.as_data(), "apdus": 0})
        assert said in [_truth(serial, tuple(fields), chip) for serial in (1, 2)], "two cards in one record"
    return record


def may_read(fields: Sequence[Field], allowed: set[Field]) -> bool:
    """Say whether a service with these rights can read ``fields``; one without any cannot even ask what card it is."""
    return set(fields) <= allowed and bool(allowed)


def _judged(transmit: Callable[[bytes], bytes], judge: AllowList) -> Callable[[bytes], bytes]:
    def judged(command: bytes) -> bytes:
        answer = b""
        try:
            answer = transmit(command)
        finally:
            judge.check(command, answer)
        return answer

    return judged


@cache
def _image(serial: int) -> bytes:
    return with_photo(file_image(_without_photo(serial)), JPEG + bytes([serial]) * 2 + b"\xff\xd9")


def _without_photo(serial: int) -> Person:
    return replace(person(serial), photo_bytes=0)


@lru_cache(maxsize=64)
def _truth(serial: int, fields: tuple[Field, ...], chip: Chip) -> str:
    """Return what an honest card says, made from its files without a conversation."""
    image, who = _image(serial), person(serial)
    length = image[0x0179:0x017B]
    raw: dict[Field, bytes | None] = {
        field: image[field.offset : field.stretch.stop] for field in fields if field.applet is Applet.MOI
    }
    others = {
        Field.PHOTO: length + image[0x017B:][: int.from_bytes(length, "big")],
        Field.LASER_NUMBER: who.laser.encode().ljust(16, b"\0") if chip.has_laser else None,
        Field.CHIP_NUMBER: chip_record(who)[13:21] if chip.has_number else None,
        Field.HEALTH: health_image(who)[4:350] if chip.has_health else None,
    }
    record = decode({field: others.get(field, raw.get(field)) for field in fields}, 0)
    return json.dumps(record.as_data())


def seeds() -> Iterator[tuple[str, bytes]]:
    """Return a name and an input for each way in which the deck's cards misbehave."""
    scripts = {
        "honest": b"",
        "not-found": bytes([Step.WORD, 0x6A, 0x82]),
        "select-6c": bytes([Step.SAY, 0, 2, 0x6C, 0x0A]),
        "plain-select": bytes([Step.SAY, 0, 2, 0x90, 0x00]),
        "endless": bytes([Step.HONEST, Step.FOR_EVER, 2, 0x61, 0xFF]),
        "wrong-length": bytes([Step.HONEST, Step.FOR_EVER, 2, 0x6C, 0x01]),
        "mute": bytes([Step.HONEST, Step.FOR_EVER, 0]),
        "half-a-word": bytes([Step.HONEST, Step.SAY, 0, 1, 0x90]),
        "refused": bytes([Step.HONEST, Step.WORD, 0x69, 0x82]),
        "refused-with-data": bytes([Step.SKIP, 1, Step.WORD, 0x69, 0x82]),
        "applet-lost": bytes([Step.SKIP, 1, Step.RESET]),
        "other-p2": bytes([Step.SKIP, 1, Step.SAY, 0, 2, 0x6A, 0x86, Step.SAY, 0, 15]) + b"0" * 13 + b"\x90\x00",
        "in-parts": bytes([Step.SKIP, 1, Step.PARTS, 5]),
        "cut": bytes([Step.SKIP, 1, Step.CUT, 3]),
        "longer": bytes([Step.SKIP, 1, Step.LONGER, 3]),
        "flipped": bytes([Step.SKIP, 3, Step.FLIP, 9, 0xDB]),
        "removed": bytes([Step.SKIP, 5, Step.FAIL, 0]),
        "old-version": bytes([Step.SKIP, 1, Step.FLIP, 3, 0x32]),
        **{f"swapped-{at}": bytes([Step.SKIP, at, Step.SWAP]) for at in (1, 3, 5, 7, 9, 13, 20)},
    }
    for group, fields in {"cid": CID, "text": TEXT, "photo": WITH_PHOTO, "all": ALL}.items():
        mask = sum(1 << at for at, field in enumerate(FIELDS) if field in fields).to_bytes(3, "big")
        for name, script in scripts.items():
            yield f"{group}-{name}", mask + bytes(3) + script
        longer = bytes([Step.SKIP, 3, Step.FLIP, 122, 0x17])  # the photo's length, of 5,896 bytes
        yield f"{group}-photo-length", mask + bytes(3) + longer
        for at, name in enumerate(("other-fetch", "no-other-applets"), 1):
            yield f"{group}-{name}", bytes([mask[0] | at * 64]) + mask[1:] + bytes(3)
