"""Whatever the flow hands over, a picture comes out: no exception, no ink lost at an edge, no claim without a date."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from appliance.panel.fitting import Fitted, clusters, fit, spaced, width_px
from appliance.panel.phrases import text_of
from appliance.panel.render import HEIGHT, WIDTH, render
from appliance.panel.screens import Screen, State
from appliance.panel.words import Light, Tone, light_of, tone_of

BANGKOK = timezone(timedelta(hours=7))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2099, 12, 31), timezones=st.just(BANGKOK))
DATES = st.dates().map(str)
SCREENS = st.builds(
    Screen,
    state=st.sampled_from(State),
    at=st.none() | MOMENTS,
    choice=st.none() | st.sampled_from(["in", "out", "sideways", ""]),
    as_of=st.none() | DATES | st.text(max_size=12),
    reference=st.just("") | st.integers(0, 9_999_999).map(str) | st.integers(0, 9_999_999).map("{:010d}".format),
    code=st.just("") | st.from_regex(r"[A-Z][0-9]{2}", fullmatch=True),
)
THAI = st.text(st.characters(min_codepoint=0x0E01, max_codepoint=0x0E5B), max_size=24)


@given(SCREENS, MOMENTS, st.sampled_from(["th", "en"]))
@settings(max_examples=150, deadline=None)
def test_a_picture_comes_out(screen: Screen, now: datetime, language: str) -> None:
    picture = render(screen, now, language)
    assert (picture.mode, picture.size) == ("1", (WIDTH, HEIGHT))
    assert sum(picture.histogram()[1:]) > 300


@given(SCREENS, MOMENTS)
@settings(max_examples=60, deadline=None)
def test_the_same_screen_is_the_same_picture(screen: Screen, now: datetime) -> None:
    assert render(screen, now).tobytes() == render(screen, now).tobytes()


@given(SCREENS, MOMENTS)
@settings(max_examples=100, deadline=None)
def test_no_ink_is_lost_at_an_edge(screen: Screen, now: datetime) -> None:
    usual = Fitted.draw
    sheets: list[Image.Image] = []

    def draw(line: Fitted, _: ImageDraw.ImageDraw, left: int, base: int, fill: int = 1) -> None:
        sheet = Image.new("1", (WIDTH + 200, HEIGHT + 200))
        usual(line, ImageDraw.Draw(sheet), left + 100, base + 100)
        sheets.append(sheet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitted, "draw", draw)
        render(screen, now)
    for sheet in sheets:
        left, top, right, bottom = sheet.getbbox() or (100, 100, 100, 100)
        assert left >= 100
        assert top >= 100
        assert right <= 100 + WIDTH
        assert bottom <= 100 + HEIGHT


@given(SCREENS)
def test_stored_is_never_sounded_without_a_reference(screen: Screen) -> None:
    if not screen.reference:
        assert tone_of(screen) in {Tone.SILENT, Tone.AGAIN, Tone.ERROR}
    if tone_of(screen) is Tone.STORED:
        assert light_of(screen) is Light.GREEN


@given(SCREENS, MOMENTS)
def test_the_roster_is_never_named_without_a_date(screen: Screen, now: datetime) -> None:
    text = text_of(screen, now, "th")
    if text.first == "อยู่ในรายชื่อ":
        assert text.second.startswith("ณ ")
        assert len(text.second) > 5


@given(THAI, st.integers(14, 128))
@settings(max_examples=150, deadline=None)
def test_any_words_are_made_to_fit_at_a_cluster(words: str, room_px: int) -> None:
    line = fit(words, room_px)
    assert line.width <= max(room_px, width_px("…", 14))
    if line.words != words:
        kept = clusters(line.words.removesuffix("…"))
        assert clusters(words)[: len(kept)] == kept or words.startswith("".join(kept))


@given(THAI)
def test_clusters_and_room_add_and_lose_nothing(words: str) -> None:
    assert "".join(clusters(words)) == words
    assert spaced(words).replace("\u200a", "") == words
