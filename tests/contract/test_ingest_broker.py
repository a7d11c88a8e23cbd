"""Ingest and the broker as outsiders meet them: a real mosquitto with the generated files, mutual TLS, real processes.

Nothing is mocked: the agency's programs run as ``python -m agency``, stations are paho clients and Debian's
``mosquitto_pub`` and ``mosquitto_sub`` with certificates from real grants.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agency.broker.topics import topic
from agency.desk.authority import Authority, KeyPair
from agency.home import Home
from agency.store import chains
from agency.store.database import Database
from agency.store.events import Selection, select_events
from appliance.events.document import Document
from appliance.events.receipt import Receipt
from appliance.events.roster import Roster
from appliance.events.sign import KeySet
from tests.unit.agency.fleet import AGENCY, DAY, Desk, Pupil, Station, jws_hash, traces, visits

PUPILS = [Pupil.make(number) for number in range(8)]
SERVER_SAYS = 10.0
T = TypeVar("T")


def wait_until(question: Callable[[], T | None], seconds: float = SERVER_SAYS) -> T:
    """Return the first truthy answer."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.02)
    assert answer, "it did not happen in time"
    return answer


@dataclass
class Running:
    """A program of the agency, with what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self, words: str) -> bool:
        return words in self.log.read_text("utf-8")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SERVER_SAYS)


@dataclass
class Device:
    """A station's own MQTT client, by paho, with the certificate of its grant.

    Args:
        client_id: what it calls itself; the broker must not believe it.
    """

    site: "Site"
    station: Station
    client_id: str
    received: list[tuple[str, bytes]] = field(default_factory=list)
    answers: dict[int, ReasonCode] = field(default_factory=dict)
    disconnections: list[str] = field(default_factory=list)

    def connect(self) -> "Device":
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=MQTTv5)
        ca, certificate, key = map(str, self.site.credentials(self.station.id))
        client.tls_set(ca, certificate, key)
        client.on_message = lambda _, __, message: self._on_message(message)
        client.on_publish = self._on_publish
        client.on_disconnect = lambda *a: self.disconnections.append(str(a[3]))
        client.connect("localhost", self.site.port, clean_start=True)
        client.loop_start()
        wait_until(client.is_connected)
        self.client = client
        return self

    def _on_message(self, message: MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))

    def _on_publish(self, _: Client, __: Any, number: int, code: ReasonCode, ___: Properties | None) -> None:
        self.answers[number] = code

    def subscribe(self, *topics: str) -> "Device":
        for name in topics:
            self.client.subscribe(name, qos=1)
        return self

    def publish(self, name: str, payload: str | bytes, retain: bool = False) -> ReasonCode:
        info = self.client.publish(name, payload, qos=1, retain=retain)
        wait_until(lambda: info.mid in self.answers)
        return self.answers[info.mid]

    def send(self, *lines: str) -> ReasonCode:
        return self.publish(topic(AGENCY, self.station.id, "event"), "\n".join(lines))

    def receipts(self) -> list[Receipt]:
        name = topic(AGENCY, self.station.id, "receipt")
        keys = KeySet(self.site.desk.home.public_keys())
        return [Receipt.open(p.decode(), keys, self.station.id) for t, p in self.received if t == name]

    def wait_receipt(self, through: int) -> Receipt:
        return wait_until(lambda: next((r for r in self.receipts() if r.through == through), None))


@dataclass
class Site:
    """One agency on this machine: home, broker, fleet."""

    desk: Desk
    port: int
    folder: Path
    programs: list[Running] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)

    def start(self, name: str, *command: str) -> Running:
        log = self.folder / f"{name}-{len(self.programs)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        self.programs.append(Running(process, log))
        return self.programs[-1]

    def start_broker(self) -> Running:
        broker = self.start("mosquitto", "/usr/sbin/mosquitto", "-c", str(self.desk.home.broker / "mosquitto.conf"))
        wait_until(lambda: is_open(self.port))
        return broker

    def start_ingest(self) -> Running:
        worker = self.start("ingest", sys.executable, "-m", "agency", "ingest", "--home", str(self.desk.home.path))
        wait_until(lambda: worker.said("connected to the broker"))
        time.sleep(0.1)  # the subscription follows the connection
        return worker

    def enrol(self, station_id: str) -> Station:
        station = Station(station_id)
        grant = self.desk.enrol(station, self.folder)
        (self.folder / f"{station_id}.pem").write_text(grant["certificate"])
        (self.folder / f"{station_id}.key").write_bytes(station.tls_key_pem())
        (self.folder / "ca.pem").write_text(grant["ca"])
        return station

    def credentials(self, name: str) -> tuple[Path, Path, Path]:
        return self.folder / "ca.pem", self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def device(self, station: Station, client_id: str = "") -> Device:
        self.devices.append(Device(self, station, client_id or station.id).connect())
        return self.devices[-1]

    def listening(self, station: Station) -> Device:
        device = self.device(station).subscribe(topic(AGENCY, station.id, "receipt"))
        time.sleep(0.1)
        return device

    def tool(self, program: str, station: Station, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        ca, certificate, key = map(str, self.credentials(station.id))
        files = ("--cafile", ca, "--cert", certificate, "--key", key)
        command = (program, "-h", "localhost", "-p", str(self.port), "-V", "5", *files, "-q", "1", *arguments)
        return subprocess.run(command, capture_output=True, timeout=20, check=False)

    def rows(self) -> list[chains.Event]:
        with Database.open(self.desk.home.database) as database, database.read() as connection:
            return select_events(connection, Selection())

    def stop(self) -> None:
        for device in self.devices:
            device.client.disconnect()
            device.client.loop_stop()
        for program in self.programs:
            if program.process.poll() is None:
                program.kill()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    desk = Desk(Home(tmp_path / "home"), capsys)
    port = free_port()
    assert desk.run("init", "--agency", AGENCY, "--port", port).code == 0
    made = Site(desk, port, tmp_path)
    made.start_broker()
    try:
        yield made
    finally:
        made.stop()


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


def test_a_second_station_reaches_nothing_of_the_first(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    site.start_ingest()
    spy = site.device(second).subscribe("#", "cs/1/obec/bkk-001/receipt", "cs/1/obec/bkk-001/document/#")
    device = site.listening(first)
    line = first.started()
    for leaf in ("event", "status", "receipt", "query", "reply", "command", "document/roster"):
        assert spy.publish(topic(AGENCY, "bkk-001", leaf), line).getName() == "Not authorized", leaf
    assert spy.publish(topic(AGENCY, "cnx-002", "receipt"), line).is_failure
    assert site.rows() == []
    device.send(line)
    device.wait_receipt(1)
    assert spy.received == []


def test_debians_tools_with_the_second_certificate_reach_nothing_either(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    worker = site.start_ingest()
    sent = site.tool("mosquitto_pub", second, "-t", topic(AGENCY, "bkk-001", "event"), "-m", first.started())
    assert b"Not authorized" in sent.stderr + sent.stdout
    site.listening(first).send(first.visit(PUPILS[1]))
    got = site.tool("mosquitto_sub", second, "-t", topic(AGENCY, "bkk-001", "receipt"), "-C", "1", "-W", "2")
    assert (got.returncode, got.stdout) == (27, b"")
    assert not worker.said("dropped")


def test_another_client_id_does_not_take_over(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    site.start_ingest()
    victim = site.listening(first)
    site.device(second, client_id="bkk-001")
    time.sleep(0.3)
    assert victim.disconnections == []
    victim.send(first.started())
    victim.wait_receipt(1)


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_without_a_certificate_of_this_agency_nobody_gets_in(site: Site, who: str) -> None:
    site.enrol("bkk-001")
    client = Client(CallbackAPIVersion.VERSION2, client_id="bkk-001", protocol=MQTTv5)
    connected: list[object] = []
    client.on_connect = lambda *_: connected.append(1)
    if who == "nobody":
        client.tls_set(str(site.folder / "ca.pem"))
    else:
        pair = Authority(strangers_ca()).client("bkk-001")
        (site.folder / "x.pem").write_bytes(pair.certificate)
        (site.folder / "x.key").write_bytes(pair.key)
        client.tls_set(str(site.folder / "ca.pem"), str(site.folder / "x.pem"), str(site.folder / "x.key"))
    with contextlib.suppress(ssl.SSLError, OSError):
        client.connect("localhost", site.port)
        end = time.monotonic() + 2
        while time.monotonic() < end and client.loop(0.1) == 0:
            pass
    assert connected == []


def strangers_ca() -> KeyPair:
    return Authority.create(AGENCY)  # the same name, another key


def test_duplicates_are_answered_and_stored_once(site: Site) -> None:
    station = site.enrol("bkk-001")
    site.start_ingest()
    device = site.listening(station)
    lines = visits(station, 2)
    device.send(*lines)
    device.wait_receipt(3)
    device.send(*lines)
    wait_until(lambda: len(device.receipts()) == 2)
    assert device.receipts()[1].through == 3
    assert len(site.rows()) == 3


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
    assert {problem["code"] for problem in audited.json()["problems"]} == {"fork", "quarantine"}


def test_a_retained_event_is_ignored_and_reported(site: Site) -> None:
    station = site.enrol("bkk-001")
    device = site.device(station)
    device.publish(topic(AGENCY, "bkk-001", "event"), station.started(), retain=True)
    worker = site.start_ingest()
    wait_until(lambda: worker.said("ignored a retained event"))
    assert site.rows() == []
    device.publish(topic(AGENCY, "bkk-001", "event"), "x", retain=True)
    wait_until(lambda: worker.log.read_text().count("ignored a retained event") == 2)


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
        held = [row.jws for row in chains.chain_rows(connection, station.next.chain)]
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
    pushed = site.desk.run("roster", "push", "--broker", f"localhost:{free_port()}")
    assert pushed.code == 7
    assert "no broker at localhost" in pushed.err


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


def edit(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def test_the_grant_leads_a_station_to_this_broker(site: Site) -> None:
    station = Station("bkk-009")
    grant = site.desk.enrol(station, site.folder)
    assert grant["broker"] == {"host": "localhost", "port": site.port}
    assert json.dumps(grant).count("PRIVATE") == 0


LEAVES = ("event", "status", "query", "reply", "answer", "receipt", "document/roster", "command")
MAY_WRITE = {
    "bkk-001": {"event", "status", "query", "reply"},
    "agency-ingest": {"receipt", "answer"},
    "agency-desk": {"document/roster", "command"},
}
MAY_READ = {
    "bkk-001": {"answer", "receipt", "document/roster", "command"},
    "agency-ingest": {"event", "status"},
    "agency-desk": {"status", "reply"},
}


def members(site: Site) -> dict[str, Device]:
    """One client for each kind of user, each listening to everything of the station."""
    station = site.enrol("bkk-001")
    for user in ("agency-ingest", "agency-desk"):
        for kind in ("pem", "key"):
            (site.folder / f"{user}.{kind}").write_bytes((site.desk.home.tls / f"{user}.{kind}").read_bytes())
    users = [station, Station("agency-ingest"), Station("agency-desk")]
    return {user.id: site.device(user).subscribe("cs/1/obec/bkk-001/#") for user in users}


def test_each_user_writes_and_reads_what_is_its_own_and_nothing_else(site: Site) -> None:
    everybody = members(site)
    time.sleep(0.2)
    for user, device in everybody.items():
        for leaf in LEAVES:
            answer = device.publish(topic(AGENCY, "bkk-001", leaf), f"{user} {leaf}")
            assert answer.is_failure is (leaf not in MAY_WRITE[user]), (user, leaf, answer)
    time.sleep(0.3)
    for user, device in everybody.items():
        heard = {name.removeprefix("cs/1/obec/bkk-001/") for name, _ in device.received}
        assert heard == MAY_READ[user], user


def test_a_message_over_the_broker_s_limit_is_refused(site: Site) -> None:
    station = site.enrol("bkk-001")
    device = site.device(station)
    device.client.publish(topic(AGENCY, "bkk-001", "event"), b"x" * 270_000, qos=1)
    wait_until(lambda: device.disconnections)


def test_a_bundle_over_32_kib_is_dropped_and_the_next_one_taken(site: Site) -> None:
    station = site.enrol("bkk-001")
    worker = site.start_ingest()
    device = site.listening(station)
    device.publish(topic(AGENCY, "bkk-001", "event"), b"x" * 40_000)
    wait_until(lambda: worker.said("dropped: the bundle is over 32 KiB"))
    device.send(station.started())
    device.wait_receipt(1)


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
    site.start_ingest()
    station = site.enrol("bkk-001")
    device = site.listening(station)
    device.send(station.started())
    device.wait_receipt(1)
    assert site.desk.run("station", "revoke", "bkk-001").code == 0
    device.send(station.visit(PUPILS[0]))
    assert device.wait_receipt(2).quarantined == [{"sequence": 2, "code": "revoked"}]
    assert [row.sequence for row in site.rows()] == [1]


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
