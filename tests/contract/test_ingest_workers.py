"""More ingest processes than one, and more than there may be: real processes, a real broker."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agency.fleet import visits
from tests.unit.agency.site import Running, Site, running, wait_until

FLEET = [f"bkk-{number:03d}" for number in range(1, 7)]


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running(tmp_path, capsys) as made:
        yield made


def start(site: Site, *options: str) -> Running:
    return agency(site, "ingest", "--broker", f"127.0.0.1:{site.port}", *options)


def agency(site: Site, command: str, *options: str) -> Running:
    return site.start(command, sys.executable, "-m", "agency", command, "--home", str(site.desk.home.path), *options)


def test_three_processes_share_the_stations_and_each_station_is_answered_once(site: Site) -> None:
    stations = [site.enrol(name) for name in FLEET]
    ingest = start(site, "--workers", "3")
    wait_until(lambda: ingest.log.read_text("utf-8").count("connected to the broker") == 3, 20)
    devices = [site.listening(station) for station in stations]
    for station, device in zip(stations, devices, strict=True):
        device.send(*visits(station, 4))
    receipts = [device.wait_receipt(5) for device in devices]
    assert [receipt.station for receipt in receipts] == FLEET
    assert len(site.rows()) == 5 * len(FLEET)
    assert "disconnected" not in ingest.log.read_text("utf-8")
    said = ingest.log.read_text("utf-8")
    assert all(said.count(f"station {name}: 5 new") == 1 for name in FLEET)
    assert "duplicate" not in said
    assert site.desk.run("audit").code == 0
    assert ingest.end() == 0


def test_a_worker_that_is_killed_comes_back_and_nothing_is_lost(site: Site) -> None:
    station = site.enrol("bkk-001")
    ingest = start(site, "--workers", "2")
    wait_until(lambda: ingest.log.read_text("utf-8").count("connected to the broker") == 2, 20)
    device, lines = site.listening(station), visits(station, 4)
    device.send(*lines[:2])
    device.wait_receipt(2)
    children = Path(f"/proc/{ingest.process.pid}/task/{ingest.process.pid}/children").read_text().split()
    assert len(children) == 2
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    wait_until(lambda: ingest.log.read_text("utf-8").count("connected to the broker") == 4, 20)
    device.send(*lines)
    device.wait_receipt(5)
    assert len(site.rows()) == 5


@pytest.mark.parametrize("second", [("ingest",), ("ingest", "--workers", "2"), ("run",), ("run", "--no-broker")])
def test_a_second_one_for_the_same_agency_ends_at_once_and_says_why(site: Site, second: tuple[str, ...]) -> None:
    first = site.start_ingest()
    other = agency(site, *second)
    assert other.process.wait(10) == 7
    said = other.log.read_text("utf-8").splitlines()
    words = f"card-agency: X01: another 'card-agency ingest' works for {site.desk.home.path}: stop that one first"
    assert said == [words]
    assert first.process.poll() is None
    assert not first.said("disconnected")


@pytest.mark.parametrize("number", ["0", "9", "-1", "two"])
def test_a_number_of_workers_that_is_none(site: Site, number: str) -> None:
    ran = site.desk.run("ingest", "--workers", number)
    assert (ran.code, "1 to 8" in ran.err) == (2, True)
