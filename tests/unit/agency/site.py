"""One agency on this machine for the tests: its home, a real mosquitto, real processes, stations with certificates.

Stations are paho clients and Debian's ``mosquitto_pub`` and ``mosquitto_sub``, with the certificates of real grants.
"""

import contextlib
import os
import signal
import socket
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
from agency.home import Home
from agency.store import chains
from agency.store.database import Database
from agency.store.events import Selection, select_events
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet
from tests.unit.agency.fleet import AGENCY, Desk, Station

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
        client.connect("127.0.0.1", self.site.port, clean_start=True)
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
        command = (program, "-h", "127.0.0.1", "-p", str(self.port), "-V", "5", *files, "-q", "1", *arguments)
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


@contextlib.contextmanager
def running(folder: Path, capture: pytest.CaptureFixture[str]) -> Iterator[Site]:
    """A new agency with its broker up; at the end everything is stopped."""
    desk = Desk(Home(folder / "home"), capture)
    port = free_port()
    assert desk.run("init", "--agency", AGENCY, "--port", port).code == 0
    made = Site(desk, port, folder)
    try:
        made.start_broker()
        yield made
    finally:
        made.stop()
