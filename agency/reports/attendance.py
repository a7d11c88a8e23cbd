"""Who was at school on a day: accepted attendance events, their seals opened, joined with the rosters' members.

Only here do numbers and names leave their seals, into the report that an officer asked for. A person who is on no
roster shows with a masked number. An event whose signature or seal does not hold is counted, never guessed at.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields

from agency import citizen_number
from agency.desk.opening import OpeningKeys
from agency.desk.people import Person
from agency.desk.rosters import member_context, open_member
from agency.ingest.bundle import KeyRing
from agency.reports.visits import OpenedVisit, open_visits
from agency.store.database import Connection
from agency.store.events import accepted_visits
from agency.store.rosters import newest_rosters, sealed_members

_EVENT_TYPE = "school.attendance."
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "|", "%")


@dataclass(frozen=True)
class Line:
    """One person on one day; who was at two stations has one line, and an anomaly.

    Args:
        date: YYYY-MM-DD.
        set: roster set, or empty.
        member: the set's number of the person, or empty.
        name: as the roster has it; a masked number for a person on no roster.
        station: where the person was first.
        first_in: HH:MM:SS in Thai time, or empty.
        last_out: likewise.
        events: how many accepted events.
    """

    date: str
    set: str
    member: str
    name: str
    station: str
    first_in: str
    last_out: str
    events: int


@dataclass
class Attendance:
    """The report.

    Args:
        lines: by set, member and station.
        unreadable: events left out because signature or seal did not hold.
    """

    lines: list[Line] = field(default_factory=list)
    unreadable: int = 0


@dataclass(frozen=True)
class Question:
    """What is asked.

    Args:
        date: Thai calendar day.
        set: one set only, or None for all and for those on none.
        progress: called with the number of events and members opened so far.
    """

    date: str
    set: str | None = None
    progress: Callable[[int], None] = lambda done: None


def attendance(connection: Connection, question: Question, keys: OpeningKeys, ring: KeyRing) -> Attendance:
    """Make the report with duty or escrow keys, old ones too.

    Raises:
        VerificationError: a roster member's seal does not open: none of these keys, or an altered store.
    """
    opened = open_visits(accepted_visits(connection, question.date, _EVENT_TYPE), keys, ring, question.progress)
    report = Attendance(unreadable=opened.unreadable)
    visits: dict[str, list[OpenedVisit]] = defaultdict(list)
    for visit in opened.visits:
        visits[visit.citizen_id].append(visit)
    people = _members(connection, question, keys)
    for number, group in visits.items():
        report.lines.extend(_lines(question, people.get(number, []), sorted(group, key=lambda visit: visit.at)))
    report.lines.sort(key=lambda line: (line.set == "", line.set, line.member, line.name, line.station))
    return report


def _members(connection: Connection, question: Question, keys: OpeningKeys) -> dict[str, list[tuple[str, Person]]]:
    """Return set and person by citizen number, for the newest roster of each set."""
    people: dict[str, list[tuple[str, Person]]] = defaultdict(list)
    for roster in newest_rosters(connection):
        if question.set in (None, roster.set):
            for index, sealed in sealed_members(connection, roster.version):
                question.progress(index)
                person = open_member(sealed, member_context(roster.set, roster.version, index), keys)
                if person.is_member and person.citizen_id:
                    people[person.citizen_id].append((roster.set, person))
    return people


def _lines(question: Question, memberships: list[tuple[str, Person]], visits: list[OpenedVisit]) -> Iterator[Line]:
    if memberships:
        for set_id, person in memberships:
            yield _line(question.date, set_id, person.member, person.name, visits)
    elif question.set is None:
        yield _line(question.date, "", "", citizen_number.mask(visits[0].citizen_id), visits)


def _line(date: str, set_id: str, member: str, name: str, visits: list[OpenedVisit]) -> Line:
    arrivals = [f"{visit.at:%H:%M:%S}" for visit in visits if visit.choice != "out"]
    departures = [f"{visit.at:%H:%M:%S}" for visit in visits if visit.choice == "out"]
    return Line(
        date=date,
        set=set_id,
        member=member,
        name=name,
        station=visits[0].station,
        first_in=min(arrivals, default=""),
        last_out=max(departures, default=""),
        events=len(visits),
    )


def as_csv(lines: Iterable[Line]) -> str:
    """Return the report as CSV (RFC 4180). No cell can act as a formula in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in fields(Line)])
    for line in lines:
        writer.writerow([_guarded(str(cell)) for cell in asdict(line).values()])
    return text.getvalue()


def as_json(lines: Iterable[Line]) -> str:
    """Return the report as a JSON array."""
    return json.dumps([asdict(line) for line in lines], ensure_ascii=False, indent=1) + "\n"


def _guarded(cell: str) -> str:
    """Return a cell that a spreadsheet takes for text.

    Source: OWASP, CSV Injection.
    """
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
