"""The examples of the documentation: one for each state, made up, and as the flow would make them."""

import pytest

from appliance.panel.render import HEIGHT, WIDTH
from appliance.panel.screens import State
from appliance.panel.sheet import NOW, contact_sheet, example
from appliance.panel.words import Tone, tone_of

TONES = {Tone.STORED, Tone.REFUSED, Tone.ATTENTION, Tone.DUTY}


@pytest.mark.parametrize("state", State)
def test_an_example_is_of_its_state(state: State) -> None:
    assert example(state).state is state


def test_what_means_stored_has_a_reference() -> None:
    means_stored = {state for state in State if tone_of(example(state)) in TONES}
    without_a_tone = {State.CANCELLED}  # recorded, but nothing of the person: it clicks as if nothing were
    assert means_stored | without_a_tone == {state for state in State if example(state).reference}


def test_the_first_time_lies_before_the_second() -> None:
    first = example(State.ALREADY_RECORDED).at
    assert first is not None
    assert first < NOW


@pytest.mark.parametrize(("columns", "rows"), [(4, 9), (3, 12), (35, 1)])
def test_every_state_has_its_place_on_the_sheet(columns: int, rows: int) -> None:
    sheet = contact_sheet("en", columns, scale=1)
    assert sheet.width // columns >= WIDTH
    assert sheet.height // rows >= HEIGHT
    cell_w, cell_h = sheet.width // columns, sheet.height // rows
    cells = [
        sheet.crop((x * cell_w, y * cell_h, (x + 1) * cell_w, (y + 1) * cell_h)).tobytes()
        for y in range(rows)
        for x in range(columns)
    ]
    assert len(set(cells[: len(State)])) == len(State)
