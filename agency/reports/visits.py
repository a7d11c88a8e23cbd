"""Visits with their seals opened: only for a report that an officer asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from agency import citizen_number
from agency.clock import THAI_TIME
from agency.desk.opening import OpeningKeys, open_with
from agency.ingest.bundle import KeyRing
from agency.reports.genuine import genuine
from agency.store.chains import Event
from appliance.errors import VerificationError
from appliance.events.chain import Position
from appliance.events.cloud_event import seal_context


@dataclass(frozen=True, repr=False)
class OpenedVisit:
    """One accepted visit. Has no ``repr``: it must never reach a log.

    Args:
        citizen_id: of the subject; of the officer, where an officer vouched.
        station: station id.
        type: of the event.
        at: in Thai time.
        choice: what was chosen.
        officer: handle of the officer, or None.
        chain: and ``sequence``: which event it is.
    """

    citizen_id: str
    station: str
    type: str
    at: datetime
    choice: str | None
    officer: str | None
    chain: str
    sequence: int


@dataclass
class Opened:
    """What could be opened.

    Args:
        visits: in the order of the events.
        unreadable: events left out because signature or seal did not hold.
    """

    visits: list[OpenedVisit] = field(default_factory=list)
    unreadable: int = 0


def open_visits(events: Iterable[Event], keys: OpeningKeys, ring: KeyRing, progress: Callable[[int], None]) -> Opened:
    """Open accepted visits; one whose signature or seal does not hold is counted, never guessed at."""
    opened = Opened()
    for done, event in enumerate(events, 1):
        progress(done)
        try:
            opened.visits.append(_open(event, keys, ring))
        except VerificationError:
            opened.unreadable += 1
    return opened


def _open(event: Event, keys: OpeningKeys, ring: KeyRing) -> OpenedVisit:
    payload = genuine(event, ring)
    data, place = payload["data"], Position(payload["chain"], int(payload["sequence"]), "")
    number = open_with(data["sealed"], keys, seal_context(payload["source"], place)).get("citizen_id")
    if not isinstance(number, str) or not citizen_number.is_valid(number):
        raise VerificationError("the seal holds no citizen number")
    local = datetime.fromisoformat(payload["time"]).astimezone(THAI_TIME)
    return OpenedVisit(
        number, event.station, event.type, local, data["choice"], data["officer"], event.chain, event.sequence
    )
