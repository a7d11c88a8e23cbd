"""A whole station in one process: real cards code, checks, crypto and SQLite; a slot in memory, a recording panel."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.cards.thai_id import Field
from appliance.events.cloud_event import Origin
from appliance.events.document import Document
from appliance.events.roster import Roster, SignedRoster, roster_body
from appliance.events.seal import generate_sealing_key, open_seal, public_sealing_key
from appliance.events.sign import EVENT_TYPE, KeySet, Signer
from appliance.events.writer import EventWriter
from appliance.flow import serve
from appliance.hardware.clock import SystemClock
from appliance.inquiry import Inquiry
from appliance.outbox.row import Row
from appliance.outbox.store import Outbox
from appliance.outbox.verify import verify
from appliance.panel.screens import Screen
from appliance.ports import OfficerSession, World
from appliance.run.slot_reader import SlotReader
from appliance.services.loading import shipped
from appliance.services.profile import Profile
from appliance.simulate.agency import SimulatedAgency
from appliance.simulate.card import VirtualCard
from appliance.simulate.clock import SimulatedClock
from appliance.simulate.panel import RecordingPanel
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot

SERVICES = {profile.id: profile for profile in shipped()}
ATTENDANCE, VOUCHING = SERVICES["school.attendance"], SERVICES["common.vouch"]
MEMBERS = [person(serial).citizen_id for serial in (1, 2, 3)]
OFFICERS = [person(serial).citizen_id for serial in (51, 52)]
ROSTER_BODY = roster_body("school-1", "2026-11-22", MEMBERS, officers=OFFICERS)


SHORT_MS, PATIENT_MS = 500, 10_000  # an answer that comes must not be late on a busy machine


def signed_roster(
    expires_in: timedelta = timedelta(days=30), body: dict[str, Any] = ROSTER_BODY, kind: str = "roster"
) -> SignedRoster:
    now = datetime.now(UTC) - timedelta(days=1)
    document = Document(kind, 42, now, datetime.now(UTC) + expires_in, ("*",), body)
    return SignedRoster(Roster.from_document(document), document.issued_at, document.expires_at)


@dataclass
class Stage:
    """The station and the person in front of it.

    Args:
        folder: for the state database.
    """

    folder: Path
    profile: Profile = ATTENDANCE
    roster: SignedRoster | None = field(default_factory=signed_roster)
    denylist: SignedRoster | None = None
    vouching: Profile = VOUCHING
    session: OfficerSession = field(default_factory=OfficerSession)
    signer: Signer = field(default_factory=Signer.generate)
    document_signer: Signer = field(default_factory=Signer.generate)
    duty: dict[str, Any] = field(default_factory=generate_sealing_key)
    escrow: dict[str, Any] = field(default_factory=generate_sealing_key)
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(SystemClock()))
    slot: InMemorySlot = field(default_factory=InMemorySlot)
    panel: RecordingPanel = field(default_factory=RecordingPanel)
    inquiry: Inquiry | None = None

    def __post_init__(self) -> None:
        self.keys = KeySet([self.document_signer.public("document")])
        self.outbox = Outbox.open(self.folder / "station.db", create=True)
        self.outbox.start_chain(self.signer.kid, datetime.now(UTC))

    def restart(self) -> None:
        """What a new process begins with: the database, and nothing else."""
        self.outbox.close()
        self.outbox = Outbox.open(self.folder / "station.db")
        card, self.slot, self.session = self.slot.card, InMemorySlot(), OfficerSession()
        if card is not None:
            self.slot.insert(card)

    def world(self) -> World:
        recipients = [public_sealing_key(self.duty, "duty"), public_sealing_key(self.escrow, "escrow")]
        return World(
            reader=SlotReader(self.slot, list(Field)),
            panel=self.panel,
            clock=self.clock,
            outbox=self.outbox,
            writer=EventWriter(Origin("obec", "bkk-001", "0.1.0"), self.signer, recipients),
            roster=lambda: self.roster,
            denylist=lambda: self.denylist,
            vouching=lambda: self.vouching,
            session=self.session,
            inquiry=self.inquiry,
        )

    def connect(self, outcome: str | None = "normal", deadline_ms: int | None = None) -> SimulatedAgency:
        """Have an agency at the other end, which says ``outcome``; None for nothing, and then the deadline is short."""
        public = self.signer.public("event")
        agency = SimulatedAgency(public, "obec", "bkk-001", outcome, now_s=lambda: self.clock.now().monotonic_s)
        self.inquiry = Inquiry(agency, agency.keys, self.world().writer)
        self.wait_for_answers(deadline_ms or (SHORT_MS if outcome is None else PATIENT_MS))
        return agency

    def wait_for_answers(self, deadline_ms: int) -> None:
        """Change how long the station waits."""
        assert self.profile.online is not None
        self.profile = replace(self.profile, online=replace(self.profile.online, deadline_ms=deadline_ms))

    def visit(self, card: VirtualCard) -> Screen:
        """Put a card in, take it out when the verdict shows, and return the verdict."""
        self.slot.insert(card)
        world = self.world()
        serve(replace(world, panel=_PullWhenShown(self)), self.profile, lambda: self.slot.card is not None)
        return self.panel.screens[-1]

    def later(self, **time: float) -> None:
        self.clock.shift += timedelta(**time)

    def rows(self) -> list[Row]:
        return list(self.outbox.rows())

    def events(self) -> list[dict[str, Any]]:
        keys = KeySet([self.signer.public("event")])
        return [keys.verify(row.jws, EVENT_TYPE, "event") for row in self.rows()]

    def problems(self) -> list[str]:
        return verify(self.outbox.rows(), KeySet([self.signer.public("event")]), self.signer.kid)

    def opened(self, event: dict[str, Any], key: dict[str, Any] | None = None) -> dict[str, Any]:
        context = f"{event['source']}|{event['chain']}|{int(event['sequence'])}"
        return open_seal(event["data"]["sealed"], key or self.duty, context)


class _PullWhenShown:
    """The person: takes the card out as soon as a verdict shows."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def show(self, screen: Screen) -> None:
        self._stage.panel.show(screen)
        if screen.reference:
            self._stage.slot.remove()

    def pressed(self) -> Any:
        return self._stage.panel.pressed()

    def held(self) -> Any:
        return self._stage.panel.held()
