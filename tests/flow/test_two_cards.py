"""Two cards of one visit, choices, people who change their mind: nothing goes from one to another (T-26, T-27)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.cards.thai_id import Field
from appliance.panel.screens import Button, State
from appliance.simulate.card import BankCard, MuteCard, ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import HealthRight, person
from tests.flow.actor import change_to, later, play, press, pull
from tests.flow.stage import SERVICES, Stage

A, B, C = Button.A, Button.B, Button.C
GUARDIAN = person(60)
CHILD = replace(person(7), birth="25610520")
ENROL = {State.CHOOSE: [press(A)]}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, profile=SERVICES["school.enrol"])


def newest(stage: Stage) -> dict[str, Any]:
    data: dict[str, Any] = stage.events()[-1]["data"]
    return data


def test_the_same_card_twice_is_refused(stage: Stage) -> None:
    screen = play(stage, ThaiCard(CHILD), {**ENROL, State.SECOND_CARD: [change_to(ThaiCard(CHILD))]})
    assert screen.state is State.SAME_PERSON
    assert newest(stage)["checks"]["two_persons"] == {"result": "fail", "why": "same_person"}


def test_a_child_without_a_card_is_recorded_amber_and_not_refused(stage: Stage) -> None:
    screen = play(stage, ThaiCard(GUARDIAN), {State.CHOOSE: [press(C)]})
    data = newest(stage)
    assert (screen.state, data["verdict"], data["choice"]) == (State.COULD_NOT_CHECK, "could_not_check", "no_card")
    assert stage.opened(stage.events()[-1]) == {"citizen_id": GUARDIAN.citizen_id}
    assert State.SECOND_CARD not in stage.panel.states


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"birth": "25680101", "issued": "25680601"}, "refused", "too_young"),
        ({"birth": "25200101"}, "refused", "too_old"),
        ({"birth": "25600000"}, "accepted", None),
        ({"birth": "00000000"}, "could_not_check", "not_implemented_by_card"),
        ({"expiry": "99999999"}, "accepted", None),
        ({"expiry": "25660101"}, "accepted", None),
    ],
)
def test_the_child_s_card_decides(stage: Stage, changes: dict[str, Any], verdict: str, why: str | None) -> None:
    child = ThaiCard(replace(CHILD, **changes))
    play(stage, ThaiCard(GUARDIAN), {**ENROL, State.SECOND_CARD: [change_to(child)]})
    data = newest(stage)
    assert data["verdict"] == verdict, data["checks"]
    assert data["checks"]["age"].get("why") == why


@pytest.mark.parametrize("clock", ["unsure", "simulated"])
def test_no_age_is_judged_by_an_unsure_clock(stage: Stage, clock: str) -> None:
    stage.clock.quality = clock
    play(stage, ThaiCard(GUARDIAN), {**ENROL, State.SECOND_CARD: [change_to(ThaiCard(CHILD))]})
    assert newest(stage)["verdict"] == ("could_not_check" if clock == "unsure" else "accepted")


@pytest.mark.parametrize(
    ("card", "state", "why"),
    [
        (BankCard(), State.NOT_A_THAI_CARD, "not_a_thai_id_card"),
        (MuteCard(), State.UNREADABLE, "mute"),
        (deck("bad-number"), State.BAD_NUMBER, "wrong_check_digit"),
        (deck("pulled-at-3"), State.UNREADABLE, "removed"),
    ],
    ids=["bank", "mute", "bad-number", "pulled"],
)
def test_a_second_card_that_cannot_be_read_spoils_the_visit(stage: Stage, card: Any, state: State, why: str) -> None:
    screen = play(stage, ThaiCard(GUARDIAN), {**ENROL, State.SECOND_CARD: [change_to(card)]})
    assert screen.state is state
    assert why in {check.get("why") for check in newest(stage)["checks"].values()}


def test_a_bad_first_card_asks_for_nothing_more(stage: Stage) -> None:
    assert play(stage, BankCard()).state is State.NOT_A_THAI_CARD
    assert play(stage, deck("bad-number")).state is State.BAD_NUMBER
    assert not {State.CHOOSE, State.SECOND_CARD} & set(stage.panel.states)


def cancelled(stage: Stage) -> None:
    data = newest(stage)
    assert (data["verdict"], data["choice"], data["sealed"]) == ("cancelled", None, None)
    assert stage.panel.states[-1] is State.CANCELLED
    assert stage.problems() == []


def test_who_takes_the_card_out_before_choosing_has_cancelled(stage: Stage) -> None:
    play(stage, ThaiCard(GUARDIAN), {State.CHOOSE: [pull]})
    cancelled(stage)


def test_a_card_that_nobody_answers_for_is_cancelled(stage: Stage) -> None:
    play(stage, ThaiCard(GUARDIAN), {State.CHOOSE: [later(seconds=61)]})
    cancelled(stage)


def test_who_does_not_bring_the_second_card_has_cancelled(stage: Stage) -> None:
    def pull_and_go(actor: Any) -> None:
        pull(actor)
        actor.stage.later(seconds=61)

    play(stage, ThaiCard(GUARDIAN), {**ENROL, State.SECOND_CARD: [pull_and_go]})
    cancelled(stage)


def test_c_cancels_the_wait_for_the_second_card(stage: Stage) -> None:
    play(stage, ThaiCard(GUARDIAN), {**ENROL, State.SECOND_CARD: [press(C)]})
    cancelled(stage)


def test_a_button_that_stands_for_nothing_cancels(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"])
    play(stage, ThaiCard(person(2)), {State.CHOOSE: [press(C)]})
    cancelled(stage)


def test_a_press_before_the_card_is_the_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"])
    stage.panel.press(B)
    play(stage, ThaiCard(person(2)))
    assert newest(stage)["choice"] == "pay_for_other"
    assert State.CHOOSE not in stage.panel.states


def test_a_choice_is_forgotten_with_the_card(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"])
    play(stage, ThaiCard(person(2)), {State.CHOOSE: [press(A)]})
    play(stage, ThaiCard(person(3)), {State.CHOOSE: [press(B)]})
    assert [event["data"]["choice"] for event in stage.events()] == ["pay_as_owner", "pay_for_other"]


def test_t26_a_second_press_of_one_finger_chooses_nothing_for_the_next_person(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"])

    def press_twice(actor: Any) -> None:
        press(B)(actor)
        press(B)(actor)

    play(stage, ThaiCard(person(2)), {State.CHOOSE: [press_twice]})
    play(stage, ThaiCard(person(3)), {State.CHOOSE: [press(A)]})
    assert [event["data"]["choice"] for event in stage.events()] == ["pay_for_other", "pay_as_owner"]


def test_t27_a_card_swapped_while_it_is_asked_makes_a_visit_of_its_own(stage: Stage) -> None:
    """The next person's card goes in while the screen still asks the one before."""
    stage.profile = SERVICES["dlt.vehicle_tax"]
    play(
        stage, ThaiCard(person(2)), {State.CHOOSE: [change_to(ThaiCard(person(3)))], State.CANCELLED: [lambda _: None]}
    )
    play_again(stage)
    first, second = stage.events()
    assert (first["data"]["verdict"], first["data"]["sealed"]) == ("cancelled", None)
    assert stage.opened(second) == {"citizen_id": person(3).citizen_id}


def play_again(stage: Stage) -> None:
    """Serve the card that is in already."""
    card = stage.slot.card
    assert card is not None
    play(stage, card, {State.CHOOSE: [press(A)]})


def test_the_stop_of_the_station_ends_a_question_without_an_event(tmp_path: Path) -> None:
    from appliance.flow import serve

    stage = Stage(tmp_path, profile=SERVICES["dlt.vehicle_tax"])
    stage.slot.insert(ThaiCard(person(2)))
    serve(stage.world(), stage.profile, lambda: False)
    assert stage.events() == []
    assert stage.panel.states == [State.READING, State.CHOOSE]


def test_two_cards_full_to_the_brim_fit_into_one_event(stage: Stage) -> None:
    """Every field but the photo, in Thai, of both cards: an event must never be too large to be stored."""
    long = "ก" * 24
    health = HealthRight("ก" * 60, "ก" * 100, "ก" * 80, "ก" * 80)
    full = replace(
        GUARDIAN, name_th="#".join([long] * 4), issuer="ก" * 100, address="#".join(["ก" * 19] * 8), health=health
    )
    names = tuple(field.symbol for field in Field if field is not Field.PHOTO)
    second = stage.profile.second
    assert second is not None
    stage.profile = replace(
        stage.profile,
        card=replace(stage.profile.card, read=names),
        record=replace(stage.profile.record, sealed=names),
        second=replace(second, read=names, sealed=names),
    )
    child = ThaiCard(replace(full, citizen_id=CHILD.citizen_id, birth=CHILD.birth))
    play(stage, ThaiCard(full), {**ENROL, State.SECOND_CARD: [change_to(child)]})
    event = stage.events()[-1]
    assert set(stage.opened(event)["child"]) == set(names)
    assert len(stage.rows()[-1].jws) < 32 * 1024
