"""Health visits: opened once, closed or disputed by the citizen, never closed without an opening (T-70, T-71)."""

import json
import math
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agency.desk.opening import open_with
from agency.linkage import visits as subject
from agency.linkage.claims import OwnClaims, Refused
from agency.linkage.http import NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome
from agency.linkage.visits import Visits, visit_context
from agency.store.database import DatabaseError
from agency.store.health_visits import HealthVisit, drop_visit, list_visits, open_visit, put_visit
from agency.store.questions import Question, begin
from appliance.errors import ConfigError
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import citizen_number

CITIZEN, OTHER = citizen_number(50), citizen_number(51)


@dataclass
class Scripted(OwnClaims):
    """Gives out codes, and fails as it is told to."""

    error: Exception | None = None
    opened: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    delay_s: float = 0.0

    def open(self, asked: Asked) -> str:
        if self.error:
            raise self.error
        self.opened.append(asked.id)
        time.sleep(self.delay_s)
        return super().open(asked)

    def close(self, asked: Asked, opened_by: str, ending: str) -> None:
        if self.error:
            raise self.error
        self.ended.append((opened_by, ending))


@dataclass
class Clinic:
    office: Office
    claims: Scripted = field(default_factory=Scripted)
    number: int = 0

    def __post_init__(self) -> None:
        home = self.office.desk.home
        self.visits = Visits(self.office.database, self.claims, b"k" * 32, lambda: self.office.station.recipients)
        self.keys = home.opening_keys()

    def ask(
        self,
        question: str,
        choice: str,
        citizen: str = CITIZEN,
        station: str = "bkk-001",
        id_: str = "",
        ends_s: float = math.inf,
    ) -> str:
        self.number += 1
        asked = Asked(
            id_ or f"01J{self.number:023d}", station, question, "moph.x", choice, {"citizen_id": citizen}, ends_s
        )
        with self.office.database.write() as connection:
            kid = self.office.station.signer.kid
            begin(connection, Question(asked.id, "bkk-001", kid, question, asked.service, "h", "2026-11-23"))
        said = self.visits.answer(asked)
        assert said.source == "visits"
        return said.outcome.value

    def open(self, choice: str = "dental", **where: Any) -> str:
        return self.ask("visit_open", choice, **where)

    def close(self, choice: str = "confirm", **where: Any) -> str:
        return self.ask("visit_close", choice, **where)

    def held(self) -> list[HealthVisit]:
        with self.office.database.read() as connection:
            return list_visits(connection, None, None)

    def states(self) -> list[str]:
        return [visit.state for visit in self.held()]


@pytest.fixture
def clinic(office: Office) -> Clinic:
    return Clinic(office)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "REOPENED_WITHIN", timedelta(0))


def test_a_visit_is_opened_sealed_and_closed(clinic: Clinic) -> None:
    assert clinic.open() == "normal"
    (visit,) = clinic.held()
    assert (visit.state, visit.choice, visit.station) == ("open", "dental", "bkk-001")
    told = open_with(json.loads(visit.sealed), clinic.keys, visit_context(visit.opened_by))
    assert (told["citizen_id"], len(told["claim_code"])) == (CITIZEN, 10)
    assert CITIZEN not in repr(vars(visit))
    assert clinic.close() == "normal"
    (visit,) = clinic.held()
    assert (visit.state, visit.closed_by) == ("closed", f"01J{2:023d}")
    assert clinic.claims.ended == [(visit.opened_by, "closed")]


def test_a_close_without_an_opening_is_refused_and_nobody_is_told(clinic: Clinic) -> None:
    assert clinic.close() == "not_normal"
    clinic.open(citizen=OTHER)
    assert clinic.close() == "not_normal"
    assert (clinic.states(), clinic.claims.ended) == (["open"], [])


def test_closed_twice_is_closed_once(clinic: Clinic) -> None:
    clinic.open()
    assert [clinic.close(), clinic.close()] == ["normal", "normal"]
    assert len(clinic.claims.ended) == 1


def test_opened_again_at_once_is_the_same_visit(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The station was cut off between the answer and its event, and the citizen puts the card in again."""
    assert [clinic.open(), clinic.open()] == ["normal", "normal"]
    assert len(clinic.claims.opened) == 1
    assert clinic.open("outpatient") == "normal"
    assert len(clinic.claims.opened) == 2, "for something else it is another one"
    later(monkeypatch)
    assert clinic.open("outpatient") == "normal"
    assert len(clinic.claims.opened) == 3


def test_after_a_close_the_next_visit_is_a_new_one(clinic: Clinic) -> None:
    clinic.open()
    clinic.close()
    assert clinic.open() == "normal"
    assert clinic.states() == ["closed", "open"]


def test_another_desk_of_the_agency_may_close(clinic: Clinic) -> None:
    clinic.open()
    assert clinic.close(station="cnx-002") == "normal"
    assert clinic.states() == ["closed"]


def test_a_dispute_stands(clinic: Clinic) -> None:
    clinic.open()
    assert clinic.close("dispute") == "normal"
    assert clinic.states() == ["disputed"]
    assert clinic.close("confirm") == "not_normal", "whoever disputed has not confirmed"
    assert clinic.close("dispute") == "normal"
    assert clinic.states() == ["disputed"]
    assert [ending for _, ending in clinic.claims.ended] == ["disputed"]


def test_what_was_confirmed_can_be_disputed(clinic: Clinic) -> None:
    clinic.open()
    clinic.close()
    assert clinic.close("dispute") == "normal"
    assert clinic.states() == ["disputed"]


@pytest.mark.parametrize("first", ["confirm", "dispute"])
@pytest.mark.parametrize("later", ["confirm", "dispute"])
def test_what_was_ended_long_ago_is_not_what_is_spoken_of_now(
    clinic: Clinic, first: str, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-70: a close without an opening is refused, also where the person was here last year."""
    clinic.open()
    clinic.close(first)
    monkeypatch.setattr(subject, "_DAY", timedelta(0))
    assert clinic.close(later) == "not_normal"
    assert len(clinic.claims.ended) == 1


@pytest.mark.parametrize("choice", ["call_staff", "", "CONFIRM", "open"])
def test_another_button_ends_nothing(clinic: Clinic, choice: str) -> None:
    clinic.open()
    assert clinic.close(choice) == "unavailable"
    assert (clinic.states(), clinic.claims.ended) == (["open"], [])


ERRORS = [(Refused("no"), "not_normal"), (NotReached("x"), "unavailable"), (NoAnswer("x"), "outcome_unknown")]


@pytest.mark.parametrize(("error", "outcome"), ERRORS)
def test_what_the_claim_service_did_not_say_is_not_written(clinic: Clinic, error: Exception, outcome: str) -> None:
    clinic.claims.error = error
    assert clinic.open() == outcome
    assert clinic.states() == ["opening"] * (outcome == "outcome_unknown")
    assert clinic.close() == "not_normal", "what may have been opened is not open"
    clinic.claims.error = None
    clinic.open()
    clinic.claims.error = error
    assert clinic.close() == outcome
    assert clinic.states() == ["open"]


def test_a_lost_claim_and_the_card_again_are_one_claim(clinic: Clinic) -> None:
    """Whoever gives out codes is asked again by the same correlation id, whatever is said in between."""
    clinic.claims.error = NoAnswer("x")
    assert clinic.open() == "outcome_unknown"
    (lost,) = clinic.held()
    for error, outcome in ERRORS:
        clinic.claims.error = error
        assert clinic.open("outpatient") == outcome
        assert clinic.held() == [lost]
    clinic.claims.error = None
    assert clinic.open("outpatient", station="bkk-001") == "normal"
    (visit,) = clinic.held()
    assert (clinic.claims.opened, visit.opened_by) == ([lost.opened_by], lost.opened_by)
    assert (visit.state, visit.choice) == ("open", "outpatient")
    told = open_with(json.loads(visit.sealed), clinic.keys, visit_context(visit.opened_by))
    assert (told["citizen_id"], len(told["claim_code"])) == (CITIZEN, 10)


def test_a_claim_that_was_lost_yesterday_is_none_of_today_s(clinic: Clinic) -> None:
    clinic.claims.error = NoAnswer("x")
    clinic.open()
    (lost,) = clinic.held()
    with clinic.office.database.write() as connection:
        drop_visit(connection, lost.opened_by)
        put_visit(connection, replace(lost, opened_at="2026-01-01T00:00:00.000+00:00"))
    clinic.claims.error = None
    assert clinic.open() == "normal"
    assert clinic.states() == ["opening", "open"]
    assert clinic.claims.opened != [lost.opened_by]


def test_midnight_makes_no_second_claim(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station forgets at midnight who was there a moment ago, and asks again."""
    clinic.claims.error = NoAnswer("x")
    clinic.open()
    (lost,) = clinic.held()
    monkeypatch.setattr(subject, "today", lambda: "2999-01-01")
    clinic.claims.error = None
    assert clinic.open() == "normal"
    assert (clinic.states(), clinic.claims.opened) == (["open"], [lost.opened_by])


def test_it_is_on_the_disk_sealed_before_the_claim_is_asked_for(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(asked: Asked) -> str:
        (visit,) = clinic.held()
        assert (visit.state, visit.opened_by) == ("opening", asked.id)
        assert open_with(json.loads(visit.sealed), clinic.keys, visit_context(asked.id)) == {"citizen_id": CITIZEN}
        raise SystemExit

    monkeypatch.setattr(clinic.claims, "open", die)
    with pytest.raises(SystemExit):
        clinic.open()
    assert clinic.states() == ["opening"]


def test_nothing_is_begun_when_nobody_waits_for_it_any_more(clinic: Clinic) -> None:
    """It waited for the database, or for the same person's question before it."""
    assert clinic.open(ends_s=time.monotonic()) == "unavailable"
    assert (clinic.claims.opened, clinic.held()) == ([], [])
    clinic.open()
    assert clinic.close(ends_s=time.monotonic()) == "unavailable"
    assert (clinic.claims.ended, clinic.states()) == ([], ["open"])


@pytest.mark.parametrize("error", [ConfigError(["no file"]), None])
def test_nobody_is_asked_where_the_visit_cannot_be_sealed(clinic: Clinic, error: Exception | None) -> None:
    def recipients() -> list[Any]:
        if error:
            raise error
        return []

    clinic.visits = Visits(clinic.office.database, clinic.claims, b"k" * 32, recipients)
    assert clinic.open() == "unavailable"
    assert (clinic.claims.opened, clinic.held()) == ([], [])


def test_nobody_is_asked_where_the_visit_cannot_be_noted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> None:
        raise DatabaseError("busy")

    monkeypatch.setattr(subject, "put_visit", busy)
    assert clinic.open() == "unavailable"
    assert (clinic.claims.opened, clinic.held()) == ([], [])


def test_what_was_opened_is_written_although_the_database_is_busy(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [DatabaseError("busy"), DatabaseError("busy")]

    def at_last(connection: Any, visit: HealthVisit) -> None:
        if busy:
            raise busy.pop()
        open_visit(connection, visit)

    monkeypatch.setattr(subject, "open_visit", at_last)
    assert clinic.open() == "normal"
    assert clinic.states() == ["open"]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400)])
def test_a_clock_that_was_set_back_hides_no_visit(clinic: Clinic, ahead: timedelta) -> None:
    clinic.open()
    later_on = (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds")
    with sqlite3.connect(clinic.office.desk.home.database) as connection:
        connection.execute("UPDATE health_visit SET opened_at = ?", (later_on,))
    assert clinic.open() == "normal"
    assert len(clinic.claims.opened) == (1 if ahead < timedelta(days=1) else 2)
    assert clinic.open("outpatient") == "normal"
    newest = max(clinic.held(), key=lambda visit: visit.opened_at)
    assert newest.choice == "outpatient"
    assert clinic.close() == "normal"
    assert [visit.choice for visit in clinic.held() if visit.state == "closed"] == ["outpatient"]


def test_two_cards_at_once_open_one_visit_each_and_one_card_twice_opens_one(clinic: Clinic) -> None:
    outcomes: list[str] = []
    clinic.claims.delay_s = 0.2
    barrier = threading.Barrier(4)

    def act(citizen: str, number: int) -> Callable[[], None]:
        def run() -> None:
            barrier.wait()
            outcomes.append(clinic.open(citizen=citizen, id_=f"02J{number:023d}"))

        return run

    people = [CITIZEN, CITIZEN, OTHER, OTHER]
    threads = [threading.Thread(target=act(citizen, number)) for number, citizen in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["normal"] * 4
    assert len(clinic.held()) == 2


def test_the_hash_of_a_person_is_keyed(clinic: Clinic) -> None:
    other = Visits(clinic.office.database, clinic.claims, b"x" * 32, list)
    assert clinic.visits.subject(CITIZEN) != other.subject(CITIZEN)
    assert clinic.visits.subject(CITIZEN) != clinic.visits.subject(OTHER)


def test_visits_that_are_open_too_long_and_disputed_ones_are_listed(clinic: Clinic) -> None:
    clinic.open()
    clinic.open(citizen=OTHER)
    clinic.close("dispute", citizen=OTHER)
    run = clinic.office.desk.run
    rows = run("visits", "--json").json()
    assert [row["state"] for row in rows] == ["open", "disputed"]
    assert rows[0]["age_h"] == 0.0
    assert len(run("visits", "--state", "open", "--json").json()) == 1
    assert len(run("visits", "--state", "disputed", "--station", "bkk-001", "--json").json()) == 1
    assert run("visits", "--station", "nope", "--json").json() == []
    assert Outcome.NORMAL.value not in run("visits").out
