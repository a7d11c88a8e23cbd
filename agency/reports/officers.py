"""What each officer did on a day: when at work, how many visits approved, for how many people vouched.

Events name an officer by a handle, and ``officer.signed_on.v1`` says in which roster document the handle stands. The
name comes out of that roster's seals, only here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from agency.clock import THAI_TIME
from agency.desk.opening import OpeningKeys
from agency.desk.people import Person
from agency.desk.rosters import member_context, open_member
from agency.ingest.bundle import KeyRing
from agency.reports.genuine import genuine
from agency.store.chains import Event
from agency.store.database import Connection
from agency.store.documents import list_documents
from agency.store.rosters import find_roster, sealed_members
from appliance.errors import VerificationError

_SIGNED_ON, _SIGNED_OFF, _VOUCH = "officer.signed_on.", "officer.signed_off.", "common.vouch."


@dataclass
class Work:
    """One officer at one station on one day.

    Args:
        station: station id.
        handle: in the station's events.
        member: the set's own number of the officer; empty where the roster is not held any more.
        name: as the roster has it; likewise.
        first_on: HH:MM:SS in Thai time; empty where the day began with the officer at work.
        last_off: likewise.
        visits: visits that the officer was there for.
        vouches: people vouched for.
        refused: vouches beyond the day's number.
    """

    station: str
    handle: str
    member: str = ""
    name: str = ""
    first_on: str = ""
    last_off: str = ""
    visits: int = 0
    vouches: int = 0
    refused: int = 0


@dataclass
class Officers:
    """The report.

    Args:
        work: by station and handle.
        unreadable: events left out because they are not what was signed.
    """

    work: list[Work] = field(default_factory=list)
    unreadable: int = 0


def officers(connection: Connection, events: Iterable[Event], keys: OpeningKeys, ring: KeyRing) -> Officers:
    """Return what the officers did.

    Args:
        connection: reads rosters.
        events: of the day, in the order of their chains.
        keys: open the rosters' members.
        ring: the stations' event keys.
    """
    found: dict[tuple[str, str, str], Work] = {}
    source: dict[str, str] = defaultdict(str)  # station -> the roster of the officer at work
    report = Officers()
    for event in events:
        try:
            payload = genuine(event, ring)
        except VerificationError:
            report.unreadable += 1
            continue
        data, at = payload["data"], datetime.fromisoformat(payload["time"]).astimezone(THAI_TIME)
        session, handle = data.get("officer"), data.get("officer")
        if isinstance(session, dict):
            handle, source[event.station] = session["handle"], session["source"]
        if not isinstance(handle, str):
            continue
        key = event.station, source[event.station], handle
        work = found.setdefault(key, Work(event.station, handle))
        _count(work, event, f"{at:%H:%M:%S}")
    for (_, roster, handle), work in found.items():
        person = _person(connection, roster, handle, keys)
        if person is not None:
            work.member, work.name = person.member, person.name
    report.work = sorted(found.values(), key=lambda work: (work.station, work.handle))
    return report


def _count(work: Work, event: Event, time: str) -> None:
    if event.type.startswith(_SIGNED_ON):
        work.first_on = work.first_on or time
    elif event.type.startswith(_SIGNED_OFF):
        work.last_off = time
    elif event.type.startswith(_VOUCH):
        work.vouches += event.verdict == "accepted"
        work.refused += event.verdict == "refused"
    else:
        work.visits += 1


def _person(connection: Connection, source: str, handle: str, keys: OpeningKeys) -> Person | None:
    """Return the officer of a handle in a roster document, None where it is not held any more."""
    version = source.partition(":")[2]
    documents = [one for one in list_documents(connection) if one.kind == "roster" and str(one.version) == version]
    roster = find_roster(connection, documents[0].roster) if documents and documents[0].roster else None
    if roster is None:
        return None
    place = int(handle.removeprefix("o")) - 1 if handle.removeprefix("o").isdecimal() else -1
    listed = list(_listed(connection, roster.set, roster.version, keys))
    return listed[place] if 0 <= place < len(listed) else None


def _listed(connection: Connection, set_id: str, version: int, keys: OpeningKeys) -> Iterator[Person]:
    for index, sealed in sealed_members(connection, version):
        person = open_member(sealed, member_context(set_id, version, index), keys)
        if person.is_officer:
            yield person
