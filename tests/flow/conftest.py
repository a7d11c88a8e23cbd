"""T-28: nothing that the flow ever shows in these tests holds a citizen number or a name."""

import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from appliance.panel.phrases import text_of
from appliance.panel.screens import Screen
from appliance.simulate.panel import RecordingPanel
from appliance.simulate.persons import _FIRST_EN, _FIRST_TH, _LAST_EN, _LAST_TH

NAMES = (*_FIRST_TH, *_LAST_TH, *_FIRST_EN, *_LAST_EN)


def words_of(screen: Screen, language: str) -> str:
    text = text_of(screen, datetime(2026, 11, 23, 7, 42), language)
    return " ".join([text.first, text.second, text.header, text.code, text.reference, *text.rows])


def betrays(words: str) -> bool:
    return re.search("[0-9]{9}", words) is not None or any(name in words for name in NAMES)


@pytest.fixture(autouse=True)
def nothing_is_betrayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    usual, seen = RecordingPanel.show, list[str]()

    def show(panel: RecordingPanel, screen: Screen) -> None:
        seen.extend(words_of(screen, language) for language in ("th", "en"))
        usual(panel, screen)

    monkeypatch.setattr(RecordingPanel, "show", show)
    yield
    assert not [words for words in seen if betrays(words)]
