"""T-81: the same person again. The edge of the window is defined, it holds over a reboot, and no number is stored."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.hardware.clock import SystemClock
from appliance.panel.screens import State
from appliance.ports import Moment
from appliance.simulate.card import ThaiCard
from appliance.simulate.clock import SimulatedClock
from appliance.simulate.persons import person
from tests.flow.stage import Stage
from tests.system.search import clear_text_of, find_in_tree

WINDOW_S = 180


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class NewBoot:
    """The machine's clock after the power was cut: the time goes on, the time since boot begins anew."""

    def now(self) -> Moment:
        return replace(SystemClock().now(), boot="11111111-2222-3333-4444-555555555555", monotonic_s=30.0)


def reboot(stage: Stage) -> None:
    """Leave what is left after the power was cut: the database."""
    stage.restart()
    passed, stage.clock = stage.clock.shift, SimulatedClock(NewBoot())
    stage.clock.shift = passed


@pytest.mark.parametrize(
    ("again_s", "state"),
    [
        (0, State.ALREADY_RECORDED),
        (WINDOW_S - 1, State.ALREADY_RECORDED),
        (WINDOW_S + 1, State.ACCEPTED),
    ],
)
@pytest.mark.parametrize("is_rebooted", [False, True], ids=["same boot", "rebooted"])
def test_t81_the_window_and_its_edge(stage: Stage, again_s: float, state: State, is_rebooted: bool) -> None:
    first = stage.visit(ThaiCard(person(1)))
    stage.later(seconds=again_s)
    if is_rebooted:
        reboot(stage)
    again = stage.visit(ThaiCard(person(1)))
    assert again.state is state
    if state is State.ALREADY_RECORDED:
        assert (again.at, again.reference, again.choice) == (first.at, first.reference, "in")
        assert len(stage.rows()) == 1
    else:
        assert again.choice == "out", "the next in turn"


def test_t81_what_is_remembered_names_nobody(stage: Stage) -> None:
    for serial in (1, 2, 3):
        stage.visit(ThaiCard(person(serial)))
    stage.outbox.close()
    assert not [needle for serial in (1, 2, 3) for needle in find_in_tree(stage.folder, clear_text_of(person(serial)))]


def test_t81_another_person_within_the_window_is_another_visit(stage: Stage) -> None:
    assert [stage.visit(ThaiCard(person(serial))).state for serial in (1, 2, 1, 2)] == [
        State.ACCEPTED, State.ACCEPTED, State.ALREADY_RECORDED, State.ALREADY_RECORDED,
    ]  # fmt: skip
