"""``card-station link`` as a process of its own: a real mosquitto, a real ingest, a state database with real events."""

import json
import os
import signal
import socket
import sys

import pytest

from agency.broker.topics import topic
from appliance.events.chain import Position
from appliance.events.schema import STATUS
from appliance.outbox.delivery import Delivery
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import AGENCY_KEYS
from appliance.run.nudge import Nudge
from tests.contract.line_bench import ID, Bench
from tests.unit.agency.fleet import AGENCY, Pupil
from tests.unit.agency.site import Device, Running, wait_until
from tests.unit.outbox.test_store import AT

STATUS_TOPIC = topic(AGENCY, ID, "status")


class Box:
    """A station's state directory with its outbox, and the link process on it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.state, self.runtime = bench.site.folder / "state", bench.site.folder / "run"
        (self.state / "tls").mkdir(parents=True)
        self.runtime.mkdir()
        for source, name in zip(bench.site.credentials(ID), ("ca.pem", "station.pem", "station.key"), strict=True):
            (self.state / "tls" / name).write_bytes(source.read_bytes())
        (self.state / AGENCY_KEYS).write_text(json.dumps({"keys": bench.site.desk.home.public_keys()}))
        self.config = bench.site.folder / "station.toml"
        text = f'[station]\nid = "{ID}"\nagency = "{AGENCY}"\n[link]\nhost = "127.0.0.1"\nport = {bench.site.port}\n'
        self.config.write_text(text)
        nudge = Nudge(self.runtime)
        self.outbox = Outbox.open(self.state / DATABASE_NAME, create=True, on_append=nudge)
        self.outbox.start_chain(bench.station.signer.kid, AT.time)
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(self.runtime / "notify"))
        self.systemd.settimeout(10)

    def build(self, position: Position) -> str:
        self.bench.station.next = position
        if position.sequence == 1:
            return self.bench.station.started()
        return self.bench.station.visit(Pupil.make(position.sequence))

    def append(self, count: int) -> None:
        for _ in range(count):
            self.outbox.append(self.build)

    def start(self, *more: str) -> Running:
        places = {"STATE_DIRECTORY": self.state, "RUNTIME_DIRECTORY": self.runtime}
        environ = [*(f"{name}={value}" for name, value in places.items()), *more]
        command = (sys.executable, "-m", "appliance.cli", "--config", str(self.config), "link")
        return self.bench.site.start("link", "env", *environ, *command)

    def through(self) -> int:
        delivery = Delivery.open(self.state / DATABASE_NAME)
        try:
            return delivery.standing().through
        finally:
            delivery.close()

    def wait_through(self, sequence: int, seconds: float = 20) -> None:
        wait_until(lambda: self.through() == sequence, seconds)

    def hear(self) -> str:
        return self.systemd.recv(4096).decode()


def last_status(device: Device) -> dict[str, object]:
    status: dict[str, object] = json.loads(wait_until(lambda: device.received)[-1][1])
    STATUS.check(status)
    return status


def test_a_backlog_is_delivered_and_a_nudge_brings_the_next_event_at_once(box: Box) -> None:
    box.append(70)
    box.bench.site.start_ingest()
    box.start()
    box.wait_through(70)
    box.append(1)
    wait_until(lambda: len(box.bench.site.rows()) == 71, 3)  # without the nudge it would take up to five seconds
    box.wait_through(71)
    assert [row.jws for row in box.bench.site.rows()] == [row.jws for row in box.outbox.rows()]


def test_systemd_hears_ready_alive_and_stopping_and_the_agency_hears_maintenance(box: Box) -> None:
    desk = box.bench.agency("agency-desk", STATUS_TOPIC)
    link = box.start(f"NOTIFY_SOCKET={box.runtime / 'notify'}")
    assert box.hear().startswith("READY=1\n")
    assert {box.hear() for _ in range(3)} == {"WATCHDOG=1"}
    assert last_status(desk)["state"] == "degraded"
    assert link.end() == 0
    wait_until(lambda: last_status(desk)["state"] == "maintenance")
    box.systemd.setblocking(False)
    heard = list[str]()
    while not heard or heard[-1] != "STOPPING=1":
        heard.append(box.hear())
    assert not link.said("Traceback")


def test_a_link_that_is_killed_in_mid_drain_loses_and_doubles_nothing(box: Box) -> None:
    box.append(150)
    box.bench.site.start_ingest()
    link = box.start()
    wait_until(lambda: box.through() > 0, 20)
    link.kill()
    box.append(10)
    box.start()
    box.wait_through(160)
    assert [row.jws for row in box.bench.site.rows()] == [row.jws for row in box.outbox.rows()]


def test_a_broker_that_dies_and_comes_back_costs_nothing(box: Box) -> None:
    box.append(5)
    ingest = box.bench.site.start_ingest()
    link = box.start()
    box.wait_through(5)
    box.bench.site.programs[0].kill()
    box.append(5)
    box.bench.site.start_broker()
    wait_until(lambda: ingest.log.read_text().count("connected to the broker") == 2, 20)
    box.wait_through(10, 30)
    assert link.process.poll() is None


def test_a_link_that_dies_is_said_to_be_lost_and_the_next_one_takes_it_back(box: Box) -> None:
    desk = box.bench.agency("agency-desk", STATUS_TOPIC)
    link = box.start()
    first = last_status(desk)
    os.kill(link.process.pid, signal.SIGKILL)
    wait_until(lambda: last_status(desk)["state"] == "lost")
    assert last_status(desk)["boot"] == first["boot"]
    box.start()
    wait_until(lambda: last_status(desk)["state"] == "degraded")
    assert last_status(desk)["boot"] == 2


def test_garbage_from_the_broker_does_not_end_it(box: Box) -> None:
    ingest = box.bench.agency("agency-ingest")
    desk = box.bench.agency("agency-desk")
    for garbage in (b"", b"\xff" * 5000, b"a.b.c", b"." * 100_000):
        ingest.publish(topic(AGENCY, ID, "receipt"), garbage, retain=True)
        desk.publish(topic(AGENCY, ID, "document/roster"), garbage, retain=True)
        desk.publish(topic(AGENCY, ID, "document/x/y"), garbage, retain=True)
    ingest.client.disconnect()  # the real one has the same name
    link = box.start()
    wait_until(lambda: link.said("refused a receipt") and link.said("refused a document"), 20)
    box.bench.site.start_ingest()
    box.append(1)
    box.wait_through(1, 30)
    assert link.process.poll() is None
    assert not link.said("Traceback")


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [("tls/station.key", 7, "D00"), ("tls/ca.pem", 7, "D00"), (str(AGENCY_KEYS), 78, "F01"), ("station.db", 78, "F01")],
)
def test_without_its_papers_it_says_what_to_do_and_ends(box: Box, file: str, code: int, words: str) -> None:
    (box.state / file).unlink()
    link = box.start()
    assert link.process.wait(20) == code
    assert link.said(f"card-station: {words}: ")
    assert link.said("card-station enrol")
    assert not link.said("Traceback")
