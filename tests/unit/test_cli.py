"""The command line: exit codes, one line of words, data on standard output, and a lean start."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance import cli, errors, papers
from appliance.commands import station
from appliance.commands.call import Call
from appliance.events.cloud_event import Origin
from appliance.events.writer import EventWriter
from appliance.hardware.clock import SystemClock
from appliance.link import enrolment
from appliance.link.status import STALE_S
from appliance.outbox.store import DATABASE_NAME, Outbox

ROOT = Path(__file__).parents[2]
CONFIG = '[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with settings, and state and sockets in it."""
    (tmp_path / "station.toml").write_text(CONFIG)
    monkeypatch.setenv("CARD_STATION_CONFIG", str(tmp_path / "station.toml"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return tmp_path


@pytest.fixture
def outbox(home: Path) -> Outbox:
    """Return the outbox of a station that made its keys and started its chain."""
    (home / "state").mkdir()
    assert cli.main(["enrol", "--request", str(home / "request.json")]) == 0
    store = Outbox.open(home / "state" / DATABASE_NAME, create=True)
    store.start_chain(papers.event_signer(home / "state").kid, datetime.now(UTC))
    return store


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of standard error; nothing stands on standard output."""
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("card-station: ")
    return line


EXIT_CODES = [
    (errors.CardStationError("x"), 1),
    (errors.VerificationError("x"), 1),
    (errors.WrongUse("x"), 2),
    (errors.NoReader("x"), 3),
    (errors.NotAThaiIdCard("x"), 5),
    (errors.CardRemoved("x"), 6),
    (errors.CardMute("x"), 6),
    (errors.CardDeadline("x"), 6),
    (errors.CardRefused(0x6A82), 6),
    (errors.CardServiceDown("x"), 7),
    (errors.OutboxFull("x"), 7),
    (errors.SigningError("x"), 7),
    (errors.PanelFault("x"), 7),
    (errors.DeliveryError("x"), 7),
    (errors.ConfigError(["x"]), 78),
    (OSError(2, "No such file", "a"), 1),
    (ValueError("x"), 1),
]


@pytest.mark.parametrize(("error", "code"), EXIT_CODES, ids=lambda value: type(value).__name__)
def test_each_family_has_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(call: Call) -> int:
        raise error

    monkeypatch.setattr(station, "status", fail)
    assert cli.main(["status"]) == code
    line = one_line(capsys)
    assert "; " in line
    assert f"card-station: {getattr(error, 'code', 'X00')}: " in line


def test_every_error_of_the_product_has_an_outcome() -> None:
    def families(family: type[Exception]) -> list[type[Exception]]:
        return [family, *(found for each in family.__subclasses__() for found in families(each))]

    for family in families(errors.CardStationError):
        assert any(parent in cli.OUTCOMES for parent in family.__mro__)


def test_what_is_unexpected_shows_nothing_of_its_content(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(call: Call) -> int:
        raise ValueError("bytes of a card")

    monkeypatch.setattr(station, "status", fail)
    assert cli.main(["status"]) == 1
    assert one_line(capsys) == "card-station: X00: unexpected ValueError; run it again with --verbose and report it"
    assert cli.main(["status", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "",
        "bogus",
        "outbox",
        "outbox show",
        "outbox show one",
        "config",
        "enrol",
        "enrol --request a --grant b",
        "--bogus",
        "--conf x config show --defaults",
        "config show --default",
        "outbox list --js",
        "outbox show 0",
        "outbox show 99999999999999999999999",
        "simulate card person-1 --port 99999",
        "simulate card person-1 --port 0",
        "simulate card person-1 --po 35963",
        "simulate card nobody",
    ],
)
def test_wrong_use_is_one_line_and_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line.split()) == 2
    assert one_line(capsys).startswith("card-station: U00: ")


@pytest.mark.parametrize("line", ["", "outbox", "outbox list", "config show", "enrol", "simulate card", "run"])
def test_help_is_everywhere(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*line.split(), "--help"]) == 0
    assert "--config FILE" in capsys.readouterr().out


def test_interruption_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(call: Call) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(station, "status", interrupt)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr() == ("", "")


def test_several_problems_are_a_line_each(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "station.toml").write_text('[station]\nid = "A"\n')
    assert cli.main(["config", "check"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 3
    assert all(line.startswith("card-station: F00: station.toml:") for line in err.splitlines())


def test_config_check(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "check"]) == 0
    assert capsys.readouterr().out == f"{home / 'station.toml'}: good\n"
    (home / "station.toml").write_text("[station\n")
    assert cli.main(["config", "check", "--json"]) == 78
    assert json.loads(capsys.readouterr().out)["problems"][0].startswith("station.toml:1: not TOML")


def test_global_options_stand_before_or_after(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = home / "other.toml"
    other.write_text(CONFIG.replace("bkk-001", "bkk-002"))
    for line in (
        ["--config", str(other), "--json", "config", "show"],
        ["config", "show", "--json", "--config", str(other)],
    ):
        assert cli.main(line) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown[0] == {"table": "station", "key": "id", "value": "bkk-002", "source": "other.toml:2"}


def test_config_show(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert "station.id" in out.splitlines()[0]
    assert out.splitlines()[0].endswith("# station.toml:2")
    assert "link.port" in out
    assert "# default" in out


def test_config_show_defaults_needs_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARD_STATION_CONFIG", "/nonexistent")
    assert cli.main(["config", "show", "--defaults"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["link"]["port"] == 8883


def test_services_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["service", "list", "--json"]) == 0
    assert "school.attendance" in [service["id"] for service in json.loads(capsys.readouterr().out)]
    assert cli.main(["service", "list"]) == 0
    assert "school.attendance" in capsys.readouterr().out
    assert cli.main(["service", "show", "school.attendance", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card_bytes"] == [
        {"field": "citizen_id", "applet": "a000000054480001", "offset": 4, "size_bytes": 13}
    ]
    assert cli.main(["service", "show", "school.lunch"]) == 2
    assert "school.lunch" in one_line(capsys)


def test_without_a_state_database_the_advice_is_to_enrol(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("status", "outbox list", "outbox export"):
        assert cli.main(line.split()) == 78
        assert "card-station enrol" in one_line(capsys)
    assert cli.main(["outbox", "verify"]) == 78
    assert "card-station enrol" in one_line(capsys)


def test_an_empty_outbox(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.main(["outbox", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli.main(["outbox", "verify"]) == 0
    assert capsys.readouterr().out == "0 events, chain unbroken\n"
    assert cli.main(["outbox", "export"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["outbox", "show", "1"]) == 2
    assert "no event 1" in one_line(capsys)


def test_status(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    outbox.say({"state": "ready", "reader": "ok", "monotonic_s": time.clock_gettime(time.CLOCK_BOOTTIME)})
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    status: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status["state"] == "ready"
    assert status["backlog"] == {"count": 0, "oldest_s": None}
    assert "monotonic_s" not in status
    assert cli.main(["status"]) == 0
    assert "reader: ok" in capsys.readouterr().out


@pytest.mark.parametrize("age_s", [STALE_S + 5, -3600, None], ids=["silent", "before a restart", "no time"])
def test_a_station_that_says_nothing_any_more_is_not_running(
    outbox: Outbox, capsys: pytest.CaptureFixture[str], age_s: float | None
) -> None:
    at = {} if age_s is None else {"monotonic_s": time.clock_gettime(time.CLOCK_BOOTTIME) - age_s}
    outbox.say({"state": "ready", "reader": "ok", **at})
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["reader"], status["card"]) == ("not running", "ok", "unknown")
    assert {"panel", "clock", "backlog", "last_receipt", "versions"} <= set(status)


def test_a_station_that_never_ran_is_not_running(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.main(["status"]) == 0
    assert "state: not running\n" in capsys.readouterr().out


def test_status_says_how_old_the_oldest_waiting_event_is(
    two_events: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--json"]) == 0
    backlog = json.loads(capsys.readouterr().out)["backlog"]
    assert backlog["count"] == 2
    assert 0 <= backlog["oldest_s"] < 60


def test_enrol_shows_the_key_in_groups(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["enrol", "--request", str(home / "request.json")]) == 0
    kid = json.loads((home / "request.json").read_text())["event_key"]["kid"]
    assert enrolment.grouped(kid) in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_fault(home: Path) -> None:
    line = f"{sys.executable} -m appliance.cli config show --defaults | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_start_loads_nothing_heavy() -> None:
    code = "import sys, appliance.cli as c; c.parser(); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ}
    )
    loaded = set(done.stdout.split())
    heavy = {"sqlite3", "joserfc", "cryptography", "PIL", "gpiozero", "smartcard", "paho", "luma", "tomllib", "logging"}
    assert not loaded & heavy


@pytest.fixture
def two_events(outbox: Outbox, home: Path, capsys: pytest.CaptureFixture[str]) -> Outbox:
    """Return an outbox with two events."""
    signer = papers.event_signer(home / "state")
    writer = EventWriter(Origin("obec", "bkk-001", "1.0.0"), signer, ())
    at = SystemClock().now()
    data = {"clock": at.as_data(), "key": signer.kid}
    for _ in range(2):
        outbox.append(lambda place: writer.station(place, "station.enrolled.v1", at.time, data))
    capsys.readouterr()
    return outbox


def test_events_are_listed_shown_and_exported(two_events: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["outbox", "list"]) == 0
    assert "waiting  station.enrolled.v1" in capsys.readouterr().out
    assert cli.main(["outbox", "show", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["event"]["sequence"] == "0000000002"
    assert shown["event"]["type"] == "station.enrolled.v1"
    assert cli.main(["outbox", "export"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == shown["jws"]
    assert cli.main(["outbox", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"events": 2, "erased": 0, "salvaged": 0, "problems": []}


def test_a_changed_event_is_found(two_events: Outbox, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_events.close()
    with sqlite3.connect(home / "state" / DATABASE_NAME) as database:
        database.execute("UPDATE event SET jws = replace(jws, '.', '.A') WHERE sequence = 1")
    assert cli.main(["outbox", "verify"]) == 1
    out, err = capsys.readouterr()
    assert "event 1: " in out
    assert err.startswith("card-station: V00: ")


def test_a_state_directory_that_may_not_be_seen_leaves_the_services_of_the_software(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(home))

    monkeypatch.setattr(Outbox, "open", refuse)
    assert cli.main(["service", "list", "--json"]) == 0
    assert any(one["id"] == "school.attendance" for one in json.loads(capsys.readouterr().out))
    assert cli.main(["config", "check"]) == 0


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.OutboxDamaged("x"), "S02: x; restart the station"),
        (errors.SigningError("x"), "S03: x; restore keys/event.jwk"),
        (errors.OutboxUnavailable("x"), "S04: x; look at the end of 'dmesg'"),
    ],
)
def test_each_fault_of_the_store_has_its_own_advice(
    error: Exception, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._say(error, is_verbose=False) == 7
    assert f"card-station: {advice}" in capsys.readouterr().err


def test_enrolment_is_told_to_programs_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--json", "enrol", "--request", str(home / "request.json")]) == 0
    printed = json.loads(capsys.readouterr().out)
    key = json.loads((home / "request.json").read_text("utf-8"))["event_key"]["kid"]
    assert printed == {"agency": "obec", "station": "bkk-001", "fingerprint": key, "enrolled": False}
