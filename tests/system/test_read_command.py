"""``card-station read`` as a person and a script use it, with a real pcscd: files, pipes, folders, words."""

import json
import os
import subprocess
import sys
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
