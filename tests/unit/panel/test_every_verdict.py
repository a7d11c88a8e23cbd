"""T-29: every combination of check results, through the verdict and the screen, to the light and the words."""

from datetime import datetime
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from appliance import flow
from appliance.checks.result import Check, Result
from appliance.checks.verdict import decide
from appliance.panel.phrases import text_of
from appliance.panel.screens import Screen
from appliance.panel.words import Level, Light, light_of
from tests.flow.stage import ATTENDANCE
from tests.unit.panel.test_words import FORBIDDEN, claims

CHECKS = ("applet", "checksum", "dates", "roster", "online")
COMBINATIONS = [dict(zip(CHECKS, results, strict=True)) for results in product(Result, repeat=len(CHECKS))]
NOW = datetime.fromisoformat("2026-11-23T07:42:10+07:00")
LEVELS = {"L1": 1, "L2": 2, "L3": 3}


def screen_of(results: dict[str, Result]) -> tuple[Screen, str]:
    checks = {name: Check(result, as_of="2026-11-22") for name, result in results.items()}
    visit: Any = SimpleNamespace(error=None, checks=checks, at=SimpleNamespace(time=NOW), profile=ATTENDANCE)
    decision = decide(CHECKS, checks)
    return flow._screen(visit, decision, "in", 7), decision.level.value


def test_t29_every_combination_has_its_light() -> None:
    seen = set()
    for results in COMBINATIONS:
        screen, _ = screen_of(results)
        found, light = set(results.values()), light_of(screen)
        wanted = Light.RED if Result.FAIL in found else Light.GREEN if found == {Result.PASS} else Light.AMBER
        assert light is wanted, results
        seen.add(light)
    assert len(COMBINATIONS) == 4 ** len(CHECKS)
    assert seen == {Light.RED, Light.GREEN, Light.AMBER}


@pytest.mark.parametrize("language", ["th", "en"])
def test_t29_no_words_are_above_the_level(language: str) -> None:
    said_by_the_card = {Result.PASS, Result.FAIL}  # a card that was read has an applet and a number, or has not
    for results in COMBINATIONS:
        if not {results["applet"], results["checksum"]} <= said_by_the_card:
            continue
        screen, reached = screen_of(results)
        text = text_of(screen, NOW, language)
        words = " ".join([text.first, text.second, text.header, text.code, text.reference])
        assert not any(one.lower() in words.lower() for one in FORBIDDEN)
        for level in Level:
            above = LEVELS.get(level.value, 0) > LEVELS.get(reached, 0)
            assert not (above and claims(words, level, language)), (results, words)
