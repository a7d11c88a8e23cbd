"""One example of every screen, and all of them on one sheet of paper, for the README and the tests.

The people and numbers are made up; the time is the same everywhere, so that the pictures stay comparable.
"""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from PIL import Image

from appliance.panel.menu import pages
from appliance.panel.render import HEIGHT, WIDTH, render
from appliance.panel.screens import Label, Screen, State

NOW = datetime(2026, 11, 23, 7, 42, tzinfo=timezone(timedelta(hours=7)))
_STORED = Screen(State.ACCEPTED, at=NOW, reference="1042")
_CHOICES = (
    Label("outpatient", "ผู้ป่วยนอก", "OPD"),
    Label("dental", "ทันตกรรม", "Dental"),
    Label("follow_up", "นัดติดตาม", "Follow-up"),
)
_STATUS = {
    "service": {"id": "school.attendance", "version": 2, "sha256": "G0T5qATTYa4dggAMTGbJMrH8OMySH_URs-Xc31WCJlk"}
}
_CODES = {
    State.UNREADABLE: "C02",
    State.NO_READER: "R01",
    State.CANNOT_STORE: "S01",
    State.BAD_CONFIG: "F00",
}
_IS_STORED = (
    State.REGISTRY_NORMAL,
    State.NOT_ON_ROSTER,
    State.EXPIRED,
    State.DATA_DISAGREE,
    State.CONDITIONS_NOT_MET,
    State.SAME_PERSON,
    State.ON_DENYLIST,
    State.REGISTRY_NOT_NORMAL,
    State.OUTCOME_UNKNOWN,
    State.CANCELLED,
    State.SIGNED_ON,
    State.SIGNED_OFF,
    State.VOUCHED,
    State.CAP_REACHED,
    State.BAD_NUMBER,
    State.NOT_A_THAI_CARD,
    State.COULD_NOT_CHECK,
    State.UNREADABLE,
)
_GROUND, _BEZEL, _LIT = (255, 255, 255), (12, 16, 24), (150, 220, 255)


def example(state: State) -> Screen:
    """Return a screen of ``state`` as the flow would make it."""
    special = {
        State.ACCEPTED: replace(_STORED, choice="in", as_of="2026-11-22"),
        State.ALREADY_RECORDED: Screen(state, at=NOW - timedelta(minutes=11), choice="in"),
        State.CHOOSE: Screen(state, labels=_CHOICES),
        State.MENU: Screen(state, labels=pages(_STATUS, "bkk-001")[4], choice="5/6"),
        State.SECOND_CARD: Screen(state, choice="child"),
        State.RECORDED: replace(_STORED, state=state, choice=_CHOICES[0].word, labels=_CHOICES),
    }
    if state in special:
        return special[state]
    if state in _IS_STORED:
        return replace(_STORED, state=state, code=_CODES.get(state, ""))
    return Screen(state, code=_CODES.get(state, ""))


def contact_sheet(language: str = "th", columns: int = 4, scale: int = 2) -> Image.Image:
    """Return the pictures of all states on one sheet, in the order of ``State``.

    Args:
        language: ``th`` or ``en``.
        columns: pictures beside each other.
        scale: pixels of the sheet for one of the panel.
    """
    margin, edge = 6, 4
    cell_w, cell_h = WIDTH * scale + 2 * (margin + edge), HEIGHT * scale + 2 * (margin + edge)
    states = list(State)
    rows = -(-len(states) // columns)
    sheet = Image.new("RGB", (columns * cell_w, rows * cell_h), _GROUND)
    for number, state in enumerate(states):
        left, top = number % columns * cell_w + margin, number // columns * cell_h + margin
        sheet.paste(_BEZEL, (left, top, left + cell_w - 2 * margin, top + cell_h - 2 * margin))
        picture = render(example(state), NOW, language).resize((WIDTH * scale, HEIGHT * scale))
        sheet.paste(_LIT, (left + edge, top + edge), mask=picture)
    return sheet
