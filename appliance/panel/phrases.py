"""Turns a screen and its row of the table into the words of one picture: dates, times, directions, references.

Pure text; nothing here knows pixels. Dates are shown short and in the Buddhist era in Thai (``22 พ.ย. 69``), in the
Common Era in English (``22 Nov 2026``). A date that is missing or wrong is never left out of a claim that rests on
it: it is shown as unknown.

Example::

    text_of(Screen(State.ACCEPTED, at, "in", "2026-11-22", "1042"), at, "th")
    # Text(first="อยู่ในรายชื่อ", second="ณ 22 พ.ย. 69", header="เข้า 07:42", reference="#1042")
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from appliance.panel.screens import Label, Screen, State
from appliance.panel.words import DIRECTIONS, ROLES, row_of

_THAI_MONTHS = ["ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค."]
_ENGLISH_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_RECORDED = {"th": "บันทึกแล้ว", "en": "Recorded"}
_UNKNOWN = {"th": "ไม่ทราบวันที่", "en": "unknown date"}
_BUDDHIST_ERA_YEARS = 543
_SIDE_BY_SIDE = 2


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
        rows: what each button stands for, one a line over the whole picture; nothing else is drawn then.
        page: a title and lines over the whole picture; only ``code`` is drawn beside the title.
    """

    first: str
    second: str
    header: str = ""
    reference: str = ""
    code: str = ""
    chosen: int | None = None
    rows: tuple[str, ...] = ()
    page: tuple[str, ...] = ()


def short_date(as_of: str | None, language: str) -> str:
    """Return ``as_of``, YYYY-MM-DD, as a short date, or the words for an unknown date."""
    try:
        day = date.fromisoformat(as_of or "")
    except ValueError:
        return _UNKNOWN["en" if language == "en" else "th"]
    if language == "en":
        return f"{day.day} {_ENGLISH_MONTHS[day.month - 1]} {day.year}"
    return f"{day.day} {_THAI_MONTHS[day.month - 1]} {(day.year + _BUDDHIST_ERA_YEARS) % 100:02d}"


def direction(choice: str | None, language: str, labels: Sequence[Label] = ()) -> str:
    """Return the words for a choice: of the service's labels, else of those known here; nothing where none was made."""
    known = {label.word: label for label in (*DIRECTIONS, *ROLES, *labels)}
    return known[choice].text(language) if choice in known else ""


def text_of(screen: Screen, now: datetime, language: str) -> Text:
    """Return the words for ``screen``.

    Args:
        screen: what to say.
        now: for the clock on the idle screen, Thai local time.
        language: ``th`` or ``en``.
    """
    row = row_of(screen.state)
    language = "en" if language == "en" else "th"
    first, second = row.lines(language)
    if screen.state is State.IDLE:
        return _idle(screen, first, f"{now:%H:%M}", language)
    if screen.state is State.IDLE_UNANSWERED:
        return Text(first, second, code=f"{now:%H:%M}")
    if screen.state is State.MENU:
        lines = tuple(label.text(language) for label in screen.labels)
        return Text(first, second, code=screen.choice or "", page=lines or (first,))
    if screen.state is State.CHOOSE:
        return Text(first, "", rows=tuple(_buttons(screen.labels, language)))
    time = f"{screen.at:%H:%M}" if screen.at else ""
    way = direction(screen.choice, language, screen.labels)
    as_of = short_date(screen.as_of, language)
    number = screen.reference.lstrip("0") or "0"
    return Text(
        first,
        second.format(
            as_of=as_of, choice=way, recorded=way or _RECORDED[language], number=number, time=time or "-"
        ).strip(),
        header="" if "{time}" in second else f"{way if row.has_direction else ''} {time}".strip(),
        reference=f"#{number}" if screen.reference and "{number}" not in second else "",
        code=screen.code,
    )


def _idle(screen: Screen, first: str, clock: str, language: str) -> Text:
    """Return the words of the idle screen: what the buttons choose beforehand, or what the service is called."""
    if screen.title is not None and not screen.choice:
        return Text(first, screen.title.text(language), code=clock)
    labels = screen.labels or DIRECTIONS
    words = [label.word for label in labels]
    chosen = words.index(screen.choice) if screen.choice in words else None
    if len(labels) > _SIDE_BY_SIDE:
        return Text(first, direction(screen.choice, language, labels), code=clock)
    return Text(first, "|".join(_buttons(labels, language)), code=clock, chosen=chosen)


def _buttons(labels: Sequence[Label], language: str) -> Iterator[str]:
    return (f"{button} {label.text(language)}" for button, label in zip("ABC", labels, strict=False))
