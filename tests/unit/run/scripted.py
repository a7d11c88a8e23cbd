"""The link process's ``Link`` with its real state database, inbox and ear; only the line and the clock are scripted."""

import json
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings, parse
from appliance.events import strict_json
from appliance.events.document import Document
from appliance.events.receipt import Receipt
from appliance.events.roster import roster_body
from appliance.events.schema import STATUS
from appliance.events.sign import Signer
from appliance.link.address import Address
from appliance.link.bounded_client import MAX_IN_FLIGHT
from appliance.link.mqtt import Acknowledged, Connected, Disconnected, Happening, Received
from appliance.outbox.delivery import Delivery
from appliance.papers import AGENCY_KEYS
from appliance.run.link import Link
from appliance.run.nudge import Ear
from appliance.run.query_socket import AnswerSocket
from tests.unit.outbox.test_store import Station

PREFIX = "cs/1/obec/bkk-001/"
SETTINGS = '[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n'
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """One message that the link handed to its line."""

    topic: str
    payload: bytes
    retain: bool
    mid: int


@dataclass
class ScriptedLine:
    """Stands where ``MqttLine`` stands; takes ``room`` messages and then no more."""

    address: Address
    will: tuple[str, bytes]
    wake: Callable[[], None]
    room: int = 1_000_000
    is_dead: bool = False
    is_stopped: bool = False
    happenings: list[Happening] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    subscribed: list[list[str]] = field(default_factory=list)
    mid: int = 0
    min_gap_s: float = 0.0

    def start(self) -> None:
        """The script connects when it wants to."""

    def stop(self) -> None:
        self.is_stopped = True

    def is_alive(self) -> bool:
        return not self.is_dead

    def meter(self, min_gap_s: float) -> None:
        self.min_gap_s = min_gap_s

    def subscribe(self, topics: list[str]) -> None:
        self.subscribed.append(topics)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        if self.room <= 0:
            return None
        self.room -= 1
        self.mid += 1
        self.published.append(Published(topic, payload, retain, self.mid))
        return self.mid

    def take(self) -> list[Happening]:
        taken, self.happenings = self.happenings, []
        return taken


class Clock:
    """Stands where the module ``time`` stands in ``run/link.py``."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def clock_gettime(self, which: int) -> float:
        assert which == self.CLOCK_BOOTTIME
        return self.now_s


class Bench:
    """A station's state directory, its agency's keys, and a link on them."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.station = Station(folder)
        self.receipts, self.documents = Signer.generate(), Signer.generate()
        keys = [self.receipts.public("receipt"), self.documents.public("document")]
        (folder / AGENCY_KEYS).write_text(json.dumps({"keys": keys}))
        self.clock = Clock()
        patch.setattr("appliance.run.link.MqttLine", self._line)
        patch.setattr("appliance.run.link.time", self.clock)
        self.ear = Ear(folder)
        self.questions = AnswerSocket(folder)
        self.start()

    def _line(self, address: Address, will: tuple[str, bytes], wake: Callable[[], None]) -> ScriptedLine:
        self.line = ScriptedLine(address, will, wake)
        return self.line

    @property
    def settings(self) -> Settings:
        return parse(SETTINGS, "station.toml")

    def start(self) -> None:
        """Start the link process anew on the same state."""
        self.link = Link(self.settings, self.folder, self.ear, self.questions)
        self.link.start()

    def append(self, count: int, padding: int = 0) -> None:
        for _ in range(count):
            self.station.outbox.append(lambda at: self.station.build(at, padding))

    def happen(self, *happenings: Happening) -> float:
        self.line.happenings.extend(happenings)
        return self.link.turn()

    def connect(self, in_flight: int = MAX_IN_FLIGHT) -> None:
        self.happen(Connected(in_flight))

    def disconnect(self, reason: int = 0) -> None:
        self.happen(Disconnected(reason, "gone"))

    def puback(self, reason: int = 0) -> None:
        """The broker acknowledges everything that was ever published."""
        self.happen(*(Acknowledged(one.mid, reason) for one in self.line.published))

    def receive(self, leaf: str, payload: str | bytes, *, is_retained: bool = False) -> None:
        content = payload.encode() if isinstance(payload, str) else payload
        self.happen(Received(PREFIX + leaf, content, is_retained))

    def receipt(self, through: int, **changes: Any) -> str:
        row = self.station.outbox.row(through)
        chain, digest = self.station.outbox.head().chain, row.hash if row else self.station.signer.kid
        values = {"station": "bkk-001", "epoch": 1, "chain": chain, "through": through, "hash": digest, **changes}
        return Receipt(committed_at=NOW.isoformat(), **values).sign(self.receipts)

    def roster(self, version: int = 1) -> str:
        body = roster_body("school-1", "2026-11-22", ["a member"])
        return Document("roster", version, NOW, NOW + timedelta(days=1), ("*",), body).sign(self.documents)

    def later(self, seconds: float) -> float:
        self.clock.now_s += seconds
        return self.link.turn()

    def bundles(self) -> list[Published]:
        return [one for one in self.line.published if one.topic == f"{PREFIX}event"]

    def events(self) -> list[int]:
        """Return the sequence numbers that were published, in order, and forget them."""
        bundles = self.bundles()
        self.line.published = [one for one in self.line.published if one not in bundles]
        return [number for bundle in bundles for number in self.numbers(bundle)]

    def numbers(self, bundle: Published) -> list[int]:
        held = {row.jws: row.sequence for row in self.station.outbox.rows()}
        return [held[line] for line in bundle.payload.decode("ascii").split("\n")]

    def statuses(self) -> list[dict[str, Any]]:
        """Return every status so far; each holds by the published schema and is retained."""
        found = [one for one in self.line.published if one.topic == f"{PREFIX}status"]
        assert all(one.retain for one in found)
        decoded = [strict_json.decode_object(one.payload) for one in found]
        for status in decoded:
            STATUS.check(status)
        return decoded

    def said(self) -> dict[str, Any]:
        """Return the status as it stands once there was time to say it."""
        self.later(6)
        return self.statuses()[-1]

    def through(self) -> int:
        delivery = Delivery.open(self.station.path)
        try:
            return delivery.standing().through
        finally:
            delivery.close()

    def is_woken(self) -> bool:
        return bool(select.select(self.ear.filenos(), [], [], 0)[0])
