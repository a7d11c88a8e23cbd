"""``card-station read`` where nobody answers: no pcscd at all, and one that stands still."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from appliance.simulate.pcscd import PrivatePcscd

READ = [sys.executable, "-m", "appliance.cli", "read", "--json", "--wait"]


def read(wait_s: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CARD_STATION_CONFIG": ""}
    return subprocess.run([*READ, wait_s], capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_without_pcscd_it_says_how_to_start_one() -> None:
    ended = read("0")
    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr.startswith("card-station: R02: ")
    assert "systemctl start pcscd.socket" in ended.stderr


def test_a_pcscd_that_stands_still_is_said_meanwhile_and_in_the_end(tmp_path: Path) -> None:
    with PrivatePcscd(tmp_path) as pcscd:
        assert pcscd._process is not None
        os.kill(pcscd._process.pid, signal.SIGSTOP)
        ended = read("0")
        os.kill(pcscd._process.pid, signal.SIGCONT)
    assert ended.returncode == 7
    meanwhile, end = ended.stderr.splitlines()
    assert meanwhile == "card-station: pcscd takes its time"
    assert end.startswith("card-station: R02: ")


def test_a_slot_without_a_card_is_said_after_the_wait(tmp_path: Path) -> None:
    with PrivatePcscd(tmp_path):
        ended = read("0.2")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.startswith("card-station: R05: no card within 0.2 s; ")
