"""kill -9 at every fault point that one part alone gets to: no broker and no pcscd, so all of them run every time.

The flow with a real state database, the link's inbox and the ingest of a batch; each dies in a child process, then
does the same again. ``tests/system/test_fault_points.py`` has the same places in the whole product.
"""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agency.desk.founding import Founding, found
from agency.home import Home
from agency.ingest import worker
from agency.ingest.batch import Bundle
from agency.ingest.verification import Rules
from agency.store import chains
from agency.store.database import Database
from agency.store.stations import EventKey, put_station
from appliance.events.receipt import Receipt
from appliance.events.roster import Scrypt, roster_body
from appliance.events.sign import KeySet, Signer
from appliance.flow import serve
from appliance.link.inbox import Inbox
from appliance.outbox.delivery import Delivery
from appliance.panel.screens import State
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.faults.crash import is_killed_at
from tests.faults.install import die_now, install
from tests.faults.points import NEW_DAY, POINTS, Point, of
from tests.flow.crash import Shown
from tests.flow.stage import Stage, signed_roster
from tests.flow.test_crash import shown_references
from tests.unit.agency.fleet import AGENCY, Pupil, audited, visits
from tests.unit.agency.fleet import Station as Sender
from tests.unit.outbox.test_store import Station

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
VISIT = [
    point for point in (*of("station"), *NEW_DAY) if point.stimulus == "card" and "appliance.run." not in point.target
]
RECEIPT = [
    point
    for point in of("link")
    if point.target.startswith(("appliance.link.inbox:Receipt", "appliance.outbox.delivery:Delivery.take_receipt"))
]
BATCH = [
    point
    for point in of("ingest")
    if point.target.startswith(("agency.ingest.batch:", "agency.ingest.commit:", "agency.store.chains:"))
    or (point.target == "agency.ingest.worker:take")
]


def test_the_table_is_sound() -> None:
    names = [point.name for point in (*POINTS, *NEW_DAY)]
    assert len(names) == len(set(names))
    assert all(name.endswith(("/before", "/after")) for name in names)
    assert len([point for point in POINTS if point.process == "station"]) >= 45


@pytest.mark.parametrize(
    "target", ["appliance.flow:_gone", "appliance.outbox.store:Outbox.gone", "appliance.outbox.store:Gone.append"]
)
def test_a_function_that_is_gone_is_noticed(target: str) -> None:
    with pytest.raises(LookupError, match="there is none"):
        install([Point("gone/before", "station", target)], die_now)


def test_every_function_of_the_table_is_there() -> None:
    child = os.fork()
    if child == 0:
        try:  # a child that raised would go on with the other tests
            install([*POINTS, *NEW_DAY], die_now)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def quick_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that cost nothing: this is about the order of things, and there are many points."""
    slow = Scrypt.digest
    monkeypatch.setattr(Scrypt, "digest", lambda self, number: slow(Scrypt(self.salt, n=2), number))


@pytest.mark.usefixtures("quick_digests")
@pytest.mark.parametrize("point", VISIT, ids=lambda point: point.name)
def test_a_visit(point: Point, tmp_path: Path) -> None:
    roster = signed_roster(body=roster_body("school-1", "2026-11-22", [person(1).citizen_id]))
    stage, shown = Stage(tmp_path, roster=roster), tmp_path / "shown"
    shown.touch()
    card = ThaiCard(person(1))
    stage.outbox.close()

    def visit() -> None:
        stage.restart()
        stage.slot.insert(card)
        world = stage.world()
        panel = Shown(shown, stage.slot.remove)
        serve(type(world)(**{**vars(world), "panel": panel}), stage.profile, lambda: stage.slot.card is not None)

    is_killed = is_killed_at(point, visit)
    stage.restart()
    rows = {str(row.sequence) for row in stage.rows()}
    assert is_killed, f"nobody came to {point.name}"
    assert shown_references(shown) <= rows, "shown as stored before it was"
    assert stage.visit(card).state is (State.ALREADY_RECORDED if rows else State.ACCEPTED)
    assert len(stage.rows()) == 1
    assert stage.problems() == []


@pytest.mark.parametrize("point", RECEIPT, ids=lambda point: point.name)
def test_a_receipt(point: Point, tmp_path: Path) -> None:
    station, signer = Station(tmp_path), Signer.generate()
    for _ in range(3):
        station.append()
    row = station.outbox.row(2)
    assert row is not None
    receipt = Receipt("bkk-001", 1, row.chain, 2, row.hash, NOW.isoformat()).sign(signer)
    station.outbox.close()

    def take() -> None:
        inbox = Inbox("", "bkk-001", KeySet([signer.public("receipt")]), Delivery.open(station.path))
        inbox.take_receipt(receipt.encode(), NOW)

    assert is_killed_at(point, take), f"nobody came to {point.name}"
    delivery = Delivery.open(station.path)
    assert (delivery.standing().through, delivery.last_receipt() is not None) in ((0, False), (2, True))
    assert delivery.standing().frozen is None
    take()
    assert (delivery.standing().through, delivery.backlog()[0]) == (2, 1)
    delivery.close()


@dataclass
class Counter:
    """An agency whose store is opened for each act anew."""

    home: Home
    station: Sender
    rules: Rules
    lines: list[str] = field(default_factory=list)

    def take(self, lines: list[str]) -> None:
        with Database.open(self.home.database) as database:
            take = worker.take  # type: ignore[attr-defined]  # under this name it is watched
            take(database, self.rules, [Bundle(self.station.id, "\n".join(lines).encode())])

    def held(self) -> list[str]:
        """Return every line that is held; each is covered, and the audit finds nothing."""
        with Database.open(self.home.database) as database, database.read() as connection:
            chain = chains.find_chain(connection, self.station.chain)
            assert chain is not None
            rows = [row.jws for row in chains.chain_rows(connection, self.station.chain)]
            assert audited(connection, self.home).problems == []
        assert chain.high_water == len(rows)
        return rows


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    home = Home(tmp_path_factory.mktemp("counter") / "home")
    found(home, Founding(AGENCY, (), 8883))
    recipients = [key for key in home.public_keys() if key["use"] == "enc"]
    station = Sender("bkk-001", recipients)
    with Database.open(home.database) as database, database.write() as connection:
        put_station(connection, EventKey(station.signer.kid, station.id, station.signer.public("event"), "", None))
    made = Counter(home, station, Rules.of(AGENCY, recipients))
    made.lines = visits(station, 1)
    made.take(made.lines)
    return made


@pytest.mark.parametrize("point", BATCH, ids=lambda point: point.name)
def test_a_batch(point: Point, counter: Counter) -> None:
    before, new = counter.lines, [counter.station.visit(Pupil.make(number)) for number in range(3)]
    counter.lines = [*before, *new]
    assert is_killed_at(point, lambda: counter.take(new)), f"nobody came to {point.name}"
    assert counter.held() in (before, counter.lines), "half a batch"
    counter.take(new)
    assert counter.held() == counter.lines
