"""``card-station read`` as a person and a script use it, with a real pcscd: files, pipes, folders, words."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PORT, PrivatePcscd
from appliance.simulate.vpcd import VpcdCard

READ = [sys.executable, "-m", "appliance.cli", "read", "--wait", "5", "--reader"]
GOOD, BAD = "Virtual PCD 00 00", "Virtual PCD 00 01"


@pytest.fixture(scope="module", autouse=True)
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A good card in the first slot, one with a wrong check digit in the second."""
    with PrivatePcscd(tmp_path_factory.mktemp("pcscd")):
        held = VpcdCard(deck("person-1")), VpcdCard(deck("bad-number"), PORT + 1)
        for card in held:
            card.insert()
        yield
        for card in held:
            card.remove()


def run(*arguments: str, cwd: Path | None = None, piped: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'"$@" {piped}', "bash", *READ, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "CARD_STATION_CONFIG": ""},
    )


def test_the_photo_is_saved_for_its_owner_alone(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    ended = run(GOOD, "--json", "--photo", str(photo))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert photo.read_bytes().startswith(b"\xff\xd8\xff")
    assert photo.stat().st_mode & 0o777 == 0o600
    assert photo.stat().st_size == json.loads(ended.stdout)["photo"]["size_bytes"]


def test_a_folder_where_nothing_can_be_made_is_said_before_the_card_is_read() -> None:
    ended = run(GOOD, "--photo", "/proc/photo.jpg")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("card-station: U00: --photo '/proc/photo.jpg': no file can be made there: ")


def test_a_photo_that_finds_no_room_costs_nobody_the_record(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path], check=True)
    ended = run(GOOD, "--json", "--photo", str(tmp_path / "photo.jpg"))
    left = list(tmp_path.iterdir())
    subprocess.run(["umount", tmp_path], check=True)
    assert ended.returncode == 7
    assert json.loads(ended.stdout)["photo"]["size_bytes"] > 4000
    assert ended.stderr.startswith("card-station: X02: --photo ")
    assert "No space left on device; free some space there" in ended.stderr
    assert left == [], "no half of it"


def test_no_core_dump_holds_what_was_read() -> None:
    waiting = subprocess.Popen([*READ, "Nope"], stderr=subprocess.DEVNULL)
    end_s, limits = time.monotonic() + 10, Path(f"/proc/{waiting.pid}/limits")
    while not re.search("^Max core file size +0 +0 ", limits.read_text(), re.MULTILINE):
        assert waiting.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.01)
    waiting.terminate()
    waiting.wait()


def test_the_record_begins_as_the_contract_shows_it() -> None:
    record = json.loads(run(GOOD, "--json").stdout)
    assert list(record)[:7] == ["schema", "atr", "reader", "apdus", "duration_ms", "version", "citizen_id"]
    assert list(record)[-1] == "problems"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["virtual"], 3, "no reader fits; plugged in: 'Virtual PCD 00 00', 'Virtual PCD 00 01'"),
        (["ACS 123456789012345"], 3, "no reader fits"),
        (["กขค"], 2, "at most 127 ASCII characters"),
        (["x" * 3000], 2, "at most 127 ASCII characters"),
        ([GOOD, "--wiat", "3"], 2, "see 'card-station --help'"),
        ([GOOD, "--fields", "foo"], 2, "see 'card-station read --help'"),
        ([GOOD, "--wait", "1_0"], 2, "see 'card-station read --help'"),
        ([GOOD, "--config", ""], 2, "name a file"),
        ([GOOD, "--config", "zz\x1b[31mX"], 78, "zz\\x1b[31mX"),
        ([GOOD, "--photo", "-"], 2, "see 'card-station read --help'"),
    ],
)
def test_each_mistake_is_answered_with_its_way_out(arguments: list[str], code: int, said: str) -> None:
    ended = run(*arguments, "--wait", "0") if "--wait" not in arguments else run(*arguments)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.isprintable() or ended.stderr.rstrip("\n").isprintable()
    assert ended.stdout == ""


@pytest.mark.parametrize("name", ["", "-", ".", "/", "nowhere/photo.jpg", "fifo", "link", "/dev/null"])
def test_a_photo_goes_into_a_new_file_in_a_folder_that_exists_or_nowhere(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    before = sorted(tmp_path.iterdir())
    ended = run(GOOD, "--photo", name, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == "", "it is said before the card is read"
    assert len(ended.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_photo_needs_fields_that_hold_one() -> None:
    assert run(GOOD, "--fields", "text", "--photo", "photo.jpg").returncode == 2


def test_a_pipe_that_closes_hides_neither_verdict_nor_photo(tmp_path: Path) -> None:
    ended = run(BAD, "--json", "--photo", str(tmp_path / "photo.jpg"), piped='| true; exit "${PIPESTATUS[0]}"')
    assert ended.returncode == 1
    assert "check digit" in ended.stderr
    assert (tmp_path / "photo.jpg").exists()


def test_what_is_wrong_is_one_line() -> None:
    ended = run(BAD)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_the_folder_one_stands_in_has_no_say(tmp_path: Path) -> None:
    """The worker parses what a card says; modules that somebody left in the folder must not get into it."""
    for name in ("base64.py", "json.py", "resource.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    command = [str(Path(sys.executable).parent / "card-station"), *READ[3:], GOOD, "--fields", "cid"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("encoding", ["utf-16", "ascii", "tis-620"])
def test_no_encoding_of_the_terminal_breaks_the_worker(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    ended = subprocess.run([*READ, GOOD, "--json"], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.decode(encoding))["problems"] == []
