"""What held events say, against each other and against what the agency asks: rows can be whole and their story not.

Whoever has a station's key can sign what never was. What that cannot do is go unseen where it contradicts the events
beside it: the times of a chain never go back without a signed jump, an event is not received before it happened, an
event's id stands for one event, a seal opens, and every rule that the ingest asks is asked again.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from agency.desk.opening import OpeningKeys, open_with
from agency.ingest.bundle import position_of
from agency.ingest.times import floor_after
from agency.ingest.verification import REVOKED, TRIPPED, Rules, fault
from agency.reports.problems import Problem
from agency.store.chains import Chain, Event, Quarantined
from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events.cloud_event import seal_context

CLOCK_TOLERANCE = timedelta(minutes=5)  # between the station's clock and ours


class Contents:
    """Looks at the events of a store, chain by chain, the chains of a station one after another.

    Args:
        rules: what the agency asks of every event, with every service that it ever knew.
        keys: what opens seals here; where there is none of a seal's, the seal is counted and not opened.
    """

    def __init__(self, rules: Rules, keys: OpeningKeys) -> None:
        self._rules, self.keys = rules, keys
        self._station = ""
        self._ids: set[int] = set()
        self._floor: datetime | None = None
        self._ahead: list[tuple[int, timedelta]] = []
        self._unknown: Counter[tuple[str, str]] = Counter()

    def begin(self, chain: Chain) -> None:
        """Go on to another chain."""
        if chain.station != self._station:
            self._station, self._ids = chain.station, set()
        self._floor, self._ahead = None, []
        self._unknown.clear()

    def look(self, event: Event, payload: dict[str, Any], counts: Counter[str]) -> Iterator[Problem]:
        """Yield what is wrong with an event whose signature holds."""
        place = f"{event.chain}/{event.sequence}"
        code = fault(payload, position_of(payload), event.station, self._rules)
        if code is not None:
            yield Problem("content", event.station, place, f"must not count: {code}")
            return
        id_ = hash(payload["id"])  # of millions of them; the ids themselves would not fit
        if id_ in self._ids:
            yield Problem("twice", event.station, place, f"has the id {payload['id']} of an event before it")
        self._ids.add(id_)
        yield from self._times(event, payload)
        service = payload["data"].get("service")
        if service is not None and service["sha256"] not in self._rules.required:
            self._unknown[service["id"], service["sha256"]] += 1
        yield from self._seal(event, payload, counts)

    def deserves(self, kept: Quarantined, payload: dict[str, Any], key: EventKey) -> bool:
        """Say whether an event must not count, as its place in the quarantine says."""
        if kept.code == REVOKED:
            return key.revoked_at is not None
        return kept.code == TRIPPED or fault(payload, position_of(payload), kept.station, self._rules) is not None

    def end(self, chain: Chain) -> Iterator[Problem]:
        """Yield what only the whole of a chain tells."""
        yield from self._stretch(chain.id)
        for (service, sha256), count in self._unknown.items():
            words = f"{count} events of {service} follow a profile {sha256} that this agency never had"
            yield Problem("service", chain.station, chain.id, words)

    def _times(self, event: Event, payload: dict[str, Any]) -> Iterator[Problem]:
        time, place = datetime.fromisoformat(payload["time"]), f"{event.chain}/{event.sequence}"
        if self._floor is not None and time < self._floor:
            yield Problem("time", event.station, place, f"is dated {event.time}, before the event before it")
        self._floor = floor_after(payload)
        if self._floor < time - CLOCK_TOLERANCE:
            words = f"tells of a clock that was set back to {self._floor.isoformat()}: the times before it were wrong"
            yield Problem("time", event.station, place, words)
        ahead = time - datetime.fromisoformat(event.received_at)
        if ahead > CLOCK_TOLERANCE:
            self._ahead.append((event.sequence, ahead))
        else:
            yield from self._stretch(event.chain)

    def _stretch(self, chain: str) -> Iterator[Problem]:
        """Tell once of a stretch of events that were received before the time that they bear."""
        if self._ahead:
            first, last = self._ahead[0][0], self._ahead[-1][0]
            most = max(ahead for _, ahead in self._ahead)
            words = f"{len(self._ahead)} events to {last} came up to {str(most).split('.')[0]} before their own time"
            yield Problem("time", self._station, f"{chain}/{first}", words)
        self._ahead = []

    def _seal(self, event: Event, payload: dict[str, Any], counts: Counter[str]) -> Iterator[Problem]:
        sealed, position = payload["data"].get("sealed"), position_of(payload)
        if sealed is None or position is None:
            return
        if not any(recipient["header"]["kid"] in self.keys for recipient in sealed["recipients"]):
            counts["seals_not_opened"] += 1
            return
        try:
            open_with(sealed, self.keys, seal_context(payload["source"], position))
        except VerificationError as error:
            yield Problem("seal", event.station, f"{event.chain}/{event.sequence}", f"the seal does not open: {error}")
