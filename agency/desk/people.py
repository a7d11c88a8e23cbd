"""The list of people that a school or an office really has: a CSV out of a spreadsheet, in whatever dress.

UTF-8 with or without a mark, UTF-16 with one, or TIS-620 (Windows-874); commas, semicolons or tabs; the columns in any
order, by their English or Thai names; numbers with spaces, dashes or Thai digits. What is not understood is named with
its line, and never by what stands there. The whole file is good, or nothing of it is taken.

    citizen_id,member,name,role
    1-0000-00000-00-1,P0001,เด็กหญิง…,
    ,T17,นาย…,officer

``role`` may be left out. ``citizen_id`` may be empty, or a G-code, for somebody without a Thai number.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agency import citizen_number

MEMBER, OFFICER, BOTH = "member", "officer", "both"
EMPTY = "the file holds no people"
MAX_PEOPLE = 10_000  # what fits into one document
_MAX_TEXT = 200
_LOOK_BYTES = 64
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_DELIMITERS = ",;\t"
_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789", " -'=\"\u2010\u2011\u2012\u2013\u2014\u2212")
_INVISIBLE = {0xA0: " ", 0x202F: " ", 0x200B: None, 0xFEFF: None}
_NO_NUMBER = re.compile("G[0-9]{12}")  # a pupil without a Thai number

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "citizen_id": ("citizen_id", "เลขประจำตัวประชาชน", "เลขบัตรประชาชน", "เลขประจำตัวประชาชน13หลัก"),
    "member": ("member", "รหัสนักเรียน", "เลขประจำตัวนักเรียน", "รหัสประจำตัว", "รหัสสมาชิก"),
    "name": ("name", "ชื่อ", "ชื่อ-สกุล", "ชื่อ-นามสกุล", "ชื่อสกุล"),
    "role": ("role", "บทบาท", "ตำแหน่ง"),
}
_ROLES = {
    "": MEMBER, "member": MEMBER, "นักเรียน": MEMBER, "สมาชิก": MEMBER,
    "officer": OFFICER, "เจ้าหน้าที่": OFFICER, "ครู": OFFICER,
    "both": BOTH,
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Person:
    """One person of a set. Has no ``repr``: it must never reach a log.

    Args:
        citizen_id: 13 digits; empty where the person has no Thai number.
        member: the set's own number of the person.
        name: as the set writes it.
        role: ``member``, ``officer`` or ``both``.
    """

    citizen_id: str
    member: str
    name: str
    role: str = MEMBER

    @property
    def is_member(self) -> bool:
        """Say whether the person is one of those whom the set is about."""
        return self.role != OFFICER

    @property
    def is_officer(self) -> bool:
        """Say whether the person signs on at stations."""
        return self.role != MEMBER


@dataclass(frozen=True)
class Reading:
    """What a file holds.

    Args:
        people: the good lines.
        complaints: one text for each bad line; no content of the file.
        notes: what a person should know, though it is no fault.
    """

    people: tuple[Person, ...]
    complaints: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_csv(content: bytes) -> Reading:
    """Read a list of people."""
    text, notes = _decoded(content)
    if text is None:
        return Reading((), ("the file is neither UTF-8, UTF-16 nor TIS-620: save it as 'CSV UTF-8'",))
    first_line = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    reading = _read_rows(rows)
    return Reading(reading.people, reading.complaints, (*notes, *reading.notes))


def _decoded(content: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Return the text, and what to say of its encoding."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError:
                return None, ()
    if b"\0" in content[:_LOOK_BYTES]:
        return _unmarked_utf_16(content)
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp874")
    except UnicodeDecodeError:
        return None, ()
    is_thai = all(letter < "\x80" or "\u0e00" <= letter <= "\u0e7f" or letter in "…‘’“”•–—\u00a0" for letter in text)
    return (text, ("the file was read as TIS-620 (Windows-874)",)) if is_thai else (None, ())


def _unmarked_utf_16(content: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Return the text of a file that some spreadsheets save as "Unicode" and leave without its mark."""
    is_big = content[:_LOOK_BYTES:2].count(0) > content[1:_LOOK_BYTES:2].count(0)
    try:
        return content.decode("utf-16-be" if is_big else "utf-16-le"), ("the file was read as UTF-16",)
    except UnicodeDecodeError:
        return None, ()


def _filled(rows: Any, complaints: list[str]) -> Iterator[list[str]]:
    """Yield the rows that hold anything; where the file is no CSV any more they end with a complaint."""
    try:
        for row in rows:
            cells = [cell.translate(_INVISIBLE).strip() for cell in row]
            if any(cells):
                yield cells
    except csv.Error as error:
        complaints.append(f"line {rows.line_num}: the file is no CSV from here on: {error}")


def _read_rows(rows: Any) -> Reading:
    complaints: list[str] = []
    filled = _filled(rows, complaints)
    header = next(filled, [])
    places, complaint = _places(header)
    if complaint:
        return Reading((), (*complaints, complaint))
    people: list[Person] = []
    numbers: dict[str, int] = {}
    members: dict[str, int] = {}
    for row in filled:
        line = rows.line_num
        reason = f"{len(row)} columns where {len(header)} belong" if len(row) != len(header) else None
        if reason is None:
            person = _person({name: row[at] for name, at in places.items()})
            reason = _complaint(person) or _repetition(person, line, numbers, members)
        if reason:
            complaints.append(f"line {line}: {reason}")
        else:
            people.append(person)
    if not people and not complaints:
        complaints.append(EMPTY)
    if len(people) > MAX_PEOPLE:
        complaints.append(f"more than {MAX_PEOPLE} people: split the set")
    return Reading(tuple(people), tuple(complaints), tuple(_notes(header, places, people)))


def _places(header: Sequence[str]) -> tuple[dict[str, int], str | None]:
    """Return where each column stands, or what is wrong with the header."""
    folded = [_folded(cell) for cell in header]
    places: dict[str, int] = {}
    for name, spellings in _COLUMNS.items():
        found = [at for at, cell in enumerate(folded) if cell in map(_folded, spellings)]
        if len(found) > 1:
            return {}, f"line 1: the header has two columns for {name}"
        if found:
            places[name] = found[0]
    missing = [name for name in ("citizen_id", "member", "name") if name not in places]
    if missing:
        return {}, f"line 1: the header has no column {', '.join(missing)} (or its Thai name)"
    return places, None


def _folded(cell: str) -> str:
    """Return a column's name as it is compared: some programs write ``ำ`` in two letters."""
    return unicodedata.normalize("NFKC", re.sub(r"\s", "", cell)).casefold()


def _person(cells: Mapping[str, str]) -> Person:
    number = cells["citizen_id"].translate(_DIGITS)
    role = _ROLES.get(cells.get("role", "").casefold(), "")
    return Person("" if _NO_NUMBER.fullmatch(number) else number, cells["member"], cells["name"], role)


def _complaint(person: Person) -> str | None:  # noqa: PLR0911 - one line a rule
    """Return what is wrong with one line by itself."""
    number = person.citizen_id
    if number and (len(number) != 13 or not (number.isascii() and number.isdigit())):
        return "the citizen number is not 13 digits (a spreadsheet may have turned it into 1.1E+12)"
    if number and not citizen_number.is_valid(number):
        return "the citizen number's check digit is wrong"
    if not person.member or not person.name:
        return "member or name is empty"
    if max(len(person.member), len(person.name)) > _MAX_TEXT or not (person.member + person.name).isprintable():
        return f"member or name is longer than {_MAX_TEXT} characters or holds control characters"
    if not person.role:
        return "the role is none of member, officer, both"
    if person.is_officer and not number:
        return "an officer needs a citizen number"
    return None


def _repetition(person: Person, line: int, numbers: dict[str, int], members: dict[str, int]) -> str | None:
    """Return what repeats an earlier line, remembering this one."""
    first = numbers.setdefault(person.citizen_id, line) if person.citizen_id else line
    if first != line:
        return f"the citizen number stands on line {first} already"
    first = members.setdefault(person.member, line)
    if first != line:
        return f"the member stands on line {first} already"
    return None


def _notes(header: Sequence[str], places: Mapping[str, int], people: Sequence[Person]) -> list[str]:
    notes = []
    unused = len(header) - len(places)
    if unused:
        notes.append(f"{unused} columns were not taken: only number, member, name and role are")
    without = sum(not person.citizen_id for person in people)
    if without:
        notes.append(f"{without} people have no Thai number: an officer vouches for them at the station")
    return notes
