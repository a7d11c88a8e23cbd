"""Officers: signed on by their own card, never their own subject, signed off when idle; vouches counted and capped.

T-66 own card as subject, T-68 the cap, T-74 nobody without a usable card is turned away, T-83 whose visit it is.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.events.roster import roster_body
from appliance.officers import IDLE_S, SIGNED_OFF, SIGNED_ON, sign_off_idle
from appliance.panel.screens import Button, State
from appliance.panel.words import Tone
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.actor import play, press, pull
from tests.flow.stage import MEMBERS, SERVICES, VOUCHING, Stage, signed_roster

A, B, C = Button.A, Button.B, Button.C
GRANT = SERVICES["dcy.grant_check"]
LOST = SERVICES["police.lost_document"]


def officer(number: int = 51) -> ThaiCard:
    return ThaiCard(person(number))


def types(stage: Stage) -> list[str]:
    return [event["type"] for event in stage.events()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, profile=LOST)


def visit(stage: Stage, serial: int = 2) -> dict[str, Any]:
    play(stage, ThaiCard(person(serial)), {State.CHOOSE: [press(A)]})
    data: dict[str, Any] = stage.events()[-1]["data"]
    return data


def test_the_first_insertion_signs_on_and_stays_on(stage: Stage) -> None:
    screen = play(stage, officer())
    assert (screen.state, screen.reference) == (State.SIGNED_ON, "1")
    assert stage.panel.tones[-1] is Tone.DUTY
    play(stage, officer(), {State.CHOOSE: [pull]})
    assert stage.session.handle == "o1"
    (event,) = stage.events()
    assert (event["type"], event["data"]["officer"]) == (SIGNED_ON, {"handle": "o1", "source": "roster:42"})
    assert person(51).citizen_id not in str(event)


def test_t66_an_officer_is_never_the_subject(stage: Stage) -> None:
    for _ in range(3):
        play(stage, officer(), {State.CHOOSE: [pull]})
    assert types(stage) == [SIGNED_ON]
    play(stage, officer(), {State.CHOOSE: [press(C)]})
    assert types(stage) == [SIGNED_ON], "C stands for nothing where the service needs an officer"


def test_without_an_officer_a_visit_that_needs_one_is_amber(stage: Stage) -> None:
    data = visit(stage)
    assert (data["verdict"], data["officer"]) == ("could_not_check", None)
    assert data["checks"]["officer"] == {"result": "could_not_check", "why": "no_officer"}
    assert stage.panel.states[-1] is State.COULD_NOT_CHECK


def test_a_signs_off_and_another_officer_takes_over(stage: Stage) -> None:
    play(stage, officer(51))
    play(stage, officer(52))
    assert types(stage) == [SIGNED_ON, SIGNED_OFF, SIGNED_ON]
    assert [event["data"]["officer"]["handle"] for event in stage.events()] == ["o1", "o1", "o2"]
    screen = play(stage, officer(52), {State.CHOOSE: [press(A)]})
    assert (screen.state, stage.session.handle) == (State.SIGNED_OFF, None)
    assert visit(stage)["verdict"] == "could_not_check"


def test_a_handle_is_that_of_its_roster(stage: Stage) -> None:
    """A newer roster may list the officers in another order: the same handle is somebody else then."""
    play(stage, officer(51))
    newer = roster_body("school-1", "2026-11-23", MEMBERS, officers=[person(serial).citizen_id for serial in (52, 51)])
    assert stage.roster is not None
    stage.roster = replace(signed_roster(body=newer), roster=replace(signed_roster(body=newer).roster, version=43))
    play(stage, officer(52))
    told = [(event["type"], *event["data"]["officer"].values()) for event in stage.events()]
    assert told == [(SIGNED_ON, "o1", "roster:42"), (SIGNED_OFF, "o1", "roster:42"), (SIGNED_ON, "o1", "roster:43")]


def test_t83_a_visit_stays_with_the_officer_who_was_there(stage: Stage) -> None:
    play(stage, officer(51))
    first = visit(stage, 2)
    play(stage, officer(52))
    second = visit(stage, 3)
    assert [first["officer"], second["officer"]] == ["o1", "o2"]


def test_an_officer_who_does_nothing_is_signed_off(stage: Stage) -> None:
    play(stage, officer())
    stage.later(seconds=IDLE_S - 60)
    visit(stage)
    stage.later(seconds=IDLE_S - 60)
    sign_off_idle(stage.world())
    assert stage.session.handle == "o1", "a visit keeps the officer at work"
    stage.later(seconds=120)
    sign_off_idle(stage.world())
    sign_off_idle(stage.world())
    assert types(stage) == [SIGNED_ON, LOST.event_type, SIGNED_OFF]


def test_the_idle_screen_asks_for_the_officer_first(stage: Stage) -> None:
    from appliance.front import Front

    ended = Front(stage.world(), LOST, lambda: False)
    assert ended.wait_for_card() is None
    assert stage.panel.states == [State.OFFICER_FIRST]
    play(stage, officer())
    Front(stage.world(), LOST, lambda: False).wait_for_card()
    assert stage.panel.states[-1] is State.IDLE
    assert stage.panel.screens[-1].title is not None


def reasons(button: Button) -> dict[State, list[Callable[[Any], None]]]:
    return {State.SIGNED_ON: [press(B)], State.CHOOSE: [press(button)]}


@pytest.mark.parametrize(("button", "reason"), [(A, "card_lost"), (B, "chip_broken"), (C, "no_card")])
@pytest.mark.parametrize("service", ["school.attendance", "school.enrol", "moph.visit_open", "dcy.grant_check"])
def test_t74_who_has_no_usable_card_is_vouched_for_in_two_presses(
    tmp_path: Path, service: str, button: Button, reason: str
) -> None:
    """A child of six, a pupil without a Thai number, a lost card, a broken chip: an officer's card and two presses."""
    stage = Stage(tmp_path, profile=SERVICES[service])
    screen = play(stage, officer(), reasons(button))
    assert (screen.state, screen.reference) == (State.VOUCHED, "2")
    _, event = stage.events()
    data = event["data"]
    assert (event["type"], data["verdict"], data["choice"]) == (VOUCHING.event_type, "accepted", reason)
    assert (data["vouched_for"], data["officer"], data["level"]) == (service, "o1", "L1")
    assert stage.opened(event) == {"citizen_id": person(51).citizen_id}
    assert stage.problems() == []


def test_t68_the_vouches_of_an_officer_are_capped_for_the_day(tmp_path: Path) -> None:
    vouch = replace(VOUCHING.vouch, per_officer_day=3) if VOUCHING.vouch else None
    stage = Stage(tmp_path)
    stage.vouching = replace(VOUCHING, vouch=vouch)
    play(stage, officer(51))
    deeds = {State.CHOOSE: [press(B), press(A)]}
    states = [play(stage, officer(51), deeds).state for _ in range(5)]
    assert states == [State.VOUCHED] * 3 + [State.CAP_REACHED] * 2
    data = stage.events()[-1]["data"]
    assert (data["verdict"], data["checks"]["cap"]) == ("refused", {"result": "fail", "why": "cap_reached"})
    stage.restart()
    assert play(stage, officer(51), reasons(A)).state is State.CAP_REACHED, "a restart gives no new vouches"
    assert play(stage, officer(52), reasons(A)).state is State.VOUCHED
    stage.later(days=1)
    play(stage, officer(51))
    assert play(stage, officer(51), deeds).state is State.VOUCHED


def test_who_changes_the_mind_vouches_for_nobody(stage: Stage) -> None:
    play(stage, officer(), {State.SIGNED_ON: [press(B)], State.CHOOSE: [pull]})
    assert types(stage) == [SIGNED_ON]


def test_an_officer_who_is_a_member_records_an_own_visit_by_c(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    both = person(51).citizen_id
    stage.roster = signed_roster(body=roster_body("school-1", "2026-11-22", [*MEMBERS, both], officers=[both]))
    screen = play(stage, officer(), {State.SIGNED_ON: [press(C)]})
    assert (screen.state, screen.choice) == (State.ACCEPTED, "in")
    assert types(stage) == [SIGNED_ON, "school.attendance.v1"]
    assert stage.events()[-1]["data"]["officer"] is None


@pytest.mark.parametrize("is_there", [False, True])
def test_a_roster_that_is_gone_or_stale_makes_nobody_an_officer(stage: Stage, is_there: bool) -> None:
    stage.roster = signed_roster(expires_in=timedelta(seconds=-1)) if is_there else None
    play(stage, officer(), {State.CHOOSE: [press(A)]})
    assert stage.session.handle is None
    assert types(stage) == [LOST.event_type]


def test_a_restart_forgets_who_is_at_work(stage: Stage) -> None:
    play(stage, officer())
    stage.restart()
    assert visit(stage)["checks"]["officer"]["why"] == "no_officer"


def test_the_grant_needs_the_officer_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=GRANT)
    play(stage, officer())
    assert visit(stage)["checks"]["officer"] == {"result": "pass"}
