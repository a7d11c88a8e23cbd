"""A visit from insertion to verdict: real checks, crypto and SQLite; only reader, panel and clock are simulated."""

import json
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.errors import NoReader, OutboxFull, StoreError
from appliance.flow import serve
from appliance.panel.screens import Button, State
from appliance.panel.words import Tone
from appliance.services.loading import parse
from appliance.simulate.card import BankCard, MuteCard, ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import person
from tests.flow.stage import Stage, signed_roster

WITH_EXPIRY = parse(
    files("appliance.simulate").joinpath("attendance_with_expiry.toml").read_bytes(), "attendance_with_expiry.toml"
)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_member_is_accepted_at_level_2(stage: Stage) -> None:
    screen = stage.visit(ThaiCard(person(1)))
    assert (screen.state, screen.choice, screen.as_of, screen.reference) == (State.ACCEPTED, "in", "2026-11-22", "1")
    (event,) = stage.events()
    data = event["data"]
    assert event["type"] == "school.attendance.v1"
    assert event["sequence"] == "0000000001"
    assert (data["level"], data["verdict"], data["choice"]) == ("L2", "accepted", "in")
    assert data["checks"]["roster"] == {"result": "pass", "as_of": "2026-11-22", "source": "roster:42"}
    assert data["card"]["apdus"] == 3
    assert data["clock"]["quality"] == "simulated"


def test_the_number_is_in_the_seal_and_nowhere_else(stage: Stage) -> None:
    stage.visit(ThaiCard(person(1)))
    (event,), (row,) = stage.events(), stage.rows()
    number = person(1).citizen_id
    assert stage.opened(event) == {"citizen_id": number}
    assert stage.opened(event, stage.escrow) == {"citizen_id": number}
    assert number not in json.dumps(event)
    stage.outbox.close()
    for file in stage.folder.iterdir():
        assert number.encode() not in file.read_bytes(), file.name
    assert row.jws.count(".") == 2


def test_the_panel_says_reading_before_the_verdict(stage: Stage) -> None:
    stage.visit(ThaiCard(person(1)))
    assert stage.panel.states == [State.READING, State.ACCEPTED]


def test_the_same_card_within_the_window_is_already_recorded(stage: Stage) -> None:
    first = stage.visit(ThaiCard(person(1)))
    stage.later(seconds=100)
    again = stage.visit(ThaiCard(person(1)))
    assert (again.state, again.reference, again.choice) == (State.ALREADY_RECORDED, "1", "in")
    assert again.at == first.at
    assert len(stage.rows()) == 1


@pytest.mark.parametrize(("seconds", "events"), [(179, 1), (181, 2)])
def test_the_edge_of_the_window(stage: Stage, seconds: int, events: int) -> None:
    stage.visit(ThaiCard(person(1)))
    stage.later(seconds=seconds)
    stage.visit(ThaiCard(person(1)))
    assert len(stage.rows()) == events


def test_after_the_window_the_person_goes_out_and_in_again(stage: Stage) -> None:
    choices = []
    for _ in range(3):
        choices.append(stage.visit(ThaiCard(person(1))).choice)
        stage.later(minutes=10)
    assert choices == ["in", "out", "in"]


def test_a_new_day_begins_with_in_and_a_new_secret(stage: Stage) -> None:
    stage.visit(ThaiCard(person(1)))
    salt = stage.outbox.day_salt(stage.clock.now().time.date().isoformat())
    stage.later(days=1)
    assert stage.visit(ThaiCard(person(1))).choice == "in"
    assert stage.outbox.day_salt(stage.clock.now().time.date().isoformat()) != salt


def test_a_press_chooses_the_direction_even_within_the_window(stage: Stage) -> None:
    stage.visit(ThaiCard(person(1)))
    stage.panel.press(Button.B)
    screen = stage.visit(ThaiCard(person(1)))
    assert (screen.state, screen.choice) == (State.ACCEPTED, "out")


def test_c_takes_a_press_back(stage: Stage) -> None:
    stage.panel.press(Button.B)
    stage.panel.press(Button.C)
    assert stage.visit(ThaiCard(person(1))).choice == "in"


def test_a_stranger_is_refused_at_level_1_and_recorded(stage: Stage) -> None:
    screen = stage.visit(ThaiCard(person(9)))
    assert (screen.state, screen.reference) == (State.NOT_ON_ROSTER, "1")
    (event,) = stage.events()
    assert (event["data"]["level"], event["data"]["verdict"], event["data"]["choice"]) == ("L1", "refused", None)
    assert event["data"]["checks"]["roster"]["why"] == "not_on_roster"
    assert stage.opened(event) == {"citizen_id": person(9).citizen_id}


def test_a_refusal_within_the_window_is_shown_again_and_not_recorded_again(stage: Stage) -> None:
    first = stage.visit(ThaiCard(person(9)))
    again = stage.visit(ThaiCard(person(9)))
    assert (again.state, again.reference, again.is_repeated) == (State.NOT_ON_ROSTER, first.reference, True)
    assert stage.panel.tones[-1] is Tone.AGAIN
    stage.later(minutes=10)
    assert stage.visit(ThaiCard(person(9))).reference == "2"


def test_amber_stays_amber_until_the_check_can_be_made(stage: Stage) -> None:
    roster, stage.roster = stage.roster, None
    assert stage.visit(ThaiCard(person(1))).state is State.COULD_NOT_CHECK
    again = stage.visit(ThaiCard(person(1)))
    assert (again.state, again.is_repeated) == (State.COULD_NOT_CHECK, True)
    assert len(stage.rows()) == 1
    stage.roster = roster
    screen = stage.visit(ThaiCard(person(1)))
    assert (screen.state, screen.choice, screen.reference) == (State.ACCEPTED, "in", "2")
    assert [event["data"]["verdict"] for event in stage.events()] == ["could_not_check", "accepted"]


def test_a_clock_that_fell_back_makes_nothing_green(stage: Stage) -> None:
    stage.later(days=-300)
    assert stage.visit(ThaiCard(person(1))).state is State.COULD_NOT_CHECK
    assert stage.events()[0]["data"]["checks"]["roster"]["why"] == "clock_unsure"


def test_without_a_roster_nothing_is_green_and_nothing_red(stage: Stage) -> None:
    stage.roster = None
    screen = stage.visit(ThaiCard(person(1)))
    assert screen.state is State.COULD_NOT_CHECK
    (event,) = stage.events()
    assert event["data"]["verdict"] == "could_not_check"
    assert event["data"]["checks"]["roster"] == {"result": "could_not_check", "why": "no_roster"}
    assert event["data"]["choice"] == "in"


def test_a_stale_roster_never_says_no(stage: Stage) -> None:
    stage.roster = signed_roster(expires_in=timedelta(seconds=-1))
    for serial in (1, 9):
        assert stage.visit(ThaiCard(person(serial))).state is State.COULD_NOT_CHECK
    assert {event["data"]["checks"]["roster"]["why"] for event in stage.events()} == {"stale_roster"}


def test_a_wrong_check_digit_is_level_0(stage: Stage) -> None:
    assert stage.visit(deck("bad-number")).state is State.BAD_NUMBER
    (event,) = stage.events()
    assert (event["data"]["level"], event["data"]["verdict"]) == ("L0", "refused")
    assert "roster" not in event["data"]["checks"]


def test_a_bank_card_is_refused_without_a_seal(stage: Stage) -> None:
    screen = stage.visit(BankCard())
    assert (screen.state, screen.code) == (State.NOT_A_THAI_CARD, "C05")
    (event,) = stage.events()
    assert event["data"]["sealed"] is None
    assert event["data"]["checks"] == {"applet": {"result": "fail", "why": "not_a_thai_id_card"}}


def test_a_card_that_does_not_answer_is_amber(stage: Stage) -> None:
    screen = stage.visit(MuteCard())
    assert screen.state is State.UNREADABLE
    assert stage.events()[0]["data"]["verdict"] == "could_not_check"


def test_attendance_does_not_know_that_a_card_has_expired(stage: Stage) -> None:
    assert stage.visit(deck("expired")).state is State.ACCEPTED
    assert "expiry" not in stage.events()[0]["data"]["checks"]


def test_a_service_that_asks_refuses_an_expired_card(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=WITH_EXPIRY)
    assert stage.visit(deck("expired")).state is State.EXPIRED
    assert stage.visit(ThaiCard(person(2))).state is State.ACCEPTED
    expired, valid = stage.events()
    assert expired["data"]["checks"]["expiry"] == {"result": "fail", "why": "expired"}
    assert valid["data"]["checks"]["expiry"] == {"result": "pass"}


def test_an_unsure_clock_judges_no_date(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=WITH_EXPIRY)
    stage.clock.quality = "unsure"
    assert stage.visit(deck("expired")).state is State.COULD_NOT_CHECK
    assert stage.events()[0]["data"]["checks"]["expiry"]["why"] == "clock_unsure"


def test_the_chain_holds_over_many_visits(stage: Stage) -> None:
    for serial in (1, 9, 2, 3, 8):
        stage.visit(ThaiCard(person(serial)))
    assert [int(event["sequence"]) for event in stage.events()] == [1, 2, 3, 4, 5]
    assert stage.problems() == []


def test_nothing_is_shown_as_stored_when_the_disk_is_full(stage: Stage) -> None:
    class Full:
        def __init__(self, outbox: object) -> None:
            self._outbox = outbox

        def __getattr__(self, name: str) -> object:
            return getattr(self._outbox, name)

        def append(self, *args: object) -> int:
            raise OutboxFull("no room")

    world = replace(stage.world(), outbox=Full(stage.outbox))  # type: ignore[arg-type]
    stage.slot.insert(ThaiCard(person(1)))
    with pytest.raises(StoreError):
        serve(world, stage.profile, lambda: True)
    assert stage.panel.states == [State.READING]


def test_a_card_left_in_is_asked_for(stage: Stage) -> None:
    turns = [0]

    def keep_waiting() -> bool:
        turns[0] += 1
        stage.later(seconds=4)
        return turns[0] < 4

    stage.slot.insert(ThaiCard(person(1)))
    serve(stage.world(), stage.profile, keep_waiting)
    assert stage.panel.states[-1] is State.REMOVE_CARD


def test_nobody_is_invited_while_there_is_no_reader(stage: Stage) -> None:
    class NoReaderHere:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

        def wait_card(self, timeout_s: float) -> None:
            raise NoReader("none")

    with pytest.raises(NoReader):
        serve(replace(stage.world(), reader=NoReaderHere()), stage.profile, lambda: True)  # type: ignore[arg-type]
    assert stage.panel.states == []


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_card_pulled_at_any_command_leaves_no_name_and_no_acceptance(stage: Stage, at: int) -> None:
    screen = stage.visit(deck(f"pulled-at-{at}"))
    assert (screen.state, screen.code) == (State.UNREADABLE, "C01")
    (event,) = stage.events()[-1:]
    assert event["data"]["verdict"] == "could_not_check"
    assert event["data"]["level"] == "L0"
    assert event["data"]["sealed"] is None
