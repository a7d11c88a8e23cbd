"""What dies and comes back: the broker, the worker, the database. Real processes, real signals, nothing lost."""

import os
import signal
import sys
import time

from agency.broker.topics import topic
from agency.store import chains
from agency.store.database import Database
from tests.unit.agency.fleet import AGENCY, Pupil, jws_hash, visits
from tests.unit.agency.site import Site, is_open, wait_until

PUPILS = [Pupil.make(number) for number in range(8)]


def test_ingest_killed_in_mid_stream_loses_and_doubles_nothing(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    device = site.listening(station)
    lines = visits(station, 120)
    for start in range(0, 60, 6):
        device.send(*lines[start : start + 6])
    wait_until(lambda: len(site.rows()) > 5)
    worker.kill()
    site.start_ingest()
    end = time.monotonic() + 30
    while time.monotonic() < end:  # what a station does: from the receipt on, again and again
        through = max((receipt.through for receipt in device.receipts()), default=0)
        if through == 121:
            break
        for start in range(through, min(through + 60, 121), 10):
            device.send(*lines[start : start + 10])
        time.sleep(0.2)
    assert device.wait_receipt(121).hash == jws_hash(lines[-1])
    with Database.open(site.desk.home.database) as database, database.read() as connection:
        held = [row.jws for row in chains.chain_rows(connection, station.chain)]
    assert held == lines
    assert site.desk.run("audit").code == 0


def test_a_station_that_comes_back_finds_its_receipt(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    site.device(station).send(*visits(station, 1))
    wait_until(lambda: len(site.rows()) == 2)
    assert worker.end() == 0
    late = site.listening(station)
    assert late.wait_receipt(2).through == 2


def test_ingest_waits_for_a_broker_that_is_away(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.programs[0].kill()
    ingest = (sys.executable, "-m", "agency", "ingest", "--home", str(site.desk.home.path))
    worker = site.start("ingest", *ingest)
    wait_until(lambda: worker.said("trying again"))
    site.start_broker()
    wait_until(lambda: worker.said("connected to the broker"), 20)
    device = site.listening(station)
    device.send(station.started())
    device.wait_receipt(1)


def test_a_database_that_is_gone_ends_ingest_with_7(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    site.desk.home.database.write_bytes(b"no database at all" * 1000)
    site.device(station).send(station.started())
    assert worker.process.wait(20) == 7
    assert not worker.said("Traceback")


def test_run_keeps_both_alive_and_ends_both(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.programs[0].end()
    both = site.start("run", sys.executable, "-m", "agency", "run", "--home", str(site.desk.home.path))
    wait_until(lambda: both.said("connected to the broker"), 20)
    line = wait_until(lambda: next((x for x in both.log.read_text().splitlines() if "started ingest" in x), ""))
    os.kill(int(line.rsplit("process ", 1)[1].rstrip(")")), signal.SIGKILL)
    wait_until(lambda: both.said("starting it again in 1 s"))
    wait_until(lambda: both.log.read_text().count("connected to the broker") == 2, 20)
    time.sleep(0.1)
    device = site.listening(station)
    device.send(station.started())
    device.wait_receipt(1)
    assert both.end() == 0
    assert not is_open(site.port)


def test_ingest_survives_a_broker_that_is_killed(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    device = site.listening(station)
    device.send(station.started())
    device.wait_receipt(1)
    site.programs[0].kill()
    site.start_broker()
    wait_until(lambda: worker.log.read_text().count("connected to the broker") == 2, 20)
    wait_until(device.client.is_connected, 20)
    device.subscribe(topic(AGENCY, "bkk-001", "receipt"))
    time.sleep(0.2)
    device.send(station.visit(PUPILS[0]))  # only a worker that subscribed anew gets this
    device.wait_receipt(2)


def test_a_station_approved_while_ingest_runs_is_taken_and_one_revoked_is_not(site: Site) -> None:
    worker = site.start_ingest()
    station = site.enrol("bkk-001")
    device = site.listening(station)
    device.send(station.started())
    device.wait_receipt(1)
    assert site.desk.run("station", "revoke", "bkk-001").code == 0
    device.send(station.visit(PUPILS[0]))
    wait_until(lambda: worker.said("quarantined: revoked"))
    time.sleep(1)
    assert [receipt.through for receipt in device.receipts()] == [1]
    assert [row.sequence for row in site.rows()] == [1]
