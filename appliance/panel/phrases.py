"""Turns a screen and its row of the table into the words of one picture: dates, times, directions, references.

Pure text; nothing here knows pixels. Dates are shown short and in the Buddhist era in Thai (``22 พ.ย. 69``), in the
Common Era in English (``22 Nov 2026``). A date that is missing or wrong is never left out of a claim that rests on
it: it is shown as unknown.

Example::

    text_of(Screen(State.ACCEPTED, at, "in", "2026-11-22", "1042"), at, "th")
    # Text(first="อยู่ในรายชื่อ", second="ณ 22 พ.ย. 69", header="เข้า 07:42", reference="#1042")
"""

from dataclasses import dataclass
from datetime import date, datetime

from appliance.panel.screens import Screen, State
from appliance.panel.words import DIRECTIONS, row_of

_THAI_MONTHS = ["ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค."]
_ENGLISH_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_UNKNOWN = {"th": "ไม่ทราบวันที่", "en": "unknown date"}
_BUDDHIST_ERA_YEARS = 543


@dataclass(frozen=True)
class Text:
    """The words of one picture.

    Args:
        first: the first big line.
        second: the second big line; ``|`` parts the labels of buttons.
        header: above the first line, such as direction and time; may be empty.
        reference: ``#`` and digits; may be drawn very small.
        code: the error code, or the clock when idle.
        chosen: which of the parts of ``second`` is chosen, from 0, or None.
    """

    first: str
    second: str
    header: str = ""
    reference: str = ""
    code: str = ""
    chosen: int | None = None


def short_date(as_of: str | None, language: str) -> str:
    """Return ``as_of``, YYYY-MM-DD, as a short date, or the words for an unknown date."""
    try:
        day = date.fromisoformat(as_of or "")
    except ValueError:
        return _UNKNOWN["en" if language == "en" else "th"]
    if language == "en":
        return f"{day.day} {_ENGLISH_MONTHS[day.month - 1]} {day.year}"
    return f"{day.day} {_THAI_MONTHS[day.month - 1]} {(day.year + _BUDDHIST_ERA_YEARS) % 100:02d}"


def direction(choice: str | None, language: str) -> str:
    """Return the word for a choice, or nothing where none was made."""
    word = DIRECTIONS.get(choice or "")
    return "" if word is None else word.en if language == "en" else word.th


def text_of(screen: Screen, now: datetime, language: str) -> Text:
    """Return the words for ``screen``.

    Args:
        screen: what to say.
        now: for the clock on the idle screen, Thai local time.
        language: ``th`` or ``en``.
    """
    row = row_of(screen.state)
    first, second = row.lines(language)
    if screen.state is State.IDLE:
        chosen = {"in": 0, "out": 1}.get(screen.choice or "")
        return Text(first, second, code=f"{now:%H:%M}", chosen=chosen)
    time = f"{screen.at:%H:%M}" if screen.at else ""
    way = direction(screen.choice, language)
    as_of = short_date(screen.as_of, language)
    return Text(
        first,
        second.format(as_of=as_of, choice=way, time=time or "-").strip(),
        header="" if "{time}" in second else f"{way if row.has_direction else ''} {time}".strip(),
        reference=f"#{screen.reference.lstrip('0') or '0'}" if screen.reference else "",
        code=screen.code,
    )
