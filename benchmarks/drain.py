"""How fast a backlog drains: 20,000 events from a real outbox through TLS Mosquitto to signed receipts.

    .venv/bin/python benchmarks/drain.py [--events N]

Everything is real and runs as on its own machine: broker with mutual TLS, ``card-agency ingest`` with its database
(one fsync a batch), ``card-station link`` with the state database. The events were made and signed before.

Beside it, in the same run on the same broker, stands a bare paho loop as it is written everywhere: an event a message,
QoS 1, as many events in flight as the link's window lets out; at the far side a paho subscriber that does nothing
(``bare``). Both ends at the last event's arrival there, as the link's ends at its receipt here; but nobody verifies,
nothing is committed, nothing is said in return. This is what the link is held against. Three more rows say where the
limits are: without any subscriber, the broker throwing all away (``bare, nobody listens``), with our ingest for a
subscriber at its own pace (``bare, ingest listens``), and with the very same bundles that the link sends, which nobody
would write (``bare, bundles``). Ratios are of events/s.

The link's rate is taken from the first receipt to the last, so that neither its start nor its TLS handshake counts.
CPU is what each process used for an event, user and system. RSS is the link's peak, and what it is above the same
process without a backlog.
"""

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from agency.broker.configuration import INGEST_USER
from agency.home import Home
from agency.ingest.receipts import share
from appliance.events.agency_keys import AgencyKeys
from appliance.link.bundle import MAX_BUNDLE_EVENTS, first_bundle
from appliance.outbox.delivery import Delivery
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import agency_keys, event_signer
from appliance.simulate.pcscd import PRIVATE
from appliance.simulate.product import AGENCY, PORT, Product

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from benchmarks.visits import Visitors  # noqa: E402

NEAR = 0.7
WINDOW = share(1)  # what a lone station is granted
MOST_RSS_MB = 10.0
_SETTLE_S = 6.0
_LOOK_EVERY_S = 0.05
_STALLED_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PROGRAMS = ("link", "broker", "ingest")


@dataclass(frozen=True)
class Drained:
    """What one drain came to.

    Args:
        rate: events per second.
        cpu_us: of each program, for an event.
        rss_mb: the link's peak.
    """

    rate: float
    cpu_us: dict[str, float]
    rss_mb: float = 0.0


# --- what is drained ---


def fill(product: Product, events: int) -> None:
    """Put ``events`` visits into the station's outbox; only this is not flushed each time."""
    keys = AgencyKeys.enrolled(agency_keys(product.state)).sealing
    visitors = Visitors(AGENCY, product.station_id, event_signer(product.state), keys)
    with closing(Outbox.open(product.state / DATABASE_NAME)) as outbox:
        outbox._db.execute("PRAGMA synchronous = OFF")
        for _ in range(events):
            outbox.append(visitors.event)


def messages(state: Path, most: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number of events, payload) of each message that publishes the backlog with at most so many events."""
    with closing(Delivery.open(state / DATABASE_NAME)) as delivery:
        after = delivery.standing().through
        while bundle := first_bundle(delivery.events(after, most)):
            yield len(bundle), "\n".join(jws for _, jws in bundle).encode()
            after = bundle[-1][0]


# --- what a process costs ---


class Meter:
    """Reads what running programs have used so far, from ``/proc``."""

    def __init__(self, product: Product) -> None:
        self._pids = {name: process.pid for name, process in product.processes.items() if name in _PROGRAMS}
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def cpu_us(self, events: int) -> dict[str, float]:
        """Return microseconds of the processor for each of ``events``, by program."""
        return {name: (cpu_s(pid) - self._before[name]) / events * 1e6 for name, pid in self._pids.items()}


def cpu_s(pid: int) -> float:
    """Return the seconds of the processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(pid: int, kind: str = "VmRSS") -> float:
    """Return the resident memory of a process, or its peak (``VmHWM``)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


# --- the bare loop ---


class BareLoop:
    """paho and nothing else.

    Args:
        product: whose broker, and with whose certificate.
        window: events that may wait for their PUBACK.
    """

    def __init__(self, product: Product, window: int) -> None:
        self._topic = f"cs/1/{AGENCY}/{product.station_id}/event"
        self._window, self._waiting = window, deque[int]()  # events of each message without PUBACK, which come in order
        self._change = threading.Condition()
        self._is_up = threading.Event()
        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id=product.station_id, protocol=MQTTv5)
        tls = product.state / "tls"
        client.tls_set(str(tls / "ca.pem"), str(tls / "station.pem"), str(tls / "station.key"))
        client.max_inflight_messages_set(window)
        client.on_connect = lambda *_: self._is_up.set()
        client.on_publish = self._on_publish
        client.connect("127.0.0.1", PORT)
        client.loop_start()
        if not self._is_up.wait(10):
            raise TimeoutError("no broker")

    def _on_publish(self, *_: Any) -> None:
        with self._change:
            self._waiting.popleft()
            self._change.notify()

    def publish(self, sent: Sequence[tuple[int, bytes]]) -> float:
        """Publish all, wait for every PUBACK, and return the seconds that took."""
        start_s = time.perf_counter()
        for events, payload in sent:
            with self._change:
                while sum(self._waiting) + events > self._window:
                    self._change.wait()
                self._waiting.append(events)
            self._client.publish(self._topic, payload, qos=1)  # not under the lock: paho calls back under its own
        with self._change:
            self._change.wait_for(lambda: not self._waiting)
        return time.perf_counter() - start_s

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()


def drain_bare(product: Product, sent: Sequence[tuple[int, bytes]]) -> Drained:
    """Let the bare loop publish all of it, and wait for the broker alone."""
    events = sum(count for count, _ in sent)
    loop, meter = BareLoop(product, WINDOW), Meter(product)
    try:
        taken_s = loop.publish(sent)
    finally:
        loop.close()
    return Drained(events / taken_s, meter.cpu_us(events))


def drain_to_subscriber(product: Product, sent: Sequence[tuple[int, bytes]]) -> Drained:
    """Let the bare loop publish all of it, and wait until a bare subscriber, in a process of its own, has it."""
    command = [sys.executable, __file__, "--subscribe", str(len(sent)), str(product.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout is not None
        _expect(subscriber.stdout, "listening")
        loop, meter = BareLoop(product, WINDOW), Meter(product)
        try:
            start_s = time.perf_counter()
            loop.publish(sent)
            _expect(subscriber.stdout, "done")
            taken_s = time.perf_counter() - start_s
        finally:
            loop.close()
            subscriber.terminate()
    return Drained(len(sent) / taken_s, meter.cpu_us(len(sent)))


def _expect(said: IO[str], word: str) -> None:
    if said.readline().strip() != word:
        raise RuntimeError(f"the bare subscriber ended before it was {word}")


def subscribe(messages: int, home: Path) -> None:
    """Be the bare subscriber: print a line when listening, and one when that many messages came."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=INGEST_USER, protocol=MQTTv5)
    own, came = Home(home), count(1)
    client.tls_set(str(own.public / "ca.pem"), str(own.tls / f"{INGEST_USER}.pem"), str(own.tls / f"{INGEST_USER}.key"))

    def on_connect(*_: Any) -> None:
        client.subscribe(f"cs/1/{AGENCY}/+/event", qos=1)

    def on_message(*_: Any) -> None:
        if next(came) == messages:
            print("done", flush=True)

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: print("listening", flush=True)
    client.on_message = on_message
    client.connect("127.0.0.1", PORT)
    client.loop_forever()


# --- the link ---


def idle_rss_mb(product: Product) -> float:
    """Return the link's memory while there is nothing to send."""
    product.start("link")
    product.wait_for(lambda: _standing(product)[0] == _standing(product)[1], "the first receipt")
    time.sleep(_SETTLE_S)
    found = rss_mb(product.processes["link"].pid)
    product.kill("link")
    return found


def drain_by_link(product: Product, events: int) -> Drained:
    """Let the real link drain the outbox; return when the last receipt was taken."""
    before, head = _standing(product)
    product.start("link")
    product.wait_for(lambda: _standing(product)[0] > before, "the first receipt", 60.0)
    meter, first_s, first = Meter(product), time.perf_counter(), _standing(product)[0]
    last, last_s = first, first_s
    while last < head:
        time.sleep(_LOOK_EVERY_S)
        through, now_s = _standing(product)[0], time.perf_counter()
        if through > last:
            last, last_s = through, now_s
        elif now_s - last_s > _STALLED_S:
            raise TimeoutError(
                f"no receipt for {_STALLED_S:.0f} s at {through} of {head}; see {product.folder / 'log'}"
            )
    counted = head - first
    pid = product.processes["link"].pid
    return Drained(counted / (last_s - first_s), meter.cpu_us(counted), rss_mb(pid, "VmHWM"))


def _standing(product: Product) -> tuple[int, int]:
    """Return how far receipts reach, and the newest event."""
    path = product.state / DATABASE_NAME
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        found = database.execute("SELECT through, (SELECT max(sequence) FROM event) FROM delivery").fetchone()
    return int(found[0]), int(found[1])


# --- all of it ---


@contextmanager
def empty_store(product: Product) -> Iterator[None]:
    """Run the ingest on the store as it is now, and put that back at the end, unknown to everybody."""
    store, copy = product.home / "agency.sqlite3", product.folder / "store"
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    product.start("ingest")
    product.wait_for(lambda: "connected to the broker" in (product.folder / "log/ingest.log").read_text(), "the ingest")
    time.sleep(0.5)
    yield
    product.kill("ingest")
    for path in (store, Path(f"{store}-wal"), Path(f"{store}-shm"), product.home / "agency.reach"):
        path.unlink(missing_ok=True)
    shutil.move(copy, store)
    store.chmod(0o600)


def measure(product: Product, events: int) -> tuple[dict[str, Drained], float]:
    """Return what each drain came to, and the link's memory while idle in MB."""
    product.start("ingest")
    idle_mb = idle_rss_mb(product)
    product.kill("ingest")
    fill(product, events)
    singles, bundles = (list(messages(product.state, most)) for most in (1, MAX_BUNDLE_EVENTS))
    size_mb = sum(len(payload) for _, payload in singles) / 1e6
    print(f"{events} events, {size_mb:.1f} MB, {len(bundles)} bundles", flush=True)
    found = {"bare": drain_to_subscriber(product, singles)}
    found["bare, nobody listens"] = drain_bare(product, singles)
    with empty_store(product):
        found["bare, ingest listens"] = drain_bare(product, singles)
    found["bare, bundles"] = drain_bare(product, bundles)
    product.start("ingest")
    found["link to receipts"] = drain_by_link(product, events)
    return found, idle_mb


def report(found: dict[str, Drained], idle_mb: float) -> str:
    """Return the table and the targets."""
    head = f"{'':<22} {'events/s':>9} {'ratio':>6}" + "".join(f"{f'{name} us':>11}" for name in _PROGRAMS)
    lines, ours = [head], found["link to receipts"]
    for name, one in found.items():
        cpu = "".join(f"{one.cpu_us[each]:>11.0f}" if each in one.cpu_us else f"{'-':>11}" for each in _PROGRAMS)
        lines.append(f"{name:<22} {one.rate:>9.0f} {ours.rate / one.rate:>6.2f}{cpu}")
    above_mb, ratio = ours.rss_mb - idle_mb, ours.rate / found["bare"].rate
    wanted = [
        (
            above_mb <= MOST_RSS_MB,
            f"link RSS {ours.rss_mb:.1f} MB, {above_mb:.1f} above idle, at most {MOST_RSS_MB:.0f}",
        ),
        (ratio >= NEAR, f"{ratio:.2f} of the bare loop, at least {NEAR}"),
    ]
    return "\n".join([*lines, *(f"{'met    ' if is_met else 'NOT MET'}  {words}" for is_met, words in wanted)])


def main() -> None:
    """Go into a private network, measure, and print."""
    parser = argparse.ArgumentParser(description="how fast a backlog drains, and what a bare paho loop does")
    parser.add_argument("--events", type=int, default=20_000, help="in the backlog (20000)")
    parser.add_argument("--subscribe", nargs=2, metavar=("MESSAGES", "HOME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subscribe:
        subscribe(int(options.subscribe[0]), Path(options.subscribe[1]))
    if os.environ.get(PRIVATE) != "1":
        private = str(_ROOT / "scripts" / "private")
        sys.exit(subprocess.run([private, sys.executable, __file__, *sys.argv[1:]], check=False).returncode)
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.2f}", flush=True)
    (_ROOT / ".cache").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=_ROOT / ".cache") as folder,
        Product(Path(folder), members=(1,), is_virtual=False) as product,
    ):
        product.set_up()
        found, idle_mb = measure(product, options.events)
    print(f"{report(found, idle_mb)}\nload {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
