"""Contract 5: what the panel may claim, per level; what it must never say; which light and tone go with what."""

from dataclasses import replace
from datetime import date

import pytest

from appliance.panel.phrases import short_date, text_of
from appliance.panel.screens import Screen, State
from appliance.panel.sheet import NOW, example
from appliance.panel.words import CLAIMS, ROWS, Level, Light, Symbol, Tone, light_of, row_of, tone_of

FORBIDDEN = ("ยืนยันแล้ว", "บัตรจริง", "มีสิทธิ", "verified", "genuine", "authentic", "entitled", "valid")
LANGUAGES = ("th", "en")
DENIAL = {"th": "ไม่", "en": "Not "}


def said(state: State, language: str) -> str:
    text = text_of(example(state), NOW, language)
    return " ".join([text.first, text.second, text.header, text.code, text.reference])


def claims(words: str, level: Level, language: str) -> bool:
    """Whether ``words`` claim ``level``; a claim that is denied is none."""
    claim = getattr(CLAIMS[level], language)
    return str(claim).lower() in words.lower().replace((DENIAL[language] + claim).lower(), "")


def test_every_state_has_a_row() -> None:
    assert set(ROWS) == set(State)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", State)
def test_a_state_claims_its_level_and_no_other(state: State, language: str) -> None:
    claimed = {level for level in CLAIMS if claims(said(state, language), level, language)}
    level = row_of(state).level
    assert claimed == (set() if level is Level.NONE else {level})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", State)
def test_forbidden_words_never_appear(state: State, language: str) -> None:
    assert not [word for word in FORBIDDEN if word.lower() in said(state, language).lower()]


def test_the_claims_are_the_words_of_the_contract() -> None:
    assert CLAIMS[Level.L1].th == "อ่านบัตรได้"
    assert "อ่านบัตรไม่ได้ ลองใหม่" in said(State.UNREADABLE, "th")
    assert "อยู่ในรายชื่อ ณ 22 พ.ย. 69" in said(State.ACCEPTED, "th")


def test_the_claim_of_the_roster_never_stands_without_its_date() -> None:
    for as_of in (None, "", "2026-02-30", "yesterday"):
        screen = replace(example(State.ACCEPTED), as_of=as_of)
        assert text_of(screen, NOW, "th").second == "ณ ไม่ทราบวันที่"
        assert text_of(screen, NOW, "en").second == "as of unknown date"


def test_green_only_for_recorded_red_only_for_a_fail_amber_only_for_not_checked() -> None:
    lit = {light: {state for state in State if light_of(example(state)) is light} for light in Light}
    accepted = {State.ACCEPTED, State.RECORDED, State.REGISTRY_NORMAL}
    assert lit[Light.GREEN] == accepted | {State.ALREADY_RECORDED, State.VOUCHED}
    assert lit[Light.RED] == {
        State.NOT_ON_ROSTER,
        State.EXPIRED,
        State.DATA_DISAGREE,
        State.CONDITIONS_NOT_MET,
        State.SAME_PERSON,
        State.ON_DENYLIST,
        State.REGISTRY_NOT_NORMAL,
        State.CAP_REACHED,
        State.BAD_NUMBER,
        State.NOT_A_THAI_CARD,
    }
    assert lit[Light.AMBER] == {State.COULD_NOT_CHECK, State.OUTCOME_UNKNOWN, State.UNREADABLE}


def test_nothing_is_said_by_colour_alone() -> None:
    lights_of_symbol = {symbol: {row.light for row in ROWS.values() if row.symbol is symbol} for symbol in Symbol}
    assert all(len(lights) == 1 for lights in lights_of_symbol.values())
    assert row_of(State.ACCEPTED).symbol is not row_of(State.ALREADY_RECORDED).symbol


@pytest.mark.parametrize("state", State)
def test_no_tone_means_stored_without_a_reference(state: State) -> None:
    means_stored = {Tone.STORED, Tone.REFUSED, Tone.ATTENTION, Tone.DUTY}
    with_reference = tone_of(Screen(state, reference="1042"))
    without = tone_of(Screen(state))
    assert without not in means_stored
    assert without is (Tone.ERROR if with_reference in means_stored else with_reference)


def test_the_tones_of_the_verdicts() -> None:
    assert tone_of(example(State.ACCEPTED)) is Tone.STORED
    assert tone_of(example(State.NOT_ON_ROSTER)) is Tone.REFUSED
    assert tone_of(example(State.COULD_NOT_CHECK)) is Tone.ATTENTION
    assert tone_of(replace(example(State.ALREADY_RECORDED), reference="7")) is Tone.AGAIN
    assert tone_of(example(State.CANNOT_STORE)) is Tone.ERROR
    assert {tone_of(example(state)) for state in (State.IDLE, State.READING, State.REMOVE_CARD)} == {Tone.SILENT}


def test_only_what_was_accepted_makes_the_stored_tone() -> None:
    accepted = {State.ACCEPTED, State.RECORDED, State.REGISTRY_NORMAL}
    stored = {state for state in State if tone_of(Screen(state, reference="1")) is Tone.STORED}
    assert stored == accepted | {State.VOUCHED}


@pytest.mark.parametrize(
    ("as_of", "thai", "english"),
    [
        ("2026-11-22", "22 พ.ย. 69", "22 Nov 2026"),
        ("2026-01-05", "5 ม.ค. 69", "5 Jan 2026"),
        ("2057-12-31", "31 ธ.ค. 00", "31 Dec 2057"),
        ("2028-02-29", "29 ก.พ. 71", "29 Feb 2028"),
    ],
)
def test_short_dates(as_of: str, thai: str, english: str) -> None:
    assert short_date(as_of, "th") == thai
    assert short_date(as_of, "en") == english


def test_every_month_has_a_name_of_its_own() -> None:
    assert len({short_date(date(2026, month, 1).isoformat(), "th") for month in range(1, 13)}) == 12


def test_direction_time_and_reference() -> None:
    accepted = text_of(replace(example(State.ACCEPTED), reference="0000001042"), NOW, "th")
    assert (accepted.header, accepted.reference) == ("เข้า 07:42", "#1042")
    assert text_of(replace(example(State.ACCEPTED), choice="out"), NOW, "th").header == "ออก 07:42"
    assert text_of(replace(example(State.ACCEPTED), choice=None), NOW, "th").header == "07:42"


def test_already_recorded_tells_the_first_time() -> None:
    again = example(State.ALREADY_RECORDED)
    assert text_of(again, NOW, "th").second == "เข้า เมื่อ 07:31"
    assert text_of(replace(again, choice=None), NOW, "th").second == "เมื่อ 07:31"
    assert text_of(again, NOW, "th").header == ""


def test_a_refusal_shows_no_direction() -> None:
    assert text_of(replace(example(State.EXPIRED), choice="in"), NOW, "th").header == "07:42"


def test_idle_shows_the_clock_and_the_choice() -> None:
    assert text_of(Screen(State.IDLE), NOW, "th").code == "07:42"
    assert text_of(Screen(State.IDLE), NOW, "th").chosen is None
    assert [text_of(Screen(State.IDLE, choice=way), NOW, "th").chosen for way in ("in", "out", "up")] == [0, 1, None]
