"""Rosters at the desk: a school's CSV in, sealed members and digests out, and members opened again for a report.

The whole file is good or nothing is imported. A complaint names the line and the reason, never what stands there.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agency import citizen_number
from agency.desk.opening import OpeningKeys, open_with
from appliance.errors import VerificationError
from appliance.events.roster import roster_body
from appliance.events.seal import seal
from appliance.events.sign import Jwk

HEADER = ["citizen_id", "member", "name"]
MAX_PEOPLE = 10_000  # what fits into one document
_MAX_TEXT = 200


@dataclass(frozen=True, repr=False)
class Person:
    """One member of a set. Has no ``repr``: it must never reach a log.

    Args:
        citizen_id: 13 digits.
        member: the set's own number of the person.
        name: as the set writes it.
    """

    citizen_id: str
    member: str
    name: str


@dataclass(frozen=True)
class Reading:
    """What a CSV file holds.

    Args:
        people: the good lines.
        complaints: one text for each bad line; no content of the file.
    """

    people: tuple[Person, ...]
    complaints: tuple[str, ...]


def read_csv(content: bytes) -> Reading:
    """Read a roster file: UTF-8, with or without a byte order mark."""
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        return _read_rows(rows)
    except UnicodeDecodeError:
        return Reading((), ("the file is not UTF-8: save it as 'CSV UTF-8'",))
    except csv.Error as error:
        return Reading((), (f"the file is no CSV: {error}",))


def _read_rows(rows: Any) -> Reading:
    if [cell.strip() for cell in next(rows, [])] != HEADER:
        return Reading((), (f"line 1: the header is not {','.join(HEADER)}",))
    people: list[Person] = []
    complaints: list[str] = []
    numbers: dict[str, int] = {}
    members: dict[str, int] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        line = rows.line_num
        reason = _complaint(row) or _repetition(row, line, numbers, members)
        if reason:
            complaints.append(f"line {line}: {reason}")
        else:
            people.append(Person(*(cell.strip() for cell in row)))
    if not people and not complaints:
        complaints.append("the file holds no people")
    if len(people) > MAX_PEOPLE:
        complaints.append(f"more than {MAX_PEOPLE} people: split the set")
    return Reading(tuple(people), tuple(complaints))


def _complaint(row: list[str]) -> str | None:
    """Return what is wrong with one line by itself."""
    if len(row) != len(HEADER):
        return f"{len(row)} columns where {len(HEADER)} belong"
    number, member, name = (cell.strip() for cell in row)
    if len(number) != 13 or not (number.isascii() and number.isdigit()):
        return "the citizen number is not 13 digits (a spreadsheet may have turned it into 1.1E+12)"
    if not citizen_number.is_valid(number):
        return "the citizen number's check digit is wrong"
    if not member or not name:
        return "member or name is empty"
    if max(len(member), len(name)) > _MAX_TEXT or not (member + name).isprintable():
        return f"member or name is longer than {_MAX_TEXT} characters or holds control characters"
    return None


def _repetition(row: list[str], line: int, numbers: dict[str, int], members: dict[str, int]) -> str | None:
    """Return what repeats an earlier line, remembering this one."""
    first = numbers.setdefault(row[0].strip(), line)
    if first != line:
        return f"the citizen number stands on line {first} already"
    first = members.setdefault(row[1].strip(), line)
    if first != line:
        return f"the member stands on line {first} already"
    return None


def member_context(set_id: str, version: int, index: int) -> str:
    """Return what binds a member's seal to its place."""
    return f"roster|{set_id}|{version}|{index}"


@dataclass(frozen=True)
class Import:
    """A set to be imported.

    Args:
        set: id of the set.
        version: of the roster.
        as_of: date of the data.
        people: its members.
    """

    set: str
    version: int
    as_of: str
    people: Sequence[Person]


def seal_members(new: Import, recipients: Sequence[Jwk]) -> Iterator[dict[str, Any]]:
    """Yield each member, sealed."""
    for index, person in enumerate(new.people):
        fields = {"citizen_id": person.citizen_id, "member": person.member, "name": person.name}
        yield seal(fields, recipients, member_context(new.set, new.version, index))


def digest_members(new: Import, progress: Callable[[int], None]) -> dict[str, Any]:
    """Return the body of the roster document: digests, which take about 50 ms a person and core."""
    return roster_body(new.set, new.as_of, (person.citizen_id for person in new.people), progress)


def open_member(sealed: dict[str, Any], context: str, keys: OpeningKeys) -> Person:
    """Open one member with whichever duty or escrow key it is sealed to.

    Raises:
        VerificationError: altered, moved, or sealed to others.
    """
    fields = open_with(sealed, keys, context)
    try:
        return Person(fields["citizen_id"], fields["member"], fields["name"])
    except KeyError:
        raise VerificationError("a sealed member lacks a field") from None
