"""The worker without a broker: a client that plays a script. What is ignored, what is owed at the end, what ends it."""

import threading
from collections import deque
from dataclasses import dataclass, field

import pytest

from agency.broker.client import BrokerClient, Message
from agency.broker.topics import is_station_id, station_of, topic
from agency.ingest import worker
from agency.ingest.batch import Bundle, Tally, take
from agency.ingest.office import Office as Facts
from agency.ingest.receipts import share
from agency.ingest.restored import Witness
from agency.ingest.verification import Rules
from agency.ingest.worker import Worker, event_topics
from agency.store import chains
from agency.store.database import Database, DatabaseError
from appliance.errors import DeliveryError
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet, Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import AGENCY, Pupil, Station, visits


@dataclass
class Script:
    """Gives out its messages, is silent once, then sets ``stop``; keeps what was published."""

    messages: deque[Message]
    stop: threading.Event = field(default_factory=threading.Event)
    published: list[tuple[str, str]] = field(default_factory=list)
    is_dead: bool = False
    has_rested: bool = False

    def check(self) -> None:
        if self.is_dead:
            raise DeliveryError("dead")

    def next_message(self, seconds: float) -> Message | None:
        if self.messages:
            return self.messages.popleft()
        if self.has_rested:
            self.stop.set()
        self.has_rested = True
        return None

    def is_drained(self) -> bool:
        return True

    def publish_retained(self, name: str, payload: str) -> int:
        self.published.append((name, payload))
        return len(self.published)


@dataclass
class Bench:
    """A worker with its script."""

    office: Office
    signer: Signer = field(default_factory=Signer.generate)

    @property
    def witness(self) -> Witness:
        return Witness(self.office.desk.home.witness)

    def run(self, *messages: Message, is_dead: bool = False) -> list[Receipt]:
        script = Script(deque(messages), is_dead=is_dead)
        keys = KeySet([self.signer.public("receipt")])
        facts = Facts(AGENCY, self.office.rules, self.signer, keys)
        client: BrokerClient = script  # type: ignore[assignment]
        Worker(self.office.database, client, lambda: facts, self.witness).run(script.stop)
        assert all(name == topic(AGENCY, "bkk-001", "receipt") for name, _ in script.published)
        return [Receipt.open(payload, keys, "bkk-001") for _, payload in script.published]


@pytest.fixture
def bench(office: Office) -> Bench:
    return Bench(office)


def event(*lines: str, station: str = "bkk-001", retained: bool = False) -> Message:
    return Message(topic(AGENCY, station, "event"), "\n".join(lines).encode(), retained)


def test_one_batch_makes_one_receipt_of_the_newest_state(bench: Bench) -> None:
    lines = visits(bench.office.station, 5)
    (receipt,) = bench.run(*(event(line) for line in lines))
    assert (receipt.through, receipt.epoch) == (6, 1)


def test_who_is_answered_alone_is_granted_the_most(bench: Bench) -> None:
    (receipt,) = bench.run(event(*visits(bench.office.station, 5)))
    assert receipt.window == share(1) > share(5)


def test_what_is_owed_at_the_end_is_sent(bench: Bench) -> None:
    line = bench.office.station.started()
    more = [bench.office.station.visit(Pupil.make(number)) for number in range(250)]
    receipts = bench.run(event(line), *(event(one) for one in more))  # more than one batch
    assert [receipt.through for receipt in receipts] == [200, 251]


@pytest.mark.parametrize("leaf", ["status", "receipt", "event/x", "query"])
def test_other_topics_are_ignored(bench: Bench, leaf: str) -> None:
    line = bench.office.station.started()
    assert bench.run(Message(topic(AGENCY, "bkk-001", leaf), line.encode(), False)) == []


def test_retained_events_are_ignored_and_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    line = bench.office.station.started()
    assert bench.run(event(line, retained=True)) == []
    assert "station bkk-001: ignored a retained event message" in caplog.text
    assert len(bench.run(event(line))) == 1


def test_a_station_that_nobody_enrolled_gets_no_receipt(bench: Bench) -> None:
    assert bench.run(event(bench.office.station.started(), station="bkk-404")) == []
    with bench.office.database.read() as connection:
        assert chains.list_chains(connection) == []


def test_a_replay_by_a_revoked_key_gets_no_receipt_and_the_new_key_does(bench: Bench) -> None:
    old, desk = bench.office.station, bench.office.desk
    lines = visits(old, 2)
    assert len(bench.run(event(lines[0]))) == 1
    assert desk.run("station", "revoke", old.id).code == 0
    new = Station(old.id)
    desk.enrol(new, bench.office.folder)
    (receipt,) = bench.run(event(*lines), event(new.started()))
    assert (receipt.chain, receipt.through) == (new.next.chain, 1)
    assert bench.run(event(*lines)) == []
    with bench.office.database.read() as connection:
        codes = {kept.code for kept in chains.list_quarantined(connection, old.id)}
        (held,) = (chain for chain in chains.list_chains(connection, old.id) if chain.kid == old.signer.kid)
    assert (codes, held.high_water) == ({"revoked"}, 1)


def test_a_receipt_that_waits_is_not_sent_once_the_key_is_revoked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revoked_meanwhile(database: Database, rules: Rules, bundles: list[Bundle]) -> Tally:
        tally = take(database, rules, bundles)
        assert bench.office.desk.run("station", "revoke", "bkk-001").code == 0
        return tally

    monkeypatch.setattr(worker, "take", revoked_meanwhile)
    assert bench.run(event(bench.office.station.started())) == []


def test_a_dead_client_ends_the_worker(bench: Bench) -> None:
    with pytest.raises(DeliveryError):
        bench.run(event(bench.office.station.started()), is_dead=True)


def test_no_receipt_leaves_before_the_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise DatabaseError("the database fails")

    script = Script(deque([event(*visits(bench.office.station, 2))]))
    facts = Facts(AGENCY, bench.office.rules, bench.signer, KeySet([]))
    monkeypatch.setattr(chains, "move_high_water", fails)
    with pytest.raises(DatabaseError):
        Worker(bench.office.database, script, lambda: facts, bench.witness).run(script.stop)  # type: ignore[arg-type]
    assert script.published == []
    with bench.office.database.read() as connection:
        assert chains.list_chains(connection) == []


@pytest.mark.parametrize(
    ("name", "station"),
    [
        ("cs/1/obec/bkk-001/event", "bkk-001"),
        ("cs/1/rd/bkk-001/event", None),
        ("cs/2/obec/bkk-001/event", None),
        ("cs/1/obec/agency-desk/event", None),
        ("cs/1/obec/enrol/event", None),
        ("cs/1/obec//event", None),
        ("cs/1/obec/BKK/event", None),
        ("cs/1/obec/bkk-001/event/", None),
        ("event", None),
    ],
)
def test_the_station_of_a_topic(name: str, station: str | None) -> None:
    assert station_of(name, AGENCY, "event") == station


def test_ids_never_collide_with_the_agencys_own_users() -> None:
    assert not any(is_station_id(name) for name in ("agency-ingest", "agency-desk", "agency-", "enrol", "", "-a", "ก"))
    assert all(is_station_id(name) for name in ("agency", "enrol-1", "0", "a" * 63))
    assert event_topics(AGENCY) == ("cs/1/obec/+/event",)
