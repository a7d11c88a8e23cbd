"""Is a visit recorded? By what the panel showed: station, number, day and minute. No citizen number is needed.

The answer is yes or no, the service and the day. It says nothing of who was there and nothing of how the visit ended,
so whoever tries all numbers learns how busy a station is, and that slowly.
"""

import re
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from agency.clock import THAI_TIME
from agency.ingest.bundle import KeyRing
from agency.reports.genuine import genuine
from agency.store.database import Connection, DatabaseError
from agency.store.events import events_of_number
from agency.store.stations import event_keys
from appliance.errors import VerificationError

_STATION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NUMBER = re.compile(r"#?([0-9]{1,10})")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_MINUTE_S = 60.0
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Shown:
    """What the panel showed.

    Args:
        station: its id, as it stands on the box.
        number: of the visit.
        day: Thai calendar day, YYYY-MM-DD.
        time: HH:MM in Thai time.
    """

    station: str
    number: int
    day: str
    time: str

    @classmethod
    def read(cls, station: str, number: str, day: str, time: str) -> "Shown | None":
        """Return what somebody typed; None where it cannot be a visit's."""
        found = _NUMBER.fullmatch(number.strip())
        try:
            real_day = date.fromisoformat(day.strip()).isoformat()
        except ValueError:
            return None
        fits = _STATION.fullmatch(station.strip().lower()) and found and _TIME.fullmatch(time.strip())
        if not fits or found is None or real_day != day.strip():
            return None
        return cls(station.strip().lower(), int(found[1]), real_day, time.strip())


def recorded_service(connection: Connection, shown: Shown, services: Mapping[str, str]) -> str | None:
    """Return the title of the service of a recorded visit; None where there is no such visit.

    Args:
        connection: the store.
        shown: what the panel showed.
        services: event type -> title.

    Raises:
        DatabaseError: an event of this number was altered, so neither yes nor no can be said.
    """
    ring, is_altered = KeyRing(event_keys(connection, shown.station)), False
    for event in events_of_number(connection, shown.station, shown.number):
        try:
            said = genuine(event, ring)
        except VerificationError:
            is_altered = True
            continue
        at = datetime.fromisoformat(said["time"]).astimezone(THAI_TIME)
        if "verdict" in said["data"] and f"{at:%Y-%m-%d %H:%M}" == f"{shown.day} {shown.time}":
            return services.get(event.type, event.type)
    if is_altered:
        raise DatabaseError("an event of this number is not what was signed: see 'card-agency audit'")
    return None


class Limiter:
    """How often somebody may ask. All times are seconds of one monotonic clock.

    Args:
        each: questions of one address in a minute.
        all_: questions of everybody in a minute.
    """

    def __init__(self, each: int = 10, all_: int = 300) -> None:
        self._each, self._all = each, all_
        self._asked: defaultdict[str, deque[float]] = defaultdict(deque)
        self._everybody: deque[float] = deque()

    def takes(self, address: str, now_s: float) -> bool:
        """Count a question; say whether it may be asked."""
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.clear()  # so many addresses in a minute are one attacker's, and the sum still counts
        for asked, most in ((self._asked[address], self._each), (self._everybody, self._all)):
            while asked and now_s - asked[0] >= _MINUTE_S:
                asked.popleft()
            if len(asked) >= most:
                return False
        self._asked[address].append(now_s)
        self._everybody.append(now_s)
        return True
