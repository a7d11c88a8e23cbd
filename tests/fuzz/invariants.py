"""What must hold of a record whatever the card said, and of the commands whatever the card answered.

The property tests, the replay of the corpus and the fuzzers share it. It judges from the outside: from the raw bytes
and the record's own JSON, with as little of the product's code as can be.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from appliance.cards.dates import CardDate, Precision
from appliance.cards.decode import decode
from appliance.cards.health import Health
from appliance.cards.person import Address, Name
from appliance.cards.photo import Photo
from appliance.cards.record import Record
from appliance.cards.thai_id import ANSWERS, PHOTO_LENGTH, Applet, Field, select

CODES = {
    "control", "undefined_byte", "not_digits", "parts", "unknown_value", "unknown_version", "not_a_date",
    "not_a_laser_number", "photo_length", "not_jpeg", "jpeg_cut", "length",
}  # fmt: skip
ODD_BUT_READ = {"unknown_version", "not_a_date"}  # problems of a field that is shown all the same
ANSWERS_OF_CHECKS = {"pass", "fail", "could_not_check", "not_asked"}
HEALTH_FIELDS = (
    "main_right", "sub_right", "main_hospital", "sub_hospital", "paid_type", "issue_date", "expiry_date",
    "update_date", "hospital_changes",
)  # fmt: skip
PADDING = b" \0"
NOT_TEXT = {
    Field.CITIZEN_ID, Field.ISSUER_CODE, Field.PHOTO_NUMBER, Field.PHOTO, Field.CHIP_NUMBER, Field.HEALTH,
    Field.BIRTH_DATE, Field.ISSUE_DATE, Field.EXPIRY_DATE,
}  # fmt: skip
#: What a field of text may suffer from besides its letters.
OTHER_CODES = {
    Field.NAME_TH: "parts", Field.NAME_EN: "parts", Field.ADDRESS: "parts", Field.SEX: "unknown_value",
    Field.LASER_NUMBER: "not_a_laser_number",
}  # fmt: skip
UNFIT = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")  # controls, formats, unassigned, private, halves, line ends

#: Commands for one SELECT: the first, and two corrections of its length.
PER_SELECT = 3
#: Commands for one question: itself, 8 GET RESPONSE, each corrected twice.
PER_QUESTION = 3 * (1 + 8)
#: Once a card, GET RESPONSE is tried with P2 = 01 where 00 is refused.
OTHER_P2 = 3


def check_decoding(raw: Mapping[Field, bytes | None]) -> Record:
    """Decode ``raw`` and return the record. Raises AssertionError, or what decode should not raise."""
    record = decode(raw, apdus=7)
    check_record(record)
    assert list(record.values) == list(raw)
    for field, found in raw.items():
        value = record.values[field]
        own = [problem for problem in record.problems if problem.field.partition(".")[0] == field.symbol]
        assert all(problem.raw == (found or b"").hex() for problem in own if "." not in problem.field)
        if found is None:
            assert value is None
            continue
        if field not in NOT_TEXT:
            faults = text_faults(found)
            codes = {problem.code for problem in own} - {"unknown_version"}
            assert faults == codes - {OTHER_CODES.get(field)}, f"{field.symbol} is called what it is not"
            assert not faults or codes == faults
        if value is None:
            assert own or is_blank(field, found), f"{field.symbol} vanished"
        else:
            check_value(field, value, found)
    return record


def check_record(record: Record) -> None:
    """Assert what a record owes whoever reads it, without its bytes."""
    shown = record.as_data()
    restored = Record.from_data(json.loads(json.dumps(shown, allow_nan=False)))
    assert restored == record
    assert restored.as_data() == shown
    assert set(record.checks.values()) <= ANSWERS_OF_CHECKS
    known = (record.citizen_id, record.expiry_date, record.photo)
    assert known == tuple(map(record.values.get, (Field.CITIZEN_ID, Field.EXPIRY_DATE, Field.PHOTO)))
    assert record.is_number_valid == (record.checks["checksum"] == "pass")
    letters = set("".join(_texts(shown)))
    assert not any(unicodedata.category(letter) in UNFIT for letter in letters), "an unfit character is shown"
    for problem in record.problems:
        symbol, _, part = problem.field.partition(".")
        field = Field.named(symbol)
        is_whole = field is not Field.HEALTH or problem.code == "length"
        assert part == "" if is_whole else part in HEALTH_FIELDS
        assert problem.code in CODES
        assert bytes.fromhex(problem.raw).hex() == problem.raw
        value = getattr(record.values[field], part) if part else record.values[field]
        if isinstance(value, CardDate):
            assert (value.precision, value.raw, value.value) == (Precision.UNKNOWN, problem.raw, None)
        else:
            assert value is None or problem.code in ODD_BUT_READ, f"half of {problem.field} is shown"
    assert len(set(record.problems)) == len(record.problems)


def check_value(field: Field, value: Any, raw: bytes) -> None:
    """Assert that a value says what its bytes say: nothing replaced, nothing lost, nothing added."""
    body = raw.strip(PADDING)
    match value:
        case CardDate():
            _check_date(value, raw)
        case Name():
            parts = [value.title, value.first, value.middle, value.last]
            assert _encoded(parts) == _parts(body)
            assert value.full.replace(" ", "") == "".join(parts).replace(" ", "")
        case Address():
            slots = [text for name, text in vars(value).items() if name != "full"]
            assert sorted(_encoded(slots)) == sorted(_parts(body))
            assert value.full.encode("tis-620") == b" ".join(part for part in _parts(body) if part)
        case Photo():
            assert value.jpeg == raw[2:]
            assert value.jpeg.startswith(b"\xff\xd8\xff")
            assert b"\xff\xd9" in value.jpeg
            assert int.from_bytes(raw[:2], "big") <= 5118
        case Health():
            _check_health(field, value, raw)
        case str() if field is Field.SEX:
            assert {"male": b"1", "female": b"2"}[value] == body
        case str() if field is Field.LASER_NUMBER:
            assert re.fullmatch("[A-Z][A-Z][0-9]{10}", value)
            assert value.encode() == body
        case str() if field is Field.CHIP_NUMBER:
            assert bytes.fromhex(value) == raw
        case str():
            assert value.encode("tis-620") == body
        case _:
            raise AssertionError(f"{field.symbol} is a {type(value).__name__}")


def text_faults(raw: bytes) -> set[str]:
    """Return what is wrong with the letters of a text: TIS-620 as its table has it."""
    body = set(raw.strip(PADDING))
    undefined = body & {*range(0x80, 0xA1), *range(0xDB, 0xDF), *range(0xFC, 0x100)}
    return ({"control"} if body & {*range(0x20), 0x7F} else set()) | ({"undefined_byte"} if undefined else set())


def is_blank(field: Field, raw: bytes) -> bool:
    """Say whether a field may be None without a problem."""
    if field is Field.PHOTO:
        return not any(raw[:2])
    return not raw.strip(b" \0#" if field in (Field.NAME_TH, Field.NAME_EN, Field.ADDRESS) else PADDING)


def most_commands(fields: Collection[Field]) -> int:
    """Return how many commands a read may take at the very most, whatever the card answers.

    The Ministry's file by windows of 255 bytes, a photo by 21 of them, the health file by 2, one question for the laser
    and the chip number. A read of several ends with the number again, or with all windows where that is not read.
    """
    others = {field.applet for field in fields} - {Applet.MOI}
    windows = _windows(fields) + 21 * (Field.PHOTO in fields)
    questions, selects = windows + len(others) + (Applet.NHSO in others), 1 + len(others) + bool(others)
    if questions > 1 or selects > 1:
        questions += 1 if Field.CITIZEN_ID in fields else windows
    return PER_SELECT * selects + PER_QUESTION * questions + OTHER_P2


def _windows(fields: Collection[Field]) -> int:
    """Return how many windows the text and the photo's length take."""
    own = [field for field in fields if field.applet is Applet.MOI]
    stretches = [PHOTO_LENGTH if field is Field.PHOTO else field.stretch for field in own]
    return sum(-(-len(run) // 255) for run in _marked(stretches).split(b"\0"))


@dataclass
class Question:
    """A question to a file or an applet, with all of its answer.

    Args:
        applet: whom it went to.
        asked: bytes that it asks for.
        got: bytes of data that came.
        sw: the last status word.
        fetches: GET RESPONSE that brought something or announced more.
    """

    applet: Applet
    asked: int
    got: int = 0
    sw: bytes = b""
    fetches: int = 0


class AllowList:
    """Says of each command that reached a card whether it may have, as a second opinion.

    Args:
        allowed: the fields that may be read.
    """

    def __init__(self, allowed: Collection[Field]) -> None:
        applets = {Applet.MOI, *(field.applet for field in allowed)} if allowed else set()
        self._selects = {bytes(replace(select(applet), le=None)): applet for applet in applets}
        self._readable = _readable(frozenset(allowed))
        self._selected: Applet | None = None
        self._corrections = 0
        self.questions: list[Question] = []

    def check(self, command: bytes, answer: bytes) -> None:
        """Assert that ``command`` may have been sent; ``answer`` tells what it did."""
        self._may_be_sent(command, answer)
        assert self._corrections < 3, "corrected for ever"
        is_repeated, is_correction = bool(self._corrections), answer[-2:-1] == b"\x6c"
        self._corrections = self._corrections + 1 if is_correction else 0
        if command[1:2] not in (b"\xa4", b"\xc0") and not is_repeated:
            asked = command[6] if command[1:2] == b"\xb0" else command[4]
            self.questions.append(Question(self._selected or Applet.MOI, asked))
        if command[1:2] != b"\xa4" and self.questions and not is_correction:
            self._note(self.questions[-1], command, answer)

    def _note(self, question: Question, command: bytes, answer: bytes) -> None:
        question.sw = answer[-2:]
        if question.sw == b"\x90\x00" or question.sw[:1] == b"\x61":
            question.got += len(answer) - 2
            question.fetches += command[1:2] == b"\xc0"
        assert question.fetches <= 8, "fetched for ever"

    def _may_be_sent(self, command: bytes, answer: bytes) -> None:
        name = command if command in self._selects else command[:-1]
        if name in self._selects:
            is_selected = answer[-2:] == b"\x90\x00" or answer[-2:-1] == b"\x61"
            self._selected = self._selects[name] if is_selected else None
        elif command[:2] == b"\x00\xc0":
            assert (len(command), command[2]) == (5, 0)
            assert command[3] in (0, 1)
        elif self._selected in ANSWERS:
            known = bytes(ANSWERS[self._selected].command)[:4]
            assert (command[:4], len(command)) == (known, 5)
        else:
            assert command[:2] == b"\x80\xb0"
            assert command[4:6] == b"\x02\x00"
            assert len(command) in (7, 8)
            assert self._selected is not None
            start, size_bytes = int.from_bytes(command[2:4], "big"), command[6] or 256
            window = self._readable[self._selected][start : start + size_bytes]
            assert window == b"\1" * size_bytes, "bytes that nobody may read"


@lru_cache(maxsize=256)
def _readable(allowed: frozenset[Field]) -> dict[Applet, bytes]:
    """Return for each applet's file which bytes of it may be read."""
    stretches = [(field.applet, field.stretch) for field in allowed]
    if Field.PHOTO in allowed:
        stretches.append((Applet.MOI, PHOTO_LENGTH))
    return {applet: _marked([stretch for owner, stretch in stretches if owner is applet]) for applet in Applet}


def _marked(stretches: list[range]) -> bytes:
    """Return a byte for each byte of a file: 1 inside the stretches, 0 outside."""
    marked = bytearray(max((stretch.stop for stretch in stretches), default=0))
    for stretch in stretches:
        marked[stretch.start : stretch.stop] = b"\1" * len(stretch)
    return bytes(marked)


def _check_date(value: CardDate, raw: bytes) -> None:
    match value.precision:
        case Precision.UNKNOWN:
            assert (value.value, value.raw) == (None, raw.hex())
            assert value.is_blank == (not raw.strip(PADDING) or raw == b"0" * 8)
        case Precision.LIFETIME:
            assert (raw, value.value, value.raw) == (b"9" * 8, None, None)
        case _:
            assert value.value is not None
            year, *rest = value.value.split("-")
            assert f"{int(year) + 543}{''.join(rest)}".ljust(8, "0").encode() == raw
            assert {"year": 0, "month": 1, "day": 2}[value.precision.value] == len(rest)
            first, last = value.first_day(), value.last_day()
            assert first is not None
            assert last is not None
            assert first <= last


def _check_health(field: Field, value: Health, raw: bytes) -> None:
    for name, place, size in _health_layout():
        part, found = raw[place : place + size], getattr(value, name)
        if found is not None:
            check_value(field, found, part)
        else:
            assert text_faults(part) or not part.strip(PADDING), f"health.{name} vanished"


def _health_layout() -> list[tuple[str, int, int]]:
    sizes = (60, 100, 80, 80, 1, 8, 8, 8, 1)
    return [(name, sum(sizes[:at]), sizes[at]) for at, name in enumerate(HEALTH_FIELDS)]


def _parts(body: bytes) -> list[bytes]:
    return [part.strip(b" ") for part in body.split(b"#")]


def _encoded(parts: list[str]) -> list[bytes]:
    return [part.encode("tis-620") for part in parts]


def _texts(shown: Any) -> list[str]:
    """Return every text in a value of JSON."""
    if isinstance(shown, dict):
        shown = list(shown.values())
    if isinstance(shown, list):
        return [text for each in shown for text in _texts(each)]
    return [shown] if isinstance(shown, str) else []
