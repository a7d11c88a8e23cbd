"""``scripts/private`` and the pcscd inside it: what a command sees there, how it ends, and who is kept out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.errors import CardServiceDown, WrongUse
from appliance.hardware.pcsc import PcscSlot
from appliance.simulate import pcscd
from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.vpcd import VpcdCard

PRIVATE = Path(__file__).parents[2] / "scripts" / "private"
is_private = pytest.mark.skipif(os.environ.get("CARD_STATION_PRIVATE") != "1", reason="runs in scripts/private only")


def private(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PRIVATE, *command], capture_output=True, text=True, check=False, timeout=30)


def test_a_command_has_loopback_and_nothing_else() -> None:
    done = private("ip", "-brief", "link")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["lo"]
    assert "UP" in done.stdout


def test_a_command_has_an_empty_folder_for_pcscd_and_its_own_processes() -> None:
    done = private("sh", "-c", "ls -A /run/pcscd; echo $CARD_STATION_PRIVATE; ls -d /proc/[0-9]* | wc -l")
    marker, processes = done.stdout.split()
    assert marker == "1"
    assert int(processes) < 10


@pytest.mark.parametrize("code", [0, 1, 78])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert private("sh", "-c", f"exit {code}").returncode == code


def test_arguments_and_input_arrive_as_they_are() -> None:
    done = subprocess.run(
        [PRIVATE, "cat", "-", "/dev/null"], input="a b  c\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == "a b  c\n"
    assert private("printf", "%s|", "a b", "", "*").stdout == "a b||*|"


def test_without_a_command_it_says_how_to_use_it() -> None:
    done = private()
    assert done.returncode == 2
    assert done.stderr.startswith("usage: scripts/private COMMAND")


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    private("sh", "-c", f"(while :; do echo x >>{beat}; sleep 0.02; done) </dev/null >/dev/null 2>&1 & sleep 0.2")
    size_bytes = beat.stat().st_size
    time.sleep(0.2)
    assert size_bytes > 0
    assert beat.stat().st_size == size_bytes


def test_killing_it_kills_everything_inside(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    process = subprocess.Popen([PRIVATE, "sh", "-c", f"while :; do echo x >>{beat}; sleep 0.02; done"])
    end_s = time.monotonic() + 10
    while not beat.exists():
        assert time.monotonic() < end_s
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    size_bytes = beat.stat().st_size
    time.sleep(0.2)
    assert beat.stat().st_size == size_bytes


def test_the_virtual_reader_refuses_to_start_in_the_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARD_STATION_PRIVATE", raising=False)
    with pytest.raises(WrongUse, match="scripts/private"):
        PrivatePcscd(tmp_path).start()
    assert list(tmp_path.iterdir()) == []


@is_private
def test_a_card_is_seen_in_the_virtual_reader(tmp_path: Path) -> None:
    card, slot = VpcdCard(deck("person-1")), PcscSlot(pcscd.READER_NAME)
    with PrivatePcscd(tmp_path):
        card.insert()
        insertion = slot.wait_card(5)
        card.remove()
    slot.close()
    assert insertion is not None
    assert insertion.reader.startswith("Virtual PCD")
    assert insertion.atr == card.card.atr


@is_private
def test_pcscd_can_be_killed_and_started_again(tmp_path: Path) -> None:
    service = PrivatePcscd(tmp_path)
    for end in (service.kill, service.stop, service.kill):
        service.start()
        assert pcscd.SOCKET.exists()
        end()
    service.stop()
    service.kill()


@is_private
def test_a_pcscd_that_does_not_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcscd, "PCSCD", "/bin/false")
    with pytest.raises(CardServiceDown, match="did not start"):
        PrivatePcscd(tmp_path).start()
    monkeypatch.setattr(pcscd, "PCSCD", "/nonexistent/pcscd")
    with pytest.raises(CardServiceDown, match="not installed"):
        PrivatePcscd(tmp_path).start()


def test_the_unpacked_driver_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "vpcd/usr/lib/pcsc/drivers/serial"
    folder.mkdir(parents=True)
    (folder / "libifdvpcd.so.0.8").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert pcscd.driver() == folder / "libifdvpcd.so.0.8"


@pytest.mark.parametrize(("usage", "expected"), [("--disable-polkit  no questions", True), ("--foreground", False)])
def test_polkit_is_left_out_where_pcscd_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usage: str, expected: bool
) -> None:
    fake = tmp_path / "pcscd"
    fake.write_text(f"#!/bin/sh\necho '{usage}'\n")
    fake.chmod(0o755)
    monkeypatch.setattr(pcscd, "PCSCD", str(fake))
    assert ("--disable-polkit" in pcscd._command(tmp_path)) is expected
