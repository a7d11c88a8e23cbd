"""Health visits: opened once, closed or disputed by the citizen, never closed without an opening (T-70, T-71)."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from agency.desk.opening import open_with
from agency.linkage import visits as subject
from agency.linkage.claims import OwnClaims, Refused
from agency.linkage.http import NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome
from agency.linkage.visits import Visits, visit_context
from agency.store.health_visits import HealthVisit, list_visits
from agency.store.questions import Question, begin
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

    def ask(self, question: str, choice: str, citizen: str = CITIZEN, station: str = "bkk-001", id_: str = "") -> str:
        self.number += 1
        asked = Asked(id_ or f"01J{self.number:023d}", station, question, "moph.x", choice, {"citizen_id": citizen})
        with self.office.database.write() as connection:
            kid = self.office.station.signer.kid
            begin(connection, Question(asked.id, "bkk-001", kid, question, asked.service, "h", "2026-11-23"))
        said = self.visits.answer(asked)
        assert said.source == "visits"
        return said.outcome.value

    def open(self, choice: str = "dental", **where: str) -> str:
        return self.ask("visit_open", choice, **where)

    def close(self, choice: str = "confirm", **where: str) -> str:
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


@pytest.mark.parametrize("choice", ["call_staff", "", "CONFIRM", "open"])
def test_another_button_ends_nothing(clinic: Clinic, choice: str) -> None:
    clinic.open()
    assert clinic.close(choice) == "unavailable"
    assert (clinic.states(), clinic.claims.ended) == (["open"], [])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Refused("no"), "not_normal"), (NotReached("x"), "unavailable"), (NoAnswer("x"), "outcome_unknown")],
)
def test_what_the_claim_service_did_not_say_is_not_written(clinic: Clinic, error: Exception, outcome: str) -> None:
    clinic.claims.error = error
    assert clinic.open() == outcome
    assert clinic.held() == []
    clinic.claims.error = None
    clinic.open()
    clinic.claims.error = error
    assert clinic.close() == outcome
    assert clinic.states() == ["open"]


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
