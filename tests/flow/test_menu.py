"""The menu: hold C, turn the pages, and a card that goes in is read at once."""

from pathlib import Path

import pytest

from appliance import front
from appliance.flow import serve
from appliance.panel.phrases import text_of
from appliance.panel.screens import Button, Screen, State
from appliance.panel.sheet import NOW
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(front, "WAIT_S", 0.02)
    monkeypatch.setattr(front, "PRESS_WAIT_S", 0.02)
    made = Stage(tmp_path)
    sha256 = made.profile.sha256
    made.outbox.say(
        {
            "state": "ready",
            "versions": {"software": "0.1.0"},
            "service": {"id": made.profile.id, "version": made.profile.version, "sha256": sha256},
            "reader": "ok",
            "panel": "ok",
            "clock": {"quality": "synchronised"},
        }
    )
    return made


class Keeper:
    """Does one thing each time that the station asks whether to go on, and ends when all is done."""

    def __init__(self, stage: Stage, *deeds: object) -> None:
        self.stage, self.deeds = stage, list(deeds)

    def __call__(self) -> bool:
        if not self.deeds:
            return False
        deed = self.deeds.pop(0)
        if isinstance(deed, Button):
            self.stage.panel.press(deed)
        elif deed == "hold":
            self.stage.panel.hold(Button.C)
        elif deed == "hold A":
            self.stage.panel.hold(Button.A)
        elif isinstance(deed, ThaiCard):
            self.stage.slot.insert(deed)
        elif isinstance(deed, float):
            self.stage.later(seconds=deed)
        return True


def run(stage: Stage, *deeds: object) -> list[Screen]:
    serve(stage.world(), stage.profile, Keeper(stage, *deeds))
    return stage.panel.screens


def titles(screens: list[Screen]) -> list[str]:
    return [text_of(one, NOW, "en").page[0] for one in screens if one.state is State.MENU]


def test_c_held_opens_the_menu_and_c_closes_it(stage: Stage) -> None:
    screens = run(stage, "hold", None, Button.C, None)
    assert [one.state for one in screens] == [State.IDLE, State.MENU, State.IDLE]
    assert text_of(screens[1], NOW, "th").page == ("สถานะ", "พร้อมใช้งาน", "เครื่องอ่าน ปกติ")
    assert text_of(screens[1], NOW, "en").code == "1/6"


def test_a_and_b_turn_the_pages_round(stage: Stage) -> None:
    turns = [Button.A, None] * 6 + [Button.B, None]
    screens = run(stage, "hold", None, *turns, Button.C, None)
    around = ["Status", "Delivery", "Last receipt", "Clock", "Service", "This station"]
    assert titles(screens) == [*around, "Status", "This station"]


def test_two_quick_presses_turn_two_pages(stage: Stage) -> None:
    class Quick(Keeper):
        def __call__(self) -> bool:
            if self.deeds and self.deeds[0] == "AA":
                self.deeds.pop(0)
                for _ in range(2):
                    self.stage.panel.press(Button.A)
                return True
            return super().__call__()

    serve(stage.world(), stage.profile, Quick(stage, "hold", None, "AA", None, None, Button.C, None))
    assert titles(stage.panel.screens) == ["Status", "Delivery", "Last receipt"]


def test_the_active_service_is_there_with_its_hash(stage: Stage) -> None:
    screens = run(stage, "hold", None, *[Button.A, None] * 4, Button.C, None)
    page = text_of(screens[-2], NOW, "en").page
    assert page == ("Service", "school.attendance", f"{stage.profile.version} {stage.profile.sha256[:10]}")


def test_a_card_that_goes_in_is_read_and_the_menu_is_gone(stage: Stage) -> None:
    stage.visit(ThaiCard(person(1)))
    stage.panel.screens.clear()
    screens = run(stage, "hold", None, ThaiCard(person(2)), *[None] * 20)
    states = [one.state for one in screens]
    assert states[:3] == [State.IDLE, State.MENU, State.READING]
    assert State.ACCEPTED in states


def test_a_menu_that_nobody_looks_at_closes(stage: Stage) -> None:
    assert [one.state for one in run(stage, "hold", None, 61.0, None)] == [State.IDLE, State.MENU, State.IDLE]


def test_another_button_that_is_held_opens_nothing(stage: Stage) -> None:
    assert State.MENU not in [one.state for one in run(stage, "hold A", None, None)]


def test_c_held_while_a_card_is_read_opens_nothing(stage: Stage) -> None:
    stage.slot.insert(ThaiCard(person(1)))
    stage.panel.hold(Button.C)
    serve(stage.world(), stage.profile, lambda: False)
    assert State.MENU not in stage.panel.states


def test_no_page_holds_anything_of_a_citizen(stage: Stage) -> None:
    someone = person(1)
    stage.visit(ThaiCard(someone))
    screens = run(stage, "hold", None, *[Button.A, None] * 6, Button.C, None)
    said = " ".join(" ".join(text_of(one, NOW, language).page) for one in screens for language in ("th", "en"))
    assert someone.citizen_id not in said
    assert not any(part in said for part in someone.name_th.split("#") if part)
