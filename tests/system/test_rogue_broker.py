"""A broker that lies, floods or refuses: it can hold events up, and that shows; it can never make one disappear."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agency.broker.topics import topic
from appliance.link.mqtt import WAITING_BYTES, Breach, Connected, Disconnected, Received
from appliance.link.reasons import SESSION_TAKEN_OVER
from tests.contract.line_bench import ID, Bench, bench_in
from tests.system.rogue_broker import Rogue, Visitor, rogue_with
from tests.system.test_link_process import Box
from tests.unit.agency.fleet import AGENCY
from tests.unit.agency.site import Running, wait_until

RECEIPT = topic(AGENCY, ID, "receipt")
ROSTER = topic(AGENCY, ID, "document/roster")
COMMAND = topic(AGENCY, ID, "command")
MIB = 1 << 20


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    with bench_in(tmp_path, capsys) as made:
        yield made


@pytest.fixture
def rogue(bench: Bench) -> Iterator[Rogue]:
    with rogue_with(bench.site.desk.home.tls) as made:
        bench.address = replace(bench.address, port=made.port)
        yield made


@pytest.fixture
def box(bench: Bench, rogue: Rogue) -> Iterator[Box]:
    bench.site.port, real = rogue.port, bench.site.port
    made = Box(bench)
    bench.site.port = real
    yield made
    made.outbox.close()
    made.systemd.close()


def rss_bytes(link: Running) -> int:
    status = Path(f"/proc/{link.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


def status_of(box: Box) -> dict[str, object]:
    command = [sys.executable, "-m", "appliance.cli", "--config", str(box.config), "status", "--json"]
    environ = {**os.environ, "STATE_DIRECTORY": str(box.state), "RUNTIME_DIRECTORY": str(box.runtime)}
    ran = subprocess.run(command, env=environ, capture_output=True, check=False)
    found: dict[str, object] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(("protocol", "times"), [("5", 1), ("3.1.1", 2)])
def test_a_broker_that_acknowledges_everything_and_stores_nothing_empties_no_queue(
    box: Box, rogue: Rogue, protocol: str, times: int
) -> None:
    box.config.write_text(box.config.read_text() + f'protocol = "{protocol}"\n')
    box.append(40)
    link = box.start()
    wait_until(lambda: sum(bundle.count(b"\n") + 1 for bundle in rogue.bundles) >= 40 * times, 25)
    assert box.through() == 0
    backlog = status_of(box)["backlog"]
    assert isinstance(backlog, dict)
    assert backlog["count"] == 40
    assert backlog["oldest_s"] > 0
    assert len(list(box.outbox.rows())) == 40
    assert link.process.poll() is None


@pytest.mark.parametrize("reason", [0x86, 0x87, 0x84, 0x97])
def test_a_refused_connection_is_told_with_its_reason_and_not_tried_again_at_once(
    bench: Bench, rogue: Rogue, reason: int
) -> None:
    rogue.answer = reason
    ours = bench.line()
    assert ours.wait(Disconnected).reason == reason
    time.sleep(0.3)
    assert [one.reason for one in ours.all(Disconnected)] in ([reason], [reason, 0])
    assert ours.all(Connected) == []
    assert rogue.connections == 1


def test_a_twin_that_was_put_out_stays_away(bench: Bench, rogue: Rogue) -> None:
    rogue.speech = lambda visitor: visitor.disconnect(SESSION_TAKEN_OVER)
    ours = bench.connected()
    ours.line.subscribe([RECEIPT])
    assert ours.wait(Disconnected).reason == SESSION_TAKEN_OVER
    time.sleep(4)  # the usual first pause is 1 to 3 s
    assert rogue.connections == 1
    assert ours.line.is_alive()


def test_a_message_of_hundreds_of_megabytes_is_not_read(bench: Bench, rogue: Rogue) -> None:
    def promise_much(visitor: Visitor) -> None:
        visitor.tls.sendall(visitor.header(0x32, 200 * MIB))
        for _ in range(200):
            visitor.tls.sendall(bytes(MIB))

    rogue.speech = promise_much
    ours = bench.connected()
    ours.line.subscribe([RECEIPT])
    assert ours.wait(Breach).alarm == "oversized_message"
    assert ours.all(Received) == []
    assert len(ours.line._client._in_packet["packet"]) < MIB
    ours.wait(Connected, 2)  # and it tries again


def test_messages_of_qos_2_are_not_kept(bench: Bench, rogue: Rogue) -> None:
    def flood(visitor: Visitor) -> None:
        for mid in range(1, 1000):
            visitor.publish(RECEIPT, bytes(100_000), qos=2, mid=mid)

    rogue.speech = flood
    ours = bench.connected()
    ours.line.subscribe([RECEIPT])
    assert ours.wait(Breach).alarm == "unasked_message"
    assert len(ours.line._client._in_messages) <= 1
    ours.wait(Connected, 2)


def test_what_the_loop_has_no_time_for_waits_at_the_broker_and_nothing_is_dropped(bench: Bench, rogue: Rogue) -> None:
    def flood(visitor: Visitor) -> None:
        for number in range(60):
            visitor.publish(ROSTER, b"%03d" % number + bytes(250_000), mid=number + 1)

    rogue.speech = flood
    ours = bench.connected()
    ours.line.subscribe([ROSTER])
    time.sleep(1.5)
    assert ours.line.is_alive()
    assert WAITING_BYTES <= ours.line._received_bytes <= WAITING_BYTES + 512 * 1024
    wait_until(lambda: len(ours.payloads()) == 60, 20)
    assert [int(payload[:3]) for payload in ours.payloads()] == list(range(60))


def test_a_flood_of_receipts_and_documents_costs_little_memory_and_no_event(box: Box, rogue: Rogue) -> None:
    go_on = threading.Event()

    def flood(visitor: Visitor) -> None:
        go_on.wait(20)
        for number in range(12_000):
            visitor.publish(RECEIPT, b"a.b." + b"c" * 1000, mid=number + 1)
        for number in range(100):
            visitor.publish(ROSTER, b"." * 250_000, mid=number + 1)
        visitor.publish(COMMAND, b"the end", mid=7)

    rogue.speech = flood
    link = box.start()
    wait_until(lambda: link.said("connected"))
    time.sleep(0.5)
    before = most = rss_bytes(link)
    box.append(3)
    go_on.set()
    end_s = time.monotonic() + 40
    while not link.said("ignored a command") and time.monotonic() < end_s:
        most = max(most, rss_bytes(link))
        time.sleep(0.05)
    assert link.said("ignored a command")
    assert most - before <= 10 * MIB
    wait_until(lambda: rogue.bundles, 15)
    assert link.process.poll() is None
    assert link.log.stat().st_size < 20_000


HANGS = """
import threading, sys
from pathlib import Path
from appliance.config import load
from appliance.link import mqtt, network_thread
from appliance.run import link
network_thread.TURN_PATIENCE_S = 1.0
mqtt.MqttLine._on_subscribe = lambda *_: threading.Event().wait()
link.main(load(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_network_thread_that_hangs_while_connected_ends_the_process(box: Box, rogue: Rogue) -> None:
    link = box.bench.site.start(
        "hanging", sys.executable, "-c", HANGS, str(box.config), str(box.state), str(box.runtime)
    )
    assert link.process.wait(15) != 0
    assert link.said("the network thread died or hangs")
    assert rogue.connections == 1
