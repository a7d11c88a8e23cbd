"""The worker without a broker: what trips it costs one query, and what ends it is said."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agency.broker.client import Message
from agency.broker.topics import topic
from agency.clock import day_began, today
from agency.linkage import asking
from agency.linkage import worker as worker_module
from agency.linkage.asking import Meter, Services, asked_of, is_write
from agency.linkage.claims import OwnClaims
from agency.linkage.source import Asked, Outcome, Said
from agency.linkage.visits import Visits
from agency.linkage.worker import Bureau, Worker
from agency.store.database import DatabaseError
from agency.store.questions import Question as Row
from agency.store.questions import asked_since, begin, every_question, finish
from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.cloud_event import Origin
from appliance.events.query import Answer, Query
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import KeySet, Signer
from appliance.services.loading import shipped
from appliance.services.vocabulary import Question
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import AGENCY, citizen_number

PROFILES = {profile.sha256: profile for profile in shipped()}


@dataclass
class Client:
    """Gives out its messages, then stops the worker, when as many answers are out as are waited for."""

    messages: deque[Message] = field(default_factory=deque)
    stop: threading.Event = field(default_factory=threading.Event)
    published: list[str] = field(default_factory=list)
    awaited: int = 0

    def check(self) -> None:
        pass

    def next_message(self, seconds: float) -> Message | None:
        if self.messages:
            return self.messages.popleft()
        if len(self.published) >= self.awaited:
            self.stop.set()
        time.sleep(0.01)
        return None

    def publish(self, name: str, payload: str) -> int:
        assert name == topic(AGENCY, "bkk-001", "answer")
        self.published.append(payload)
        return 1


@dataclass
class Desk:
    """A worker with its keys, and a source that does as the test says."""

    office: Office
    act: Any = None
    client: Client = field(default_factory=Client)
    signer: Signer = field(default_factory=Signer.generate)
    opening: dict[str, Any] = field(default_factory=generate_sealing_key)
    services: Services = field(default_factory=lambda: Services([(profile, ["*"]) for profile in PROFILES.values()]))
    meter: Meter = field(default_factory=lambda: Meter(100, 100, today(), {}))

    def answer(self, asked: Asked) -> Said:
        if isinstance(self.act, Exception):
            raise self.act
        return self.act(asked) if callable(self.act) else self.act or Said(Outcome.NORMAL, "records")

    def ask(
        self,
        number: str,
        service: str = "rd.tax_payment",
        choice: str | None = "file",
        age: timedelta = timedelta(0),
        deadline_ms: int = 4000,
        **about: Any,
    ) -> Query:
        profile = next(one for one in PROFILES.values() if one.id == service)
        assert profile.online is not None
        names = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
        return Query.ask(
            Origin(AGENCY, "bkk-001", "0.1.0"), names, profile.online.question.value, choice=choice,
            about={"citizen_id": number, **about}, key=public_sealing_key(self.opening, "query"),
            at=datetime.now(UTC) - age, deadline_ms=deadline_ms,
        )  # fmt: skip

    def visit(self, number: str) -> None:
        """Open and dispute a health visit."""
        for service, choice in (("moph.visit_open", "dental"), ("moph.visit_close", "dispute")):
            self.run(self.ask(number, service, choice))

    def run(self, *queries: Query) -> list[Answer]:
        for query in queries:
            payload = query.sign(self.office.station.signer).encode()
            self.client.messages.append(Message(topic(AGENCY, "bkk-001", "query"), payload, False))
        kid = public_sealing_key(self.opening, "query")["kid"]
        bureau = Bureau(self.signer, {kid: {**self.opening, "kid": kid}}, self.services)
        client: Any = self.client
        source: Any = self
        recipients = self.office.station.recipients
        visits = Visits(self.office.database, OwnClaims(), b"k" * 32, lambda: recipients)
        sources = {"agency_record": source, "visit_open": visits, "visit_close": visits}
        worker = Worker(self.office.database, client, AGENCY, lambda: bureau, sources, self.meter)
        self.client.stop.clear()
        worker.run(self.client.stop)
        keys = KeySet([self.signer.public("answer")])
        return [Answer.open(text, keys, "bkk-001") for text in self.client.published]

    def rows(self) -> list[tuple[str, str | None, str | None]]:
        with self.office.database.read() as connection:
            return [(one.question, one.outcome, one.source) for one in every_question(connection)]


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


def test_a_question_is_answered(desk: Desk) -> None:
    query = desk.ask(citizen_number(70))
    (answer,) = desk.run(query)
    assert answer.belongs_to(query)
    assert answer.outcome == "normal"


def test_an_id_that_is_known_gets_its_answer_however_old_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nobody was asked would be a lie about it; of an unknown id it is true."""
    query = desk.ask(citizen_number(70), age=timedelta(seconds=110))
    (first,) = desk.run(query)
    monkeypatch.setattr(asking, "MAX_AGE", timedelta(seconds=100))
    assert desk.run(query) == [first, first]
    assert desk.run(desk.ask(citizen_number(71), age=timedelta(seconds=110)))[-1].outcome == "unavailable"


def test_a_query_of_a_clock_that_is_ahead_is_not_asked_when_its_time_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = desk.ask(citizen_number(70), "moph.visit_open", "dental", age=timedelta(minutes=-3))
    later = Message(topic(AGENCY, "bkk-001", "query"), query.sign(desk.office.station.signer).encode(), False)

    def again(seconds: float) -> Message | None:
        if desk.client.messages:
            return desk.client.messages.popleft()
        if desk.client.published:
            monkeypatch.setattr(asking, "MAX_AGE", timedelta(minutes=5))
            desk.client.next_message = type(desk.client).next_message.__get__(desk.client)  # type: ignore[method-assign]
            desk.client.awaited = 2
            return later
        time.sleep(0.01)
        return None

    desk.client.next_message = again  # type: ignore[method-assign]
    assert [one.outcome for one in desk.run(query)] == ["unavailable"] * 2
    assert desk.rows() == []


@pytest.mark.parametrize(
    ("service", "choice", "outcome"),
    [("moph.visit_open", "dental", "outcome_unknown"), ("rd.tax_payment", "file", "unavailable")],
)
def test_what_was_begun_and_is_old_now_is_not_asked_again(desk: Desk, service: str, choice: str, outcome: str) -> None:
    query = desk.ask(citizen_number(70), service, choice, age=timedelta(minutes=3))
    names = (query.id, query.station, desk.office.station.signer.kid, query.question, query.service["id"])
    with desk.office.database.write() as connection:
        begin(connection, Row(*names, jws_hash(query.sign(desk.office.station.signer)), "2026-11-23"))
    assert [one.outcome for one in desk.run(query)] == [outcome]


@pytest.mark.parametrize("value", ["\x00", "\ufffe", "x" * 101, "", 7, None, ["x"], {"x": "y"}])
def test_what_is_sealed_is_short_text(desk: Desk, value: Any) -> None:
    query = desk.ask(citizen_number(70), "tdc.register", "report", chip_number=value)
    assert len(desk.run(query)) == (value == "")


def test_half_a_letter_is_no_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON can spell a lone surrogate; whoever is asked could not be sent it."""
    about = {"citizen_id": citizen_number(70), "chip_number": "\ud800"}
    monkeypatch.setattr(Query, "about", lambda query, key: about)
    query = desk.ask(citizen_number(70), "tdc.register", "report")
    with pytest.raises(VerificationError, match="no text of a card"):
        asked_of(query, PROFILES[query.service["sha256"]], {query.sealed_to: desk.opening}, 0.0)


@pytest.mark.parametrize("choice", [None, "dental", "a", "ask"])
def test_a_choice_that_the_service_does_not_offer_is_not_answered(desk: Desk, choice: str | None) -> None:
    assert desk.run(desk.ask(citizen_number(70), choice=choice)) == []


@pytest.mark.parametrize(
    ("stations", "chosen", "is_answered"),
    [
        (["*"], {}, True),
        (["bkk-001"], {}, True),
        (["cnx-002"], {}, False),
        (["*"], {"bkk-001": ["tdc.register", "rd.tax_payment"]}, True),
        (["*"], {"bkk-001": ["tdc.register"], "*": ["rd.tax_payment"]}, False),
        (["*"], {"cnx-002": ["rd.tax_payment"]}, False),
        (["*"], {"*": ["rd.tax_payment"]}, True),
    ],
)
def test_a_station_asks_by_what_it_was_given_and_may_use(
    desk: Desk, stations: list[str], chosen: dict[str, list[str]], is_answered: bool
) -> None:
    desk.services = Services([(profile, stations) for profile in PROFILES.values()], chosen)
    assert len(desk.run(desk.ask(citizen_number(70)))) == is_answered


def test_a_station_that_has_asked_enough_today_asks_again_tomorrow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.meter = Meter(100, 3, today(), {"bkk-001": 1, "cnx-002": 3})
    first = desk.ask(citizen_number(70))
    answers = desk.run(first, desk.ask(citizen_number(71)), desk.ask(citizen_number(72)))
    assert sorted((one.outcome, one.source) for one in answers) == [
        ("normal", "records"),
        ("normal", "records"),
        ("unavailable", "limit"),
    ]
    desk.client.published.clear()
    assert len(desk.run(first)) == 1, "what has its answer is no new question"
    monkeypatch.setattr(worker_module, "today", lambda: "2999-01-01")
    assert desk.run(desk.ask(citizen_number(73)))[-1].outcome == "normal"


def test_what_was_asked_today_is_counted_when_the_worker_begins_anew(desk: Desk) -> None:
    desk.run(desk.ask(citizen_number(70)), desk.ask(citizen_number(71)))
    with desk.office.database.read() as connection:
        assert asked_since(connection, day_began()) == {"bkk-001": 2}
        assert asked_since(connection, "2999-01-01T00:00:00.000+00:00") == {}


def test_a_visit_is_a_write_whatever_its_profile_says() -> None:
    writes = {one.value for one in Question if is_write(one.value)}
    assert writes == {"visit_open", "visit_close"}


@pytest.mark.parametrize("error", [KeyError("a secret"), RecursionError("a secret"), ZeroDivisionError("a secret")])
def test_a_source_that_trips_has_said_nothing(desk: Desk, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    desk.act = error
    query = desk.ask(citizen_number(70))
    with caplog.at_level(logging.ERROR):
        assert [one.outcome for one in desk.run(query)] == ["unknown"]
    assert type(error).__name__ in caplog.text
    assert "a secret" not in caplog.text
    desk.act = None
    assert [one.outcome for one in desk.run(desk.ask(citizen_number(71)))] == ["unknown", "normal"]


def test_of_a_write_that_trips_the_outcome_is_unknown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Visits, "subject", lambda *_: 1 / 0)
    query = desk.ask(citizen_number(70), "moph.visit_open", "dental")
    assert [one.outcome for one in desk.run(query, query)] == ["outcome_unknown"] * len(desk.client.published)
    assert desk.rows() == [("visit_open", "outcome_unknown", "linkage")]


@pytest.mark.parametrize("said", [("Not A Source", "2026-11-23"), ("records", "yesterday")])
def test_what_cannot_be_signed_leaves_no_question_open(desk: Desk, said: tuple[str, str]) -> None:
    desk.act = Said(Outcome.NORMAL, *said)
    assert [one.outcome for one in desk.run(desk.ask(citizen_number(70)))] == ["unknown"]
    assert desk.rows() == [("agency_record", "unknown", "linkage")]


def test_nobody_is_asked_what_cannot_be_noted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    desk.act = lambda one: asked.append(one.id)

    def busy(*_: Any) -> None:
        raise DatabaseError("database is locked")

    query = desk.ask(citizen_number(70))
    monkeypatch.setattr(worker_module, "begin", busy)
    assert [one.outcome for one in desk.run(query)] == ["unavailable"]
    assert (asked, desk.rows()) == ([], [])


def test_who_was_told_that_nobody_was_asked_is_told_so_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [DatabaseError("database is locked")]

    def at_last(*given: Any) -> None:
        if busy:
            raise busy.pop()
        begin(*given)

    monkeypatch.setattr(worker_module, "begin", at_last)
    query = desk.ask(citizen_number(70), "moph.visit_open", "dental")
    monkeypatch.setattr(worker_module, "THREADS", 1)
    monkeypatch.setattr(Worker, "_take_in_hand", lambda *_: True)
    desk.client.awaited = 2
    assert [one.outcome for one in desk.run(query, query)] == ["unavailable"] * 2
    assert desk.rows() == []


def test_an_answer_is_committed_although_the_database_is_busy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [DatabaseError("database is locked"), DatabaseError("database is locked")]

    def at_last(*given: Any) -> None:
        if busy:
            raise busy.pop()
        finish(*given)

    monkeypatch.setattr(worker_module, "finish", at_last)
    assert [one.outcome for one in desk.run(desk.ask(citizen_number(70)))] == ["normal"]
    assert desk.rows() == [("agency_record", "normal", "records")]


def test_a_slow_source_holds_up_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "THREADS", 1)

    def until_the_visit_is_answered(_: Asked) -> Said:
        end_s = time.monotonic() + 3
        while not desk.client.published and time.monotonic() < end_s:
            time.sleep(0.01)
        return Said(Outcome.NORMAL, "records")

    desk.act = until_the_visit_is_answered
    answers = desk.run(desk.ask(citizen_number(70)), desk.ask(citizen_number(71), "moph.visit_open", "dental"))
    assert [one.question for one in answers] == ["visit_open", "agency_record"]


def test_nobody_is_asked_for_a_station_that_has_ceased_to_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "THREADS", 1)
    asked: list[str] = []

    def slow(one: Asked) -> Said:
        asked.append(one.id)
        time.sleep(2.2)
        return Said(Outcome.NORMAL, "records")

    desk.act, desk.client.awaited = slow, 2
    queries = [desk.ask(citizen_number(seed), deadline_ms=2000) for seed in (70, 71)]
    assert [one.outcome for one in desk.run(*queries)] == ["normal", "unavailable"]
    assert asked == [queries[0].id]
    assert len(desk.rows()) == 2, "it is noted: nobody is asked when it comes again"


def test_a_database_that_fails_ends_the_worker(desk: Desk) -> None:
    desk.act = DatabaseError("the database fails")
    desk.client.messages.clear()
    query = desk.ask(citizen_number(70))

    def endless(seconds: float) -> Message | None:
        return desk.client.messages.popleft() if desk.client.messages else None

    desk.client.next_message = endless  # type: ignore[method-assign]
    with pytest.raises(DatabaseError):
        desk.run(query)
