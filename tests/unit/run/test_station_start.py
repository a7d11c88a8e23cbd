"""How the station process starts, or refuses to: the real command as a child process, with its virtual panel."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance import config
from appliance.link import enrolment
from appliance.panel.screens import Screen, State
from appliance.run import enrol, lock
from appliance.run.panel import PanelThread
from appliance.run.station import show_bad_config
from appliance.simulate.panel import TRACE_VARIABLE
from tests.unit.small_agency import Agency

CONFIG = (
    '[station]\nid = "bkk-001"\nagency = "obec"\n[panel]\ndisplay = "virtual"\n'
    '[reader]\nname = "no such reader"\n[link]\nhost = "broker.example"\n'
)


def start(folder: Path, text: str, state: Path | None = None) -> "subprocess.Popen[str]":
    """Start the real command in ``folder``, with its state there or elsewhere."""
    (folder / "station.toml").write_text(text)
    environment = {
        **os.environ,
        "STATE_DIRECTORY": str(state or folder),
        "RUNTIME_DIRECTORY": str(folder / "run"),
        TRACE_VARIABLE: str(folder / "trace"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "--config", str(folder / "station.toml"), "station"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def traced(folder: Path) -> list[str]:
    if not (folder / "trace").exists():
        return []
    return [json.loads(line)["state"] for line in (folder / "trace").read_text().splitlines()]


def test_a_station_that_is_not_enrolled_says_so_and_ends_with_78(tmp_path: Path) -> None:
    process = start(tmp_path, CONFIG)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 78
    assert traced(tmp_path) == ["starting", "not_enrolled"]
    assert "F01" in words.splitlines()[-1]


def test_a_bad_configuration_ends_with_78_and_one_line(tmp_path: Path) -> None:
    process = start(tmp_path, CONFIG.replace("virtual", "television"))
    _, words = process.communicate(timeout=20)
    assert process.returncode == 78
    assert "F00" in words.splitlines()[-1]
    assert "Traceback" not in words


def test_a_bad_configuration_reaches_the_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Screen] = []
    closed: list[bool] = []

    class Seen(PanelThread):
        def close(self, keep_picture: bool = False) -> None:
            closed.append(keep_picture)
            super().close(keep_picture)

    panel = Seen(None, None, lambda: datetime.now(UTC), on_show=lambda screen, light, tone: shown.append(screen))
    monkeypatch.setattr("appliance.run.wiring.build_panel", lambda *arguments: panel)
    show_bad_config(tmp_path)
    assert [(screen.state, screen.code) for screen in shown] == [(State.BAD_CONFIG, "F00")]
    assert closed == [True], "the picture outlives the process"


def test_an_enrolled_station_says_that_it_has_no_reader_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    settings = config.parse(CONFIG, "station.toml")
    (tmp_path / "grant.json").write_text(json.dumps(Agency().grant(enrolment.make_request(settings, tmp_path))))
    enrol.take_grant(settings, tmp_path, tmp_path / "grant.json")
    process = start(tmp_path, CONFIG)
    end_s = time.monotonic() + 20
    while "no_reader" not in traced(tmp_path) and time.monotonic() < end_s:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 0, words
    assert traced(tmp_path) == ["starting", "no_reader"], "nobody was invited"


@pytest.mark.parametrize(
    "text", [CONFIG, CONFIG.replace("virtual", "television")], ids=["not enrolled", "bad settings"]
)
def test_who_comes_second_leaves_the_panel_to_the_first(tmp_path: Path, text: str) -> None:
    """Its state directory is another one: an empty one that somebody tries things in."""
    (tmp_path / "run").mkdir()
    held = lock.hold(tmp_path / "run" / "panel.lock")
    (tmp_path / "run" / "panel.sock").touch()
    try:
        process = start(tmp_path, text, tmp_path / "other")
        _, words = process.communicate(timeout=20)
    finally:
        os.close(held)
    assert process.returncode == (7 if text == CONFIG else 78), words
    assert traced(tmp_path) == []
    assert (tmp_path / "run" / "panel.sock").is_file(), "no socket took its place"
