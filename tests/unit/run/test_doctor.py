"""The doctor's way through the parts, what it prints, how it ends, and the settings it looks with."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance import cli
from appliance.checks.result import Result
from appliance.config import Display
from appliance.errors import CardServiceDown, CardStationError, ConfigError, DeliveryError, NoReader
from appliance.run.doctor import machine
from appliance.run.doctor.part import Finding, Part, Verdict, bad, examine, good, one_line, unknown, unused, within
from appliance.run.doctor.settings import defaults, settings

Look = Callable[[], Finding]
GOOD_SETTINGS = '[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n'
NAMES = ["settings", "pcscd", "reader", "card slot", "i2c", "oled", "gpio", "pins", "letters", "clock", "disk"]
NAMES += ["database", "enrolment", "broker"]


def part(name: str, look: Look, needs: str = "", exit_code: int = 1) -> Part:
    return Part(name, CardStationError, exit_code, look, needs)


def seen(*parts: Part, patience_s: float = 5.0) -> dict[str, Finding]:
    return {verdict.part.name: verdict.finding for verdict in examine(parts, patience_s)}


def fails() -> Finding:
    return bad("broken", "mend it")


def never() -> Finding:
    raise AssertionError("this part must not be looked at")


@pytest.mark.parametrize(
    ("finding", "result", "echo"),
    [
        (good("fine"), Result.PASS, None),
        (good("fine", "could be better"), Result.PASS, None),
        (bad("broken", "mend it"), Result.FAIL, Result.COULD_NOT_CHECK),
        (unknown("who knows", "look as root"), Result.COULD_NOT_CHECK, Result.COULD_NOT_CHECK),
        (unused("not there"), Result.NOT_ASKED, Result.NOT_ASKED),
    ],
)
def test_what_needs_a_part_is_looked_at_only_where_that_part_is_good(
    finding: Finding, result: Result, echo: Result | None
) -> None:
    second: Look = never if echo else lambda: good("looked at")
    found = seen(part("first", lambda: finding), part("second", second, needs="first"), part("third", lambda: good("")))
    assert found["first"].result is result
    assert found["second"].result is (echo or Result.PASS)
    assert found["third"].result is Result.PASS


def test_an_echo_names_the_part_to_mend() -> None:
    found = seen(part("first", fails), part("second", never, needs="first"), part("third", never, needs="second"))
    assert found["second"].mend == "mend first, then look again"
    assert found["third"].mend == "mend second, then look again"


def test_each_verdict_comes_before_the_next_part_is_looked_at() -> None:
    looked: list[str] = []

    def note(name: str) -> Finding:
        looked.append(name)
        return good("")

    verdicts = examine([part("a", lambda: note("a")), part("b", lambda: note("b"))])
    assert next(verdicts).part.name == "a"
    assert looked == ["a"]


def test_a_part_that_hangs_is_left_behind() -> None:
    hung = threading.Event()
    begun_s = time.monotonic()
    found = seen(part("hung", lambda: good(str(hung.wait(30)))), part("next", lambda: good("")), patience_s=0.2)
    hung.set()
    assert time.monotonic() - begun_s < 5
    assert (found["hung"].result, found["next"].result) == (Result.FAIL, Result.PASS)
    assert "gave no answer" in found["hung"].found


def test_an_unexpected_error_hides_nothing_else_and_shows_no_content() -> None:
    def look() -> Finding:
        raise ValueError("bytes of a card")

    found = seen(part("odd", look), part("next", lambda: good("")))
    assert found["odd"] == unknown("unexpected ValueError", "run it again with --verbose and report it")
    assert found["next"].result is Result.PASS


def test_a_package_that_is_missing_is_named() -> None:
    def look() -> Finding:
        raise ModuleNotFoundError("no", name="luma")

    found = seen(part("oled", look))["oled"]
    assert (found.result, "luma" in found.found) == (Result.FAIL, True)


def test_within_returns_and_raises_what_was_asked() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(0.5))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("two\nlines", "two lines"), ("\x1b[31mred", "[31mred"), ("บัตร ๑", "บัตร ๑"), ("a\0b", "a b")],
)
def test_nothing_that_is_shown_moves_the_terminal(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_verdict_as_data_has_the_four_members_of_the_contract() -> None:
    verdict = Verdict(part("reader", fails), bad("no\nreader", "plug it in"))
    assert verdict.as_data() == {"part": "reader", "result": "fail", "found": "no reader", "mend": "plug it in"}
    assert verdict.is_failed


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes the command look at other parts."""

    def put(*parts: Part) -> None:
        monkeypatch.setattr(machine, "parts", lambda *_: iter(parts))

    return put


FAILING = {
    "settings": Part("settings", ConfigError, 78, fails),
    "pcscd": Part("pcscd", CardServiceDown, 7, fails),
    "reader": Part("reader", NoReader, 3, fails),
    "clock": Part("clock", CardStationError, 1, fails),
    "broker": Part("broker", DeliveryError, 7, fails),
}


@pytest.mark.parametrize(
    ("names", "code", "stable"),
    [
        (["settings", "reader"], 78, "F00"),
        (["reader", "broker"], 3, "R01"),
        (["pcscd", "reader"], 7, "R02"),
        (["clock", "broker"], 1, "X00"),
        (["broker"], 7, "D00"),
    ],
)
def test_the_first_failure_decides_the_end(
    names: list[str], code: int, stable: str, use: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(part("fine", lambda: good("")), *(FAILING[name] for name in names))
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == f"card-station: {stable}: {names[0]}: broken; mend it\n"


def test_what_could_not_be_looked_at_is_no_failure(
    use: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(part("a", lambda: unknown("no rights", "be root")), part("b", lambda: unused("none")))
    assert cli.main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "could_not_check  a           no rights",
        "                             -> be root",
        "not_asked        b           none",
    ]


def test_as_json(use: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    use(part("a", lambda: good("fine")), FAILING["reader"])
    assert cli.main(["doctor", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == [
        {"part": "a", "result": "pass", "found": "fine", "mend": ""},
        {"part": "reader", "result": "fail", "found": "broken", "mend": "mend it"},
    ]


def test_each_line_is_out_before_the_next_part(use: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    before: list[str] = []

    def look() -> Finding:
        before.append(capsys.readouterr().out)
        return good("")

    use(part("a", lambda: good("fine")), part("b", look))
    assert cli.main(["doctor"]) == 0
    assert before == ["pass             a           fine\n"]


def test_without_verbose_nothing_is_logged(use: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> Finding:
        logging.getLogger("appliance.run.reader").warning("reader worker killed")
        return good("")

    use(part("a", look))
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with nothing on it but this software."""
    worker = SimpleNamespace(readers=list, wait_card=lambda _: None, close=lambda: None)
    monkeypatch.setattr(machine, "WorkerReader", lambda *_, **__: worker)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("CARD_STATION_CONFIG", str(tmp_path / "station.toml"))
    yield tmp_path
    assert os.listdir(tmp_path) in ([], ["station.toml"])  # noqa: PTH208 - nothing was made


def test_it_works_without_a_settings_file(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 78
    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == NAMES
    assert "there is no file" in rows["settings"]["found"]
    assert "config show --defaults" in rows["settings"]["mend"]
    assert rows["enrolment"]["result"] == rows["broker"]["result"] == "could_not_check"
    assert all(row["mend"] for row in rows.values() if row["result"] in ("fail", "could_not_check"))


def test_with_settings_the_bare_machine_fails_elsewhere(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "station.toml").write_text(f'{GOOD_SETTINGS}[panel]\ndisplay = "virtual"\n')
    assert cli.main(["doctor", "--json"]) != 78
    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["settings"]["result"] == "pass"
    assert {name for name, row in rows.items() if row["result"] == "not_asked"} >= {"i2c", "oled", "gpio", "pins"}
    assert "not enrolled" in rows["enrolment"]["found"]
    assert rows["broker"]["result"] == "could_not_check"


@pytest.mark.parametrize(
    ("text", "result", "found", "mend"),
    [
        (GOOD_SETTINGS, Result.PASS, "station bkk-001 of obec", ""),
        (None, Result.FAIL, "there is no file", "config show --defaults"),
        ("[station\n", Result.FAIL, "station.toml:1: not TOML", "config check"),
        ('[station]\nid = "A"\n', Result.FAIL, "(and 2 more)", "config check"),
        (
            f'{GOOD_SETTINGS}[service]\nid = "school.lunch"\n',
            Result.FAIL,
            "no service school.lunch",
            "school.attendance",
        ),
        (f'{GOOD_SETTINGS}[service]\nid = "demo.anything"\n', Result.PASS, "bkk-001", ""),
    ],
)
def test_the_settings_file(tmp_path: Path, text: str | None, result: Result, found: str, mend: str) -> None:
    path = tmp_path / "station.toml"
    if text is not None:
        path.write_text(text)
    _, finding = settings(path, tmp_path)
    assert finding.result is result
    assert found in finding.found
    assert mend in finding.mend


@pytest.mark.parametrize(
    ("error", "result", "found"),
    [
        (PermissionError(13, "Permission denied"), Result.COULD_NOT_CHECK, "may not read"),
        (OSError(5, "Input/output error"), Result.FAIL, "cannot be read: Input/output error"),
    ],
)
def test_a_settings_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, result: Result, found: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "station.toml"
    path.write_text(GOOD_SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        read, finding = settings(path, tmp_path)
    assert (read, finding.result) == (defaults(), result)
    assert found in finding.found
    assert finding.mend


def test_settings_that_cannot_be_used_are_replaced_by_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(f'{GOOD_SETTINGS}[panel]\ndisplay = "virtual"\nrotate = 90\n')
    read, finding = settings(tmp_path / "station.toml", tmp_path)
    assert read == defaults()
    assert read.panel.display is Display.SSD1306
    assert "defaults" in finding.found
