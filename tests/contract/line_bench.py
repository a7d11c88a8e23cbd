"""A line under test, the broker it talks to, and the agency's own clients on the far side. All of it is real."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from agency.broker.topics import topic
from appliance.link.address import Address
from appliance.link.mqtt import Acknowledged, Breach, Connected, Disconnected, Happening, MqttLine, Received, Subscribed
from tests.unit.agency.fleet import AGENCY, Station
from tests.unit.agency.site import Device, Site, running, wait_until

ID = "bkk-001"
EVENT = topic(AGENCY, ID, "event")
WILL = (topic(AGENCY, ID, "status"), b'{"state":"lost"}')
Kind = TypeVar("Kind", Connected, Disconnected, Acknowledged, Received, Subscribed, Breach)


@dataclass
class Ours:
    """A line, and everything that it told."""

    line: MqttLine
    told: list[Happening] = field(default_factory=list)

    def all(self, kind: type[Kind]) -> list[Kind]:
        self.told += self.line.take()
        return [one for one in self.told if isinstance(one, kind)]

    def wait(self, kind: type[Kind], number: int = 1) -> Kind:
        """Return the ``number``-th happening of a kind, once it came."""
        return wait_until(lambda: self.all(kind)[number - 1 : number], 20)[0]

    def answer(self, mid: int | None) -> int:
        """Return the reason code of the PUBACK of ``mid``."""
        assert mid is not None
        return wait_until(lambda: [one for one in self.all(Acknowledged) if one.mid == mid], 20)[0].reason

    def payloads(self) -> list[bytes]:
        return [one.payload for one in self.all(Received)]


class Bench:
    """A broker with one enrolled station."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.station = site.enrol(ID)
        self.address = Address("127.0.0.1", site.port, ID, *site.credentials(ID), 30)
        self.lines: list[MqttLine] = []

    def line(self, address: Address | None = None, wake: Callable[[], None] = lambda: None) -> Ours:
        """Start a line and do not wait for it."""
        line = MqttLine(address or self.address, WILL, wake)
        line.start()
        self.lines.append(line)
        return Ours(line)

    def connected(self) -> Ours:
        ours = self.line()
        ours.wait(Connected)
        return ours

    def agency(self, user: str, *topics: str) -> Device:
        """Return a client of the agency itself, ``agency-ingest`` or ``agency-desk``, that listens to ``topics``."""
        for kind in ("pem", "key"):
            (self.site.folder / f"{user}.{kind}").write_bytes((self.site.desk.home.tls / f"{user}.{kind}").read_bytes())
        device = Device(self.site, Station(user), user)
        self.site.devices.append(device.connect())
        if topics:
            agreed: list[int] = []
            device.client.on_subscribe = lambda *_: agreed.append(1)
            device.subscribe(*topics)
            wait_until(lambda: len(agreed) == len(topics))
        return device

    def copy(self, name: str, content: bytes) -> Path:
        path = self.site.folder / name
        path.write_bytes(content)
        return path


@contextmanager
def bench_in(folder: Path, capture: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    """A bench; at the end its lines and its broker are stopped."""
    with running(folder, capture) as site:
        made = Bench(site)
        try:
            yield made
        finally:
            for line in made.lines:  # paho takes up to a second, which nobody needs to wait for
                threading.Thread(target=line.stop, daemon=True).start()
