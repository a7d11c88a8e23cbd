"""Ingest as outsiders meet it: a real mosquitto with the generated files, mutual TLS, real processes.

Nothing is mocked: the agency's programs run as ``python -m agency``. Who may reach what is in
``tests/unit/agency/test_broker_access.py``, what survives which death in ``test_broker_faults.py`` beside it.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agency.broker.topics import topic
from appliance.events.document import Document
from appliance.events.receipt import Receipt
from appliance.events.roster import Roster
from appliance.events.sign import KeySet
from tests.unit.agency.fleet import AGENCY, DAY, Pupil, Station, jws_hash, traces, visits
from tests.unit.agency.site import Site, free_port, running, wait_until

PUPILS = [Pupil.make(number) for number in range(8)]


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running(tmp_path, capsys) as made:
        yield made


def test_an_event_becomes_a_row_and_a_receipt(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    line = station.started()
    assert not device.send(line).is_failure
    receipt = device.wait_receipt(1)
    assert (receipt.hash, receipt.chain, receipt.epoch) == (jws_hash(line), station.next.chain, 1)
    assert [(row.sequence, row.jws) for row in site.rows()] == [(1, line)]


def test_debians_own_tools_do_the_same(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    bundle = "\n".join(visits(station, 2))
    sent = site.tool("mosquitto_pub", station, "-t", topic(AGENCY, "bkk-001", "event"), "-m", bundle)
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: len(site.rows()) == 3)
    got = site.tool("mosquitto_sub", station, "-t", topic(AGENCY, "bkk-001", "receipt"), "-C", "1", "-W", "10")
    receipt = Receipt.open(got.stdout.decode().strip(), KeySet(site.desk.home.public_keys()), "bkk-001")
    assert receipt.through == 3


def test_duplicates_are_answered_and_stored_once(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    lines = visits(station, 2)
    device.send(*lines)
    device.wait_receipt(3)
    device.send(*lines)
    wait_until(lambda: len(device.receipts()) == 2, 3)  # at once: the station is resending
    assert device.receipts()[1].through == 3
    assert len(site.rows()) == 3


def test_single_events_share_a_receipt_and_the_last_one_is_not_forgotten(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    begin = time.monotonic()
    device.send(station.started())
    device.wait_receipt(1)
    assert time.monotonic() - begin < 3
    for pupil in PUPILS[:3]:
        device.send(station.visit(pupil))
        time.sleep(0.7)  # each in its own batch
    assert [receipt.through for receipt in device.receipts()] == [1]
    device.wait_receipt(4)
    assert 4.5 < time.monotonic() - begin < 9
    assert [receipt.through for receipt in device.receipts()] == [1, 4]


def test_a_gap_is_asked_for_and_filled(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    lines = visits(station, 4)
    device.send(lines[0], lines[4])
    assert device.wait_receipt(1).missing == [[2, 4]]
    device.send(*lines[1:4])
    assert device.wait_receipt(5).missing == []


def test_fork_forgery_and_poison_do_not_stop_their_neighbours(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    device = site.listening(station)
    forged = Station("bkk-001", station.recipients).started()
    lines = [station.started(), forged, station.poison(), station.visit(PUPILS[0])]
    here = station.next
    device.send(*lines, station.visit(PUPILS[1]))
    receipt = device.wait_receipt(4)
    assert receipt.quarantined == [{"sequence": 2, "code": "schema"}]
    station.next = here
    device.send(station.visit(PUPILS[2]))
    wait_until(lambda: worker.said("fork"))
    shown = site.desk.run("station", "show", "bkk-001", "--json").json()
    assert (shown["flag"], len(shown["forks"]), shown["through"]) == ("fork", 1, 4)
    assert worker.said("station bkk-001: dropped: signed by no known event key")
    audited = site.desk.run("audit", "--json")
    assert audited.code == 1
    assert {problem["code"] for problem in audited.json()["problems"]} == {"flag", "fork", "quarantine"}


def test_a_retained_event_is_ignored_and_reported(site: Site) -> None:
    station = site.enrol("bkk-001")
    device = site.device(station)
    device.publish(topic(AGENCY, "bkk-001", "event"), station.started(), retain=True)
    worker = site.start_ingest()
    wait_until(lambda: worker.said("ignored a retained event"))
    assert site.rows() == []
    device.publish(topic(AGENCY, "bkk-001", "event"), "x", retain=True)
    wait_until(lambda: worker.log.read_text().count("ignored a retained event") == 2)


def test_a_roster_is_pushed_and_opens_at_the_station(site: Site) -> None:
    station = site.enrol("bkk-001")
    assert site.desk.import_roster(PUPILS[:2], site.folder).code == 0
    assert site.desk.run("roster", "push").code == 0
    device = site.device(station).subscribe(topic(AGENCY, "bkk-001", "document/#"))
    ((name, payload),) = wait_until(lambda: device.received)
    document = Document.open(payload.decode(), KeySet(site.desk.home.public_keys()), "roster", "bkk-001")
    roster = Roster.from_document(document)
    assert name.endswith("document/roster")
    assert roster.contains(roster.kdf.digest(PUPILS[0].citizen_id))
    assert not roster.contains(roster.kdf.digest(PUPILS[5].citizen_id))


def test_a_roster_cannot_be_pushed_without_a_broker(site: Site) -> None:
    site.enrol("bkk-001")
    site.desk.import_roster(PUPILS[:1], site.folder)
    pushed = site.desk.run("roster", "push", "--broker", f"127.0.0.1:{free_port()}")
    assert pushed.code == 7
    assert "no broker at 127.0.0.1" in pushed.err


def test_no_citizen_can_be_found_in_the_files_of_broker_and_store(site: Site) -> None:
    station = site.enrol("bkk-001")
    assert site.desk.import_roster(PUPILS[:3], site.folder).code == 0
    assert site.desk.run("roster", "push").code == 0
    worker = site.start_ingest()
    device = site.listening(station)
    device.send(station.started(), *(station.visit(pupil) for pupil in PUPILS[:3]))
    device.wait_receipt(4)
    assert PUPILS[0].name in site.desk.run("attendance", "--date", DAY).out  # it is there, for who may open it
    worker.end()
    site.programs[0].end()  # writes its database
    files = [file for file in site.desk.home.path.rglob("*") if file.is_file()] + [worker.log]
    assert any(file.name == "mosquitto.db" for file in files)
    for file in files:
        content = file.read_bytes()
        for pupil in PUPILS[:3]:
            assert not any(t in content for t in [*traces(pupil.citizen_id), *traces(pupil.name)]), file


def test_an_edited_row_is_found_by_the_audit(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    site.listening(station).send(*visits(station, 2))
    wait_until(lambda: len(site.rows()) == 3)
    worker.end()
    assert site.desk.run("audit").code == 0
    edit(site.desk.home.database, "UPDATE event SET verdict='refused' WHERE sequence=2")
    audited = site.desk.run("audit", "--json")
    assert audited.code == 1
    assert [(p["code"], p["place"]) for p in audited.json()["problems"]] == [("edited", f"{station.next.chain}/2")]


def edit(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_bundle_over_32_kib_is_dropped_and_the_next_one_taken(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    device = site.listening(station)
    device.publish(topic(AGENCY, "bkk-001", "event"), b"x" * 40_000)
    wait_until(lambda: worker.said("dropped: the bundle is over 32 KiB"))
    device.send(station.started())
    device.wait_receipt(1)


def test_an_export_of_what_came_over_the_broker_verifies(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    lines = visits(station, 4)
    device.send(*lines)
    device.wait_receipt(5)
    exported = site.desk.run("events", "export", "--station", "bkk-001")
    assert exported.out.splitlines() == lines
    file = site.folder / "export.jws"
    file.write_text(exported.out)
    assert site.desk.run("verify", file).code == 0
    file.write_text("".join(line + "\n" for line in [*lines[:2], *lines[3:]]))
    assert "line 3: gap: 3 to 3 are missing" in site.desk.run("verify", file).out
