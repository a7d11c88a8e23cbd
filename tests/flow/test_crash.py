"""A crash after every step of a visit: never "stored" without the event on the disk, never two events."""

from pathlib import Path

import pytest

from appliance.panel.screens import State
from appliance.simulate.card import ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import person
from tests.flow.crash import CRASHED, FINISHED, run_until_crash
from tests.flow.stage import Stage

MORE_THAN_ALL_CALLS = 40


def shown_references(shown: Path) -> set[str]:
    return {line.split()[1] for line in shown.read_text().splitlines() if len(line.split()) == 2}


def test_every_step_of_a_visit_can_be_the_last(tmp_path: Path) -> None:
    crashes = 0
    for at in range(1, MORE_THAN_ALL_CALLS):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage, shown = Stage(folder), folder / "shown"
        shown.touch()
        end = run_until_crash(stage, ThaiCard(person(1)), at, shown)
        rows_after_crash = {str(row.sequence) for row in stage.rows()}
        assert shown_references(shown) <= rows_after_crash, f"shown as stored before it was, at call {at}"

        screen = stage.visit(ThaiCard(person(1)))
        assert screen.state is (State.ALREADY_RECORDED if rows_after_crash else State.ACCEPTED)
        assert len(stage.rows()) == 1, f"crash at call {at}"
        assert stage.problems() == []
        if end == FINISHED:
            break
        assert end == CRASHED
        crashes += 1
    assert end == FINISHED
    assert crashes >= 10, "a visit makes more calls than were tried"


@pytest.mark.parametrize(("name", "events"), [("person-9", 1), ("bad-number", 1), ("bank", 2)])
def test_a_refusal_is_never_shown_before_it_is_stored(tmp_path: Path, name: str, events: int) -> None:
    """A card without a number cannot be known again after a crash: its refusal may stand twice, and claims nobody."""
    for at in range(1, MORE_THAN_ALL_CALLS):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage, shown = Stage(folder), folder / "shown"
        shown.touch()
        end = run_until_crash(stage, deck(name), at, shown)
        assert shown_references(shown) <= {str(row.sequence) for row in stage.rows()}
        assert len(stage.rows()) <= 1
        stage.visit(deck(name))
        assert 1 <= len(stage.rows()) <= events
        assert stage.problems() == []
        if end == FINISHED:
            break
    assert end == FINISHED
