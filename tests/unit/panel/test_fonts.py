"""Without shaping or without the font the station refuses to start, and says which package mends it."""

from pathlib import Path

import pytest
from PIL import ImageFont, features

from appliance.errors import ConfigError
from appliance.panel import fonts


def test_this_machine_can_draw_thai() -> None:
    fonts.check()
    assert fonts.font(16).layout_engine is ImageFont.Layout.RAQM


def test_a_font_is_loaded_once() -> None:
    assert fonts.font(16) is fonts.font(16)
    assert fonts.font(14) is not fonts.font(16)


def test_shaping_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: feature != "raqm")
    with pytest.raises(ConfigError, match="apt install libfribidi0") as caught:
        fonts.check()
    assert caught.value.code == "F00"
    assert len(caught.value.problems) == 1


def test_the_font_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="apt install fonts-thai-tlwg"):
        fonts.font(16, tmp_path / "Laksaman.ttf")


def test_everything_missing_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(ConfigError) as caught:
        fonts.check(tmp_path / "no.ttf")
    assert len(caught.value.problems) == 2


def test_the_font_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "Laksaman.ttf"
    path.write_bytes(b"not a font")
    with pytest.raises(ConfigError, match="reinstall"):
        fonts.font(16, path)


def test_a_fault_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "Laksaman.ttf"
    with pytest.raises(ConfigError):
        fonts.font(16, path)
    path.write_bytes(fonts.FONT_PATH.read_bytes())
    assert fonts.font(16, path).getlength("บัตร") == fonts.font(16).getlength("บัตร")
