"""The commands of the README do what it says, from the agency's keys to the first report."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.simulate.product import Product

README = Path(__file__).parents[2] / "README.md"


def steps() -> list[str]:
    """Return the numbered steps of the block under "By hand"."""
    section = README.read_text("utf-8").partition("## By hand")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return re.split(r"(?m)^(?=# \d\. )", block[1])


def script(folder: Path) -> str:
    first, *numbered = [step.replace("card-station simulate panel\n", "") for step in steps()]
    waiting = "for i in $(seq 60); do card-agency events list | grep -q enrolled && break; sleep 0.5; done\n"
    looking = next(at for at, step in enumerate(numbered) if "card-agency events list" in step)
    numbered[looking] = waiting + numbered[looking]
    return "set -eu\ntrap 'kill $(jobs -p)' EXIT\n" + "".join([first, *numbered])


@pytest.mark.skipif(os.environ.get("CARD_STATION_PRIVATE") != "1", reason="its broker needs scripts/private")
def test_the_readme_can_be_followed_by_hand(tmp_path: Path) -> None:
    roster = Product(tmp_path).roster_file()
    assert roster.name == "roster.csv"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"}
    done = subprocess.run(
        ["bash", "-c", script(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "station.enrolled.v1" in done.stdout
    assert "date,set,member,name,station,first_in,last_out,events" in done.stdout
    assert "clean" in done.stdout.splitlines()
    assert "visit_open       the agency itself" in done.stdout


def test_every_step_is_there_to_be_followed() -> None:
    assert [step[:4] for step in steps()[1:]] == [f"# {number}." for number in range(1, 8)]
