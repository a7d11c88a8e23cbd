"""The audit of online questions and health visits: an edited row, a deleted one, a visit that nobody asked for."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agency.store.database import Database
from appliance.events.sign import Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Desk, Station, citizen_number
from tests.unit.agency.linkage.test_worker import Desk as Linkage


@pytest.fixture
def answered(desk: Desk, tmp_path: Path) -> Iterator[Linkage]:
    """An agency that answered three people, of whom one disputed a visit."""
    for purpose in ("query", "answer"):
        assert desk.run("keys", "rotate", purpose).code == 0
    station = Station("bkk-001")
    desk.enrol(station, tmp_path)
    with Database.open(desk.home.database) as database:
        made = Linkage(Office(desk, database, station, tmp_path), signer=Signer(desk.home.key("answer")))
        made.run(made.ask(citizen_number(80)), made.ask(citizen_number(81)))
        made.visit(citizen_number(82))
        yield made


def found(answered: Linkage) -> list[tuple[str, str]]:
    ran = answered.office.desk.run("audit", "--json")
    return sorted((problem["code"], problem["text"].partition(":")[0]) for problem in ran.json()["problems"])


def test_what_was_answered_is_clean(answered: Linkage) -> None:
    assert found(answered) == []
    counts = answered.office.desk.run("audit", "--json").json()["counts"]
    assert (counts["questions"], counts["health_visits"]) == (4, 1)


DIFFERS = ("answer", "differs from the answer that was signed")
BARE = ("answer", "an outcome stands without an answer")
UNASKED = ("visit", "no answered question visit_close stands behind it")
UNREADABLE = ("edited", "holds what cannot be read (TypeError); the rest is unseen")


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        ("UPDATE question SET outcome = 'not_normal' WHERE question = 'agency_record'", {DIFFERS}),
        ("UPDATE question SET source = 'x' WHERE question = 'agency_record'", {DIFFERS}),
        (
            "UPDATE question SET answer = NULL WHERE question = 'agency_record'",
            {BARE},
        ),
        ("UPDATE question SET answer = answer || 'A' WHERE question = 'agency_record'", {("answer", "the answer")}),
        ("UPDATE health_visit SET state = 'open'", {("visit", "its state and its end contradict each other")}),
        ("UPDATE health_visit SET closed_by = NULL", {("visit", "its state and its end contradict each other")}),
        (
            "UPDATE health_visit SET closed_by = (SELECT id FROM question WHERE question = 'agency_record' LIMIT 1)",
            {UNASKED},
        ),
        (
            'UPDATE health_visit SET sealed = replace(sealed, \'"ciphertext": "\', \'"ciphertext": "AAAA\')',
            {("visit", "the seal does not open")},
        ),
        (
            "UPDATE health_visit SET sealed = '[]'",
            {UNREADABLE},
        ),
        (
            "DELETE FROM question WHERE question = 'visit_close'",
            {UNASKED, ("edited", "1 rows name a question that is not held")},
        ),
    ],
)
def test_what_somebody_wrote_is_found(answered: Linkage, edit: str, wanted: set[tuple[str, str]]) -> None:
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute(edit)
    assert set(found(answered)) == wanted


def test_a_visit_in_doubt_is_clean_and_one_that_was_refused_is_not(answered: Linkage) -> None:
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute("UPDATE health_visit SET state = 'opening', closed_by = NULL, closed_at = NULL")
        connection.execute(
            "UPDATE question SET outcome = NULL, source = NULL, answer = NULL WHERE question LIKE 'visit%'"
        )
    assert found(answered) == []
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute("UPDATE health_visit SET state = 'open'")
    assert found(answered) == []
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute("UPDATE question SET outcome = 'not_normal' WHERE question = 'visit_open'")
    assert set(found(answered)) == {BARE, ("visit", "no answered question visit_open stands behind it")}


def test_visits_and_questions_cannot_go_unseen_once_an_audit_saw_them(answered: Linkage) -> None:
    assert found(answered) == []
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute("DELETE FROM health_visit")
        connection.execute("DELETE FROM question")
    assert [code for code, _ in found(answered)] == ["gone", "gone", "gone"], "two tables, and the answers"


def test_a_visit_that_was_not_opened_after_all_may_go(answered: Linkage) -> None:
    change = "UPDATE health_visit SET state = 'opening', closed_by = NULL, closed_at = NULL"
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute(change)
    answered.office.desk.run("audit")
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute("DELETE FROM health_visit")
    assert "gone" not in [code for code, _ in found(answered)]


def test_an_answer_cannot_be_taken_back(answered: Linkage) -> None:
    assert found(answered) == []
    with sqlite3.connect(answered.office.desk.home.database) as connection:
        connection.execute(
            "UPDATE question SET outcome = NULL, source = NULL, answer = NULL WHERE question NOT LIKE 'visit%'"
        )
        assert connection.total_changes
    assert "gone" in {code for code, _ in found(answered)}
