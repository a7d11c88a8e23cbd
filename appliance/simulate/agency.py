"""The far side of the online question, in memory: it opens what was asked and says what the test wants said."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import jws_hash
from appliance.events.query import Answer, Query
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Jwk, KeySet, Signer
from appliance.ports import OFFLINE


@dataclass
class SimulatedAgency:
    """Answers queries of one station (``ports.QueryLine``).

    Args:
        station_key: the station's public event key.
        agency: its id.
        station: its station's id.
        outcome: what it says; None for nothing.
        delay_s: how long it takes.
        is_connected: whether the station reaches it.
        now_s: the time by which it is late.
    """

    station_key: Jwk
    agency: str
    station: str
    outcome: str | None = "normal"
    delay_s: float = 0.0
    is_connected: bool = True
    now_s: Callable[[], float] = lambda: 0.0
    signer: Signer = field(default_factory=Signer.generate)
    sealing_key: Jwk = field(default_factory=generate_sealing_key)
    asked: list[Query] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[tuple[float, bytes]] = field(default_factory=list)

    def keys(self) -> AgencyKeys:
        """Return the keys by which it asks to be asked, and answers."""
        return AgencyKeys.enrolled([public_sealing_key(self.sealing_key, "query"), self.signer.public("answer")])

    def send(self, jws: str) -> bool:
        """Take a query, check all of it, and have the answer come in its time."""
        if not self.is_connected:
            self.waiting.append((self.now_s(), OFFLINE + jws_hash(jws).encode()))
            return True
        query = Query.open(jws, KeySet([self.station_key]), self.agency, self.station)
        self.asked.append(query)
        self.told.append(query.about(self.sealing_key))
        if self.outcome is not None:
            self.say(self.answer_to(query).sign(self.signer).encode(), self.delay_s)
        return True

    def answer_to(self, query: Query) -> Answer:
        """Return the answer to a query, not yet signed."""
        now = datetime.now(UTC)
        return Answer(
            query=query.id,
            nonce=query.nonce,
            station=query.station,
            question=query.question,
            outcome=self.outcome or "normal",
            source="simulated",
            as_of=now.date().isoformat(),
            answered_at=now.isoformat(timespec="milliseconds"),
        )

    def say(self, message: bytes, delay_s: float = 0.0) -> None:
        """Have any bytes come."""
        self.waiting.append((self.now_s() + delay_s, message))

    def receive(self) -> list[bytes]:
        """Return what has come by now."""
        now_s = self.now_s()
        come = [message for due_s, message in self.waiting if due_s <= now_s]
        self.waiting = [(due_s, message) for due_s, message in self.waiting if due_s > now_s]
        return come
