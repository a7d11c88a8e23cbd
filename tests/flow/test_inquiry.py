"""The online question through the whole station: what counts as an answer and what does not: T-26, T-39, T-45."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.events.agency_keys import AgencyKeys
from appliance.events.query import Query
from appliance.events.seal import public_sealing_key
from appliance.events.sign import DOCUMENT_TYPE, KeySet, Signer
from appliance.inquiry import CORRECTED, FAILURES, PROBE_S
from appliance.panel.screens import Button, State
from appliance.ports import OFFLINE
from appliance.simulate.agency import SimulatedAgency
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.actor import play, press
from tests.flow.stage import PATIENT_MS, SERVICES, SHORT_MS, Stage, signed_roster

READ, WRITE = "sso.register", "moph.visit_open"
GROWN, OTHER = person(2), person(3)
CHOSEN = {State.CHOOSE: [press(Button.A)]}


def stage_of(tmp_path: Path, service: str = READ) -> Stage:
    return Stage(tmp_path, profile=SERVICES[service])


def online(event: dict[str, Any]) -> tuple[str, str | None]:
    check = event["data"]["checks"]["online"]
    return check["result"], check.get("why")


def test_normal_is_level_three_and_the_question_is_sealed_and_signed(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect()
    screen = play(stage, ThaiCard(GROWN), CHOSEN)
    (event,) = stage.events()
    (query,) = agency.asked
    data = event["data"]
    assert (screen.state, data["level"], data["verdict"]) == (State.REGISTRY_NORMAL, "L3", "accepted")
    assert (data["query"], query.question, query.choice) == (query.id, "visit_open", "outpatient")
    assert query.service == data["service"]
    assert data["checks"]["online"].keys() == {"result", "as_of", "source"}
    assert agency.told[0]["citizen_id"] == GROWN.citizen_id
    assert set(agency.told[0]) <= {"citizen_id", "chip_number", "request_number"}
    assert State.ASKING in stage.panel.states
    assert GROWN.citizen_id not in query.sign(stage.signer)


def test_only_what_the_service_reads_is_asked_with(tmp_path: Path) -> None:
    agency = (stage := stage_of(tmp_path)).connect()
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert set(agency.told[0]) == {"citizen_id"}


@pytest.mark.parametrize(
    ("outcome", "result", "state"),
    [
        ("not_normal", ("fail", "not_normal"), State.REGISTRY_NOT_NORMAL),
        ("incomplete", ("could_not_check", "not_implemented_by_card"), State.COULD_NOT_CHECK),
        ("unavailable", ("could_not_check", "offline"), State.COULD_NOT_CHECK),
        ("unknown", ("could_not_check", "bad_answer"), State.COULD_NOT_CHECK),
        ("outcome_unknown", ("could_not_check", "outcome_unknown"), State.OUTCOME_UNKNOWN),
        (None, ("could_not_check", "timeout"), State.COULD_NOT_CHECK),
    ],
)
def test_what_a_read_comes_to(tmp_path: Path, outcome: str | None, result: tuple[str, str], state: State) -> None:
    stage = stage_of(tmp_path)
    stage.connect(outcome)
    assert play(stage, ThaiCard(GROWN), CHOSEN).state is state
    assert online(stage.events()[-1]) == result
    assert stage.events()[-1]["data"]["level"] == "L1"


@pytest.mark.parametrize(("outcome", "why"), [(None, "outcome_unknown"), ("unavailable", "offline")])
def test_a_write_without_an_answer_is_unknown_and_one_that_was_not_made_is_not(
    tmp_path: Path, outcome: str | None, why: str
) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect(outcome)
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1]) == ("could_not_check", why)
    assert len(agency.asked) == 1  # T-45: a write is never asked twice
    is_unknown = stage.events()[-1]["data"]["verdict"] == "outcome_unknown"
    assert is_unknown is (why == "outcome_unknown")


def test_a_read_is_sent_once_more_as_the_same_query(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None, deadline_ms=1200)
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert len(agency.asked) == 2
    assert agency.asked[0] == agency.asked[1]


def test_nobody_waits_where_the_link_says_that_it_is_offline(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect(deadline_ms=10_000)
    agency.is_connected = False
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1]) == ("could_not_check", "offline")
    assert stage.events()[-1]["data"]["verdict"] == "could_not_check"


def signed(agency: SimulatedAgency, asked: Query, **changes: Any) -> bytes:
    return replace(agency.answer_to(asked), **changes).sign(agency.signer).encode()


def with_header(agency: SimulatedAgency, query: Query) -> bytes:
    payload = vars(agency.answer_to(query))
    return agency.signer.sign(payload, DOCUMENT_TYPE).encode()


def unknown_code(agency: SimulatedAgency, query: Query) -> bytes:
    from appliance.events.query import ANSWER_TYPE

    return agency.signer.sign({**vars(agency.answer_to(query)), "outcome": "3"}, ANSWER_TYPE).encode()


def without_code(agency: SimulatedAgency, query: Query) -> bytes:
    from appliance.events.query import ANSWER_TYPE

    payload = vars(agency.answer_to(query))
    return agency.signer.sign({k: v for k, v in payload.items() if k != "outcome"}, ANSWER_TYPE).encode()


FORGERIES: dict[str, Callable[[SimulatedAgency, Query], bytes]] = {
    "by_another_key": lambda a, q: a.answer_to(q).sign(Signer.generate()).encode(),
    "unsigned": lambda a, q: signed(a, q).rpartition(b".")[0] + b".",
    "another_nonce": lambda a, q: signed(a, q, nonce="A" * 43),
    "another_query": lambda a, q: signed(a, q, query="01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    "another_station": lambda a, q: signed(a, q, station="bkk-002"),
    "another_question": lambda a, q: signed(a, q, question="visit_close"),
    "another_type": with_header,
    "unknown_code": unknown_code,
    "no_code": without_code,
    "html": lambda a, q: b"<html>502</html>",
    "empty": lambda a, q: b"",
    "not_ascii": lambda a, q: b"\xff\xfe",
    "endless": lambda a, q: b"x" * 3000,
    "cut": lambda a, q: signed(a, q)[:-10],
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("service", [READ, WRITE])
def test_t39_what_is_no_answer_is_never_green(tmp_path: Path, name: str, service: str) -> None:
    stage = stage_of(tmp_path, service)
    agency = stage.connect(None)
    send = agency.send

    def answering(jws: str) -> bool:
        is_taken = send(jws)
        agency.say(FORGERIES[name](agency, agency.asked[-1]))
        return is_taken

    agency.send = answering  # type: ignore[method-assign]
    screen = play(stage, ThaiCard(GROWN), CHOSEN)
    why = "bad_answer" if service == READ else "outcome_unknown"
    assert online(stage.events()[-1]) == ("could_not_check", why)
    assert stage.events()[-1]["data"]["verdict"] != "accepted"
    assert screen.state in (State.COULD_NOT_CHECK, State.OUTCOME_UNKNOWN)


def test_t39_a_replayed_answer_of_the_person_before_is_none(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect("normal")
    play(stage, ThaiCard(GROWN), CHOSEN)
    agency.outcome = None
    stage.wait_for_answers(SHORT_MS)
    send = agency.send

    def replaying(jws: str) -> bool:
        is_taken = send(jws)
        agency.say(signed(agency, agency.asked[0], outcome="normal"))
        return is_taken

    agency.send = replaying  # type: ignore[method-assign]
    play(stage, ThaiCard(OTHER), CHOSEN)
    assert online(stage.events()[-1]) == ("could_not_check", "bad_answer")


def test_a_forgery_in_front_does_not_hide_the_true_answer(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect("normal")
    agency.delay_s = 0.2
    agency.say(b"forged", 0.05)
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1])[0] == "pass"


def test_an_answer_that_lay_there_while_the_station_stood_still_is_late(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect("normal", SHORT_MS)
    send = agency.send

    def frozen(jws: str) -> bool:
        is_taken = send(jws)
        stage.later(seconds=5)
        return is_taken

    agency.send = frozen  # type: ignore[method-assign]
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1]) == ("could_not_check", "bad_answer")
    correct(stage)
    assert stage.events()[-1]["type"] == CORRECTED


def correct(stage: Stage) -> None:
    assert stage.inquiry is not None
    stage.inquiry.correct(stage.outbox, stage.clock.now())


def test_t26_a_late_answer_becomes_an_event_of_its_own_visit_and_changes_no_screen(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None)
    play(stage, ThaiCard(GROWN), CHOSEN)
    agency.outcome = "normal"
    agency.say(signed(agency, agency.asked[0]), 0.1)  # while the next person's question waits
    agency.delay_s = 0.2
    stage.wait_for_answers(PATIENT_MS)
    screen = play(stage, ThaiCard(OTHER), CHOSEN)
    shown = len(stage.panel.screens)
    correct(stage)
    correct(stage)
    first, second, corrected = stage.events()
    assert (online(first), online(second)) == (("could_not_check", "timeout"), ("pass", None))
    assert (screen.state, len(stage.panel.screens)) == (State.REGISTRY_NORMAL, shown)
    assert corrected["data"]["corrected"] == {
        "chain": first["chain"],
        "sequence": 1,
        "query": first["data"]["query"],
        "check": corrected["data"]["corrected"]["check"],
        "level": "L3",
        "verdict": "accepted",
    }
    assert (corrected["type"], corrected["data"]["corrected"]["check"]["result"]) == (CORRECTED, "pass")
    assert stage.problems() == []


def test_a_late_answer_of_not_normal_corrects_to_a_refusal(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect(None)
    play(stage, ThaiCard(GROWN), CHOSEN)
    agency.say(signed(agency, agency.asked[0], outcome="not_normal"))
    correct(stage)
    assert stage.events()[-1]["data"]["corrected"]["verdict"] == "refused"


def test_an_answer_after_ten_minutes_corrects_nothing(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None)
    play(stage, ThaiCard(GROWN), CHOSEN)
    stage.later(minutes=11)
    agency.say(signed(agency, agency.asked[0]))
    correct(stage)
    assert len(stage.events()) == 1


def test_after_three_failures_only_one_question_in_half_a_minute_is_asked(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None)
    assert stage.inquiry is not None
    for serial in range(FAILURES):
        assert not stage.inquiry.is_down(stage.clock.now().monotonic_s) or serial
        play(stage, ThaiCard(person(10 + serial)), CHOSEN)
    asked = len(agency.asked)
    play(stage, ThaiCard(person(13)), CHOSEN)
    assert len(agency.asked) == asked
    assert online(stage.events()[-1]) == ("could_not_check", "offline")
    assert State.IDLE_UNANSWERED in idle_screens(stage)
    stage.later(seconds=PROBE_S)
    agency.outcome = "normal"
    stage.wait_for_answers(PATIENT_MS)
    play(stage, ThaiCard(person(14)), CHOSEN)
    assert online(stage.events()[-1])[0] == "pass"
    assert State.IDLE_UNANSWERED not in idle_screens(stage)


def idle_screens(stage: Stage) -> list[State]:
    """Return what the station shows while nobody is there."""
    from appliance.flow import serve

    before, turns = len(stage.panel.screens), iter([True, True, False])
    serve(stage.world(), stage.profile, lambda: next(turns, False))
    return [screen.state for screen in stage.panel.screens[before:]]


def test_a_probe_that_fails_waits_anew(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None)
    for serial in range(FAILURES):
        play(stage, ThaiCard(person(10 + serial)), CHOSEN)
    stage.later(seconds=PROBE_S)
    play(stage, ThaiCard(person(13)), CHOSEN)
    asked = {query.id for query in agency.asked}
    play(stage, ThaiCard(person(14)), CHOSEN)
    assert (len(asked), {query.id for query in agency.asked}) == (FAILURES + 1, asked)


def test_who_is_refused_anyway_or_withdraws_is_asked_about_nowhere(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect()
    stage.profile = replace(stage.profile, subject=replace(stage.profile.subject, min_age=149))
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1]) == ("not_asked", None)
    assert stage.events()[-1]["data"]["verdict"] == "refused"
    stage.profile = replace(stage.profile, subject=replace(stage.profile.subject, min_age=15))
    play(stage, ThaiCard(OTHER), {State.CHOOSE: [lambda actor: actor.stage.slot.remove()]})
    assert stage.events()[-1]["data"]["verdict"] == "cancelled"
    assert agency.asked == []


def test_a_write_is_not_made_for_a_visit_that_cannot_be_accepted(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect()
    checks = replace(stage.profile.checks, required=(*stage.profile.checks.required, "denylist"))
    stage.profile = replace(stage.profile, checks=checks)
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert agency.asked == []
    assert stage.events()[-1]["data"]["verdict"] == "could_not_check"


def test_a_card_put_in_again_is_not_asked_about_again(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect()
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert play(stage, ThaiCard(GROWN), CHOSEN).state is State.ALREADY_RECORDED
    assert (len(agency.asked), len(stage.events())) == (1, 1)


def test_t45_an_unknown_outcome_is_shown_again_and_not_asked_again(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, WRITE)
    agency = stage.connect(None)
    play(stage, ThaiCard(GROWN), CHOSEN)
    agency.outcome = "normal"
    assert play(stage, ThaiCard(GROWN), CHOSEN).state is State.OUTCOME_UNKNOWN
    assert (len(agency.asked), len(stage.events())) == (1, 1)


def test_a_read_that_failed_is_asked_anew_when_the_card_comes_again(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect(None)
    play(stage, ThaiCard(GROWN), CHOSEN)
    agency.outcome = "normal"
    stage.wait_for_answers(PATIENT_MS)
    assert play(stage, ThaiCard(GROWN), CHOSEN).state is State.REGISTRY_NORMAL
    assert [online(event)[0] for event in stage.events()] == ["could_not_check", "pass"]


def test_an_agency_without_a_query_key_is_asked_nothing(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect()
    assert stage.inquiry is not None
    stage.inquiry._keys = lambda: AgencyKeys.enrolled([agency.signer.public("answer")])
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert (agency.asked, online(stage.events()[-1])) == ([], ("could_not_check", "offline"))


def test_a_query_key_that_is_none_stops_nobody(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect()
    assert stage.inquiry is not None
    low_order = {"x": "A" * 43}  # no secret can be agreed with it
    bad = {**public_sealing_key(agency.sealing_key, "query"), **low_order}
    stage.inquiry._keys = lambda: AgencyKeys.enrolled([bad, agency.signer.public("answer")])
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert (agency.asked, online(stage.events()[-1])) == ([], ("could_not_check", "offline"))


def test_offline_said_of_another_question_ends_nothing(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect("normal")
    agency.delay_s = 0.2
    agency.say(OFFLINE + b"A" * 43, 0.05)
    play(stage, ThaiCard(GROWN), CHOSEN)
    assert online(stage.events()[-1])[0] == "pass"


def test_an_advisory_answer_that_does_not_come_stops_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"], denylist=signed_roster())
    stage.connect(None)
    assert play(stage, ThaiCard(GROWN), CHOSEN).state is State.RECORDED
    assert online(stage.events()[-1]) == ("could_not_check", "timeout")


def test_a_query_opens_with_its_own_key_only(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    agency = stage.connect()
    play(stage, ThaiCard(GROWN), CHOSEN)
    jws = agency.asked[0].sign(stage.signer)
    query = Query.open(jws, KeySet([stage.signer.public("event")]), "obec", "bkk-001")
    assert query.sealed_to == public_sealing_key(agency.sealing_key, "query")["kid"]
    with pytest.raises(Exception, match="sealed to other keys"):
        query.about(stage.duty)
