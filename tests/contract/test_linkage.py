"""The online question at the agency: real processes, a real broker, and a simulated registry with its faults.

The station is a paho client with the keys of a real grant; its own half of the question is in ``tests/flow``.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agency.broker.topics import topic
from agency.linkage.simulator import Simulator, serving
from agency.store.database import Database
from agency.store.questions import Question, begin, list_questions
from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.cloud_event import Origin
from appliance.events.query import QUERY_TYPE, Answer, Query
from appliance.events.sign import KeySet, Signer
from appliance.services.loading import shipped
from tests.unit.agency.fleet import AGENCY, Station, citizen_number, traces
from tests.unit.agency.site import Device, Running, Site, running, wait_until

NORMAL, BLOCKED = citizen_number(60), citizen_number(61)
CARD = {"chip_number": "5364260c1b3033f4", "request_number": "1001-03-05151130/001"}
SERVICES = {profile.id: profile for profile in shipped()}
SILENCE_S = 1.5


@dataclass
class Line:
    """A site with a linkage worker, its registry, and one station that asks."""

    site: Site
    simulator: Simulator
    station: Station
    device: Device
    worker: Running
    asked: list[Query] = field(default_factory=list)

    def query(self, service: str = "tdc.register", number: str = NORMAL, **changes: Any) -> Query:
        profile = SERVICES[service]
        assert profile.online is not None
        about = {"citizen_id": number, **(CARD if "chip_number" in profile.card.read else {})}
        given = {
            "question": profile.online.question.value,
            "choice": profile.choices.A.word if profile.choices.A else None,
            "about": about,
            "key": next(key for key in self.site.desk.home.keys_in_force() if key["purpose"] == "query"),
            "at": datetime.now(UTC),
            "deadline_ms": 4000,
            **changes,
        }
        names = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
        return Query.ask(Origin(AGENCY, self.station.id, "0.1.0"), names, given.pop("question"), **given)

    def send(self, query: Query, signer: Signer | None = None, retain: bool = False) -> Query:
        self.device.publish(topic(AGENCY, self.station.id, "query"), query.sign(signer or self.station.signer), retain)
        return query

    def answers(self) -> list[Answer]:
        keys = KeySet(self.site.desk.home.keys_in_force())
        name = topic(AGENCY, self.station.id, "answer")
        return [Answer.open(text.decode(), keys, self.station.id) for at, text in self.device.received if at == name]

    def ask(self, *arguments: Any, **changes: Any) -> str:
        """Ask, and return the outcome of the answer to exactly this."""
        query = self.send(self.query(*arguments, **changes))
        (answer,) = wait_until(lambda: [one for one in self.answers() if one.belongs_to(query)])
        assert (answer.station, answer.as_of <= "2999") == (self.station.id, True)
        return answer.outcome

    def is_silent(self) -> bool:
        before = len(self.device.received)
        time.sleep(SILENCE_S)
        return len(self.device.received) == before

    def questions(self) -> list[Question]:
        with Database.open(self.site.desk.home.database) as database, database.read() as connection:
            return list_questions(connection, None, 1000)


def start(site: Site) -> Running:
    home = str(site.desk.home.path)
    worker = site.start("linkage", sys.executable, "-m", "agency", "linkage", "run", "--home", home)
    wait_until(lambda: worker.said("connected to the broker"))
    time.sleep(0.1)
    return worker


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Line]:
    simulator = Simulator({NORMAL: "normal", BLOCKED: "not_normal"})
    with running(tmp_path, capsys) as site, serving(simulator) as url:
        for purpose in ("query", "answer"):
            assert site.desk.run("keys", "rotate", purpose).code == 0
        tables = {
            "card_status": {"url": f"{url}/CheckCardService.asmx", "timeout_s": 1.0},
            "records": {"url": f"{url}/records", "timeout_s": 1.0},
            "claims": {"url": f"{url}/claims", "timeout_s": 1.0, "unit": "10670", "claim_type": "PG0060001"},
        }
        content = "".join(
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in tables.items()
        )
        site.desk.home.linkage.write_text(content + "[limits]\nper_minute = 40\n")
        station = site.enrol("bkk-001")
        device = site.device(station).subscribe(topic(AGENCY, station.id, "answer"))
        yield Line(site, simulator, station, device, start(site))


@pytest.mark.parametrize(
    ("service", "question"),
    [
        ("tdc.register", "registry_status"),
        ("police.lost_document", "registry_status"),
        ("nhso.unit_register", "entitlement"),
        ("rd.tax_payment", "agency_record"),
    ],
)
def test_each_question_is_asked_of_whoever_knows(line: Line, service: str, question: str) -> None:
    assert line.ask(service, NORMAL) == "normal"
    assert line.ask(service, BLOCKED) == "not_normal"
    assert [(one.question, one.outcome) for one in line.questions()] == [(question, "normal"), (question, "not_normal")]


def test_a_visit_is_opened_and_closed_by_two_cards_of_one_person(line: Line) -> None:
    assert line.ask("moph.visit_close", choice="confirm") == "not_normal"
    assert line.ask("moph.visit_open", choice="dental") == "normal"
    assert line.ask("moph.visit_close", choice="confirm") == "normal"
    (claim,) = line.simulator.claims.values()
    assert (claim["pid"], claim["hcode"], claim["ending"]) == (NORMAL, "10670", "closed")
    rows = line.site.desk.run("visits", "--json").json()
    assert [(row["state"], row["choice"]) for row in rows] == [("closed", "dental")]


FAULTS = {
    "silent": ("unavailable", "outcome_unknown"),
    "closed": ("unavailable", "outcome_unknown"),
    "html": ("unknown", "outcome_unknown"),
    "no_code": ("unknown", "outcome_unknown"),
    "code_99": ("unknown", "normal"),  # a claim code is no code of a card
    "http_500": ("unknown", "outcome_unknown"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_far_side_is_never_a_yes_and_the_next_question_is_answered(line: Line, fault: str) -> None:
    line.simulator.fault = fault
    assert line.ask("tdc.register") == FAULTS[fault][0]
    assert line.ask("moph.visit_open", choice="dental") == FAULTS[fault][1]
    line.simulator.fault = "none"
    assert line.ask("tdc.register") == "normal"


def test_the_same_query_again_gets_the_same_answer_and_nobody_is_asked_twice(line: Line) -> None:
    query = line.send(line.query("moph.visit_open", choice="dental"))
    wait_until(line.answers)
    for count in (2, 3):
        line.send(query)
        wait_until(lambda: len(line.answers()) == count)  # noqa: B023 - called at once
    assert len(set(line.answers())) == 1
    assert len(line.simulator.claims) == 1


def test_the_same_query_while_it_is_in_hand_is_neither_asked_nor_answered_twice(line: Line) -> None:
    line.simulator.fault = "slow"
    query = line.send(line.query("moph.visit_open", choice="dental"))
    for _ in range(3):
        line.send(query)
    wait_until(line.answers)
    assert line.is_silent()
    assert ([one.outcome for one in line.answers()], len(line.simulator.asked)) == (["normal"], 1)


def test_a_question_that_was_begun_by_a_worker_that_died_is_never_written_twice(line: Line) -> None:
    write, read = line.query("moph.visit_open", choice="dental"), line.query("tdc.register")
    with Database.open(line.site.desk.home.database) as database, database.write() as connection:
        for query in (write, read):
            names = (query.id, query.station, line.station.signer.kid, query.question, query.service["id"])
            begin(connection, Question(*names, jws_hash(query.sign(line.station.signer)), "2026-11-23"))
    line.send(write)
    line.send(read)
    answers = wait_until(lambda: line.answers() if len(line.answers()) == 2 else None)
    assert {one.question: one.outcome for one in answers} == {
        "visit_open": "outcome_unknown",
        "registry_status": "normal",
    }
    assert line.simulator.claims == {}


def test_a_worker_that_is_killed_while_it_asks_answers_what_comes_again(line: Line) -> None:
    line.simulator.fault = "silent"
    query = line.send(line.query("moph.visit_open", choice="dental"))
    wait_until(lambda: line.simulator.claims)
    os.kill(line.worker.process.pid, signal.SIGKILL)
    line.simulator.fault = "none"
    start(line.site)
    line.send(query)
    (answer,) = wait_until(line.answers)
    assert answer.outcome == "outcome_unknown", "the claim exists, and nobody here was told"
    assert line.ask("moph.visit_open", choice="dental") == "normal"
    assert len(line.simulator.claims) == 1, "the card again is no second claim"


@pytest.mark.parametrize(
    "forge",
    [
        lambda line: line.send(line.query(), signer=Signer.generate()),
        lambda line: line.send(replace(line.query(), station="cnx-002")),
        lambda line: line.send(replace(line.query(), agency="moph")),
        lambda line: line.send(line.query(question="agency_record")),
        lambda line: line.send(replace(line.query(), service={"id": "tdc.register", "version": 1, "sha256": "B" * 43})),
        lambda line: line.send(replace(line.query(), service={**line.query().service, "version": 7})),
        lambda line: line.send(line.query("school.qualification", about={"citizen_id": NORMAL, "photo": "x"})),
        lambda line: line.send(line.query(about={"citizen_id": "1"})),
        lambda line: line.send(line.query(about={})),
        lambda line: line.send(replace(line.query(), nonce="A" * 43)),
        lambda line: line.send(line.query(), retain=True),
        lambda line: line.send(replace(line.query(), asked_at="2026-13-45T99:99:99.000+99:99")),
        lambda line: line.send(line.query(about={"citizen_id": int(NORMAL)})),
        lambda line: line.send(line.query(about={"citizen_id": NORMAL, "chip_number": "x" * 101})),
        lambda line: line.send(line.query(choice="dental")),
        lambda line: line.send(line.query(choice=None)),
        lambda line: line.device.publish(topic(AGENCY, "bkk-001", "query"), "x" * 9000),
        lambda line: line.device.publish(topic(AGENCY, "bkk-001", "query"), b"\xff\xfe"),
        lambda line: line.device.publish(
            topic(AGENCY, "bkk-001", "query"), line.station.signer.sign({"id": 1}, QUERY_TYPE)
        ),
    ],
)
def test_what_no_honest_station_asks_is_not_answered_and_nobody_is_asked(line: Line, forge: Any) -> None:
    forge(line)
    assert line.is_silent()
    assert (line.simulator.asked, line.questions()) == ([], [])
    assert line.ask() == "normal"


def test_a_revoked_station_asks_nobody(line: Line) -> None:
    assert line.ask() == "normal"
    assert line.site.desk.run("station", "revoke", "bkk-001").code == 0
    line.send(line.query())
    assert line.is_silent()


@pytest.mark.parametrize("age", [timedelta(minutes=3), timedelta(days=400), timedelta(minutes=-3)])
def test_an_old_query_is_told_that_nobody_was_asked(line: Line, age: timedelta) -> None:
    """The broker held it back, or the station's clock is wrong: nothing may be written for it now."""
    assert line.ask("moph.visit_open", choice="dental", at=datetime.now(UTC) - age) == "unavailable"
    assert (line.simulator.asked, line.questions()) == ([], [])


def test_another_query_under_an_id_that_is_taken_is_not_answered(line: Line) -> None:
    query = line.send(line.query("moph.visit_open", choice="dental"))
    wait_until(line.answers)
    other = line.query("moph.visit_open", BLOCKED, choice="dental")
    assert line.device.publish(
        topic(AGENCY, "bkk-001", "query"), replace(query, nonce=other.nonce).sign(line.station.signer)
    )
    assert line.is_silent()


def test_a_station_that_asks_too_much_waits_and_another_does_not(line: Line) -> None:
    for _ in range(45):
        line.send(line.query())
    wait_until(lambda: line.worker.said("station bkk-001: asks too much"))
    other = line.site.enrol("cnx-002")
    device = line.site.device(other).subscribe(topic(AGENCY, other.id, "answer"))
    second = Line(line.site, line.simulator, other, device, line.worker)
    assert second.ask() == "normal"


def test_a_slow_registry_holds_up_nobody_else(line: Line) -> None:
    line.simulator.fault = "silent"
    for _ in range(3):
        line.send(line.query())
    wait_until(lambda: len(line.simulator.asked) == 3)
    assert line.ask("moph.visit_close", choice="call_staff") == "unavailable"
    assert len(line.answers()) == 1, "the three are still waited for"


def test_a_key_that_was_rotated_opens_and_signs_from_then_on(line: Line) -> None:
    before = line.query()
    for purpose in ("query", "answer"):
        assert line.site.desk.run("keys", "rotate", purpose, "--broker", f"127.0.0.1:{line.site.port}").code == 0
    line.send(before)
    (answer,) = wait_until(line.answers)
    assert answer.belongs_to(before), "a query on its way is still opened"
    assert line.ask() == "normal"


def test_a_citizen_is_in_no_log_no_table_and_no_answer(line: Line) -> None:
    assert line.ask("moph.visit_open", choice="dental") == "normal"
    line.simulator.fault = "html"
    assert line.ask("tdc.register") == "unknown"
    with pytest.raises(VerificationError):
        Answer.open("x", KeySet([]), "bkk-001")
    home = line.site.desk.home
    files = [line.worker.log, *(path for path in home.path.rglob("*") if path.is_file())]
    content = b"".join(path.read_bytes() for path in files) + b"".join(text for _, text in line.device.received)
    for trace in (*traces(NORMAL), *traces(CARD["chip_number"])):
        assert trace not in content


def test_a_stop_while_questions_are_out_is_soon_over_and_what_was_asked_is_answered(line: Line) -> None:
    line.simulator.fault = "slow"
    for _ in range(4):
        line.send(line.query())
    wait_until(lambda: line.simulator.asked)
    begun_s = time.monotonic()
    assert line.worker.end() == 0
    assert time.monotonic() - begun_s < 8
    asked = len(line.simulator.asked)
    assert [one.outcome for one in line.questions()] == ["normal"] * asked


def test_a_second_worker_for_the_same_agency_ends_at_once(line: Line) -> None:
    home = str(line.site.desk.home.path)
    other = line.site.start("second", sys.executable, "-m", "agency", "linkage", "run", "--home", home)
    assert other.process.wait(10) == 7
    assert other.said("X01")
    assert line.ask() == "normal"
    assert line.worker.end() == 0
