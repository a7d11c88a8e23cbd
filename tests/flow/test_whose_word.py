"""Whose word counts, and how long: an officer's session, a press made beforehand, what another service remembers."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from appliance.events.roster import roster_body
from appliance.flow import serve
from appliance.front import ANSWER_WITHIN_S
from appliance.officers import IDLE_S, SHIFT_S, sign_off_idle
from appliance.panel.screens import Button, State
from appliance.services.loading import parse
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.actor import change_to, play, press, pull
from tests.flow.stage import MEMBERS, SERVICES, Stage, signed_roster

A, B = Button.A, Button.B
LOST = SERVICES["police.lost_document"]
OFFICER = 51
ASKED = {State.CHOOSE: [press(A)]}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An officer is at work."""
    stage = Stage(tmp_path, profile=LOST)
    play(stage, ThaiCard(person(OFFICER)))
    assert stage.session.handle == "o1"
    return stage


def visit(stage: Stage, number: int) -> tuple[str, str | None]:
    """Return verdict and officer of a visit."""
    play(stage, ThaiCard(person(number)), ASKED)
    data = stage.events()[-1]["data"]
    return data["verdict"], data["officer"]


def run_out(stage: Stage) -> None:
    stage.roster = signed_roster(expires_in=timedelta(seconds=-1))


def taken_away(stage: Stage) -> None:
    stage.roster = None


def of_another(stage: Stage) -> None:
    body = roster_body("school-1", "2026-11-23", MEMBERS, officers=[person(52).citizen_id])
    stage.roster = replace(signed_roster(body=body), roster=replace(signed_roster(body=body).roster, version=43))


@pytest.mark.parametrize("change", [run_out, taken_away, of_another])
def test_who_is_no_officer_any_more_approves_nobody_and_never_himself(stage: Stage, change: object) -> None:
    """T-66."""
    change(stage)  # type: ignore[operator]
    assert visit(stage, 2) == ("could_not_check", None)
    assert stage.session.handle is None
    assert [event["type"] for event in stage.events()][-2:] == ["officer.signed_off.v1", LOST.event_type]
    assert visit(stage, OFFICER) == ("could_not_check", None)


def test_who_left_hours_ago_approves_nobody(stage: Stage) -> None:
    """No idle screen signed the officer off: the reader was gone, or a card stayed in."""
    stage.later(seconds=IDLE_S + 1)
    assert visit(stage, 2) == ("could_not_check", None)


def test_a_shift_has_an_end(stage: Stage) -> None:
    numbers = count(2)
    for _ in range(int(SHIFT_S // (IDLE_S - 60))):
        stage.later(seconds=IDLE_S - 60)
        assert visit(stage, next(numbers) % 40 + 2) == ("accepted", "o1")
    stage.later(seconds=IDLE_S - 60)
    assert visit(stage, 2) == ("could_not_check", None)


def test_cards_that_come_to_nothing_keep_nobody_at_work(stage: Stage) -> None:
    stage.later(seconds=IDLE_S - 60)
    play(stage, ThaiCard(person(2)), {State.CHOOSE: [pull]})
    assert stage.events()[-1]["data"]["verdict"] == "cancelled"
    stage.later(seconds=61)
    sign_off_idle(stage.world())
    assert stage.session.handle is None


@pytest.mark.parametrize(("later_s", "choice"), [(ANSWER_WITHIN_S - 5, "dispute"), (ANSWER_WITHIN_S + 1, None)])
def test_a_press_that_no_card_follows_answers_for_nobody(tmp_path: Path, later_s: float, choice: str | None) -> None:
    stage = Stage(tmp_path, profile=SERVICES["moph.visit_close"])
    stage.connect()
    steps = count()
    stage.panel.press(B)

    def keep_waiting() -> bool:
        step = next(steps)
        if step == 1:
            stage.later(seconds=later_s)
        if step == 3:
            stage.slot.insert(ThaiCard(person(2)))
        if step > 6:
            stage.slot.remove()
        return step < 14

    serve(stage.world(), stage.profile, keep_waiting)
    assert stage.events()[-1]["data"]["choice"] == choice


def test_what_one_service_recorded_another_one_did_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["moph.visit_open"])
    agency = stage.connect()
    play(stage, ThaiCard(person(2)), ASKED)
    stage.later(seconds=60)
    stage.profile = SERVICES["moph.visit_close"]
    screen = play(stage, ThaiCard(person(2)), ASKED)
    assert screen.state is State.REGISTRY_NORMAL
    assert [event["type"] for event in stage.events()] == [
        SERVICES["moph.visit_open"].event_type,
        SERVICES["moph.visit_close"].event_type,
    ]
    assert len(agency.asked) == 2


def test_who_is_on_the_deny_list_is_on_the_roster_for_no_service(tmp_path: Path) -> None:
    """Attendance asks for no deny-list; where the station holds one, L2 claims that the person is not on it."""
    stage = Stage(tmp_path)
    stage.denylist = signed_roster(body=roster_body("deny", "2026-11-22", [MEMBERS[1]]), kind="denylist")
    screen = play(stage, ThaiCard(person(2)))
    data = stage.events()[-1]["data"]
    assert (data["verdict"], data["level"], data["checks"]["denylist"]["result"]) == ("accepted", "L1", "fail")
    assert screen.state is State.RECORDED


def test_an_officer_s_own_card_as_the_second_one_is_not_approved_by_him(tmp_path: Path) -> None:
    """T-66: a service of an agency's own may have a second card and an officer; nobody approves for himself."""
    text = SERVICES["school.enrol"].text.decode().replace("max_age = 20", "max_age = 90")
    stage = Stage(tmp_path, profile=parse((text + '\n[approve]\nby = "officer"\n').encode(), "x.toml"))
    play(stage, ThaiCard(person(OFFICER)))
    deeds = {**ASKED, State.SECOND_CARD: [change_to(ThaiCard(person(OFFICER)))]}
    play(stage, ThaiCard(person(2)), deeds)
    data = stage.events()[-1]["data"]
    assert (data["verdict"], data["checks"]["officer"]["why"]) == ("could_not_check", "own_subject")


def test_a_refusal_in_between_does_not_turn_the_way_round(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    good, other = stage.roster, signed_roster(body=roster_body("school-1", "2026-11-23", MEMBERS[:1]))
    for roster in (good, other, good, good):
        stage.roster = roster
        play(stage, ThaiCard(person(2)))
        stage.later(hours=1)
    said = [(event["data"]["verdict"], event["data"]["choice"]) for event in stage.events()]
    assert said == [("accepted", "in"), ("refused", None), ("accepted", "out"), ("accepted", "in")]
