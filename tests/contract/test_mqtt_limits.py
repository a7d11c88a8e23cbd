"""What the broker says that it bears, and what a line bears: told at each connection anew, and kept to."""

import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agency.broker.topics import topic
from appliance.link.bounded_client import LARGEST_BYTES, MAX_IN_FLIGHT
from appliance.link.mqtt import WAITING_BYTES, WAITING_MESSAGES, Breach, Connected, Received
from tests.contract.line_bench import EVENT, ID, Bench, bench_in
from tests.system.rogue_broker import Rogue, Visitor, rogue_with
from tests.unit.agency.fleet import AGENCY
from tests.unit.agency.site import wait_until

ROSTER = topic(AGENCY, ID, "document/roster")
LARGEST_HEAD_BYTES = 1 + 4 + 2 + 2 + 1  # of a PUBLISH in MQTT 5, without its topic


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    with bench_in(tmp_path, capsys) as made:
        yield made


@pytest.fixture
def rogue(bench: Bench) -> Iterator[Rogue]:
    with rogue_with(bench.site.desk.home.tls) as made:
        bench.address = replace(bench.address, port=made.port)
        yield made


def at_most_in_flight(count: int) -> bytes:
    return b"\x21" + struct.pack("!H", count)


def at_most_bytes(count: int) -> bytes:
    return b"\x27" + struct.pack("!I", count)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", MAX_IN_FLIGHT),
        (at_most_in_flight(1), 1),
        (at_most_in_flight(7), 7),
        (at_most_in_flight(MAX_IN_FLIGHT + 1), MAX_IN_FLIGHT),
        (at_most_in_flight(65_535), MAX_IN_FLIGHT),
    ],
)
def test_no_more_is_in_flight_than_both_bear(bench: Bench, rogue: Rogue, said: bytes, told: int) -> None:
    rogue.limits = said
    assert bench.connected().told == [Connected(told)]


def test_a_message_over_the_broker_s_limit_is_not_taken_and_one_far_below_is(bench: Bench, rogue: Rogue) -> None:
    rogue.limits = at_most_bytes(1000)
    ours = bench.connected()
    assert ours.line.publish(EVENT, bytes(1001 - LARGEST_HEAD_BYTES - len(EVENT))) is None
    assert ours.answer(ours.line.publish(EVENT, bytes(900 - len(EVENT)))) == 0
    assert [len(bundle) for bundle in rogue.bundles] == [900 - len(EVENT)]


def test_a_limit_counts_for_its_own_connection_only(bench: Bench, rogue: Rogue) -> None:
    rogue.limits = at_most_bytes(1000)
    rogue.speech = lambda visitor: visitor.disconnect(0)
    ours = bench.connected()
    rogue.limits = b""
    ours.line.subscribe([ROSTER])
    ours.wait(Connected, 2)
    assert ours.answer(ours.line.publish(EVENT, bytes(100_000))) == 0


def test_the_largest_that_a_broker_may_send_is_taken(bench: Bench, rogue: Rogue) -> None:
    room = LARGEST_BYTES - LARGEST_HEAD_BYTES - len(ROSTER)
    rogue.speech = lambda visitor: visitor.publish(ROSTER, bytes(room))
    ours = bench.connected()
    ours.line.subscribe([ROSTER])
    assert len(ours.wait(Received).payload) == room
    assert ours.all(Breach) == []


def test_a_breach_is_told_once_and_the_next_connection_bears_none_of_it(bench: Bench, rogue: Rogue) -> None:
    def misbehave_once(visitor: Visitor) -> None:
        if rogue.connections == 1:
            visitor.tls.sendall(visitor.header(0x32, LARGEST_BYTES + 1))
        else:
            visitor.publish(ROSTER, b"in order")

    rogue.speech = misbehave_once
    ours = bench.connected()
    ours.line.subscribe([ROSTER])
    ours.wait(Connected, 2)
    ours.line.subscribe([ROSTER])
    assert ours.wait(Received).payload == b"in order"
    assert ours.all(Breach) == [Breach("oversized_message")]


def test_of_many_small_messages_too_only_so_many_are_held(bench: Bench, rogue: Rogue) -> None:
    def flood(visitor: Visitor) -> None:
        for number in range(4 * WAITING_MESSAGES):
            visitor.publish(ROSTER, b"%d" % number, mid=number + 1)

    rogue.speech = flood
    ours = bench.connected()
    ours.line.subscribe([ROSTER])
    wait_until(lambda: len(ours.line._happenings) >= WAITING_MESSAGES, 20)
    time.sleep(0.5)
    assert len(ours.line._happenings) < 2 * WAITING_MESSAGES
    wait_until(lambda: len(ours.payloads()) == 4 * WAITING_MESSAGES, 20)
    assert [int(payload) for payload in ours.payloads()] == list(range(4 * WAITING_MESSAGES))


def test_a_line_whose_loop_takes_nothing_ends_all_the_same(bench: Bench, rogue: Rogue) -> None:
    def flood(visitor: Visitor) -> None:
        for number in range(20):
            visitor.publish(ROSTER, bytes(250_000), mid=number + 1)

    rogue.speech = flood
    ours = bench.connected()
    ours.line.subscribe([ROSTER])
    wait_until(lambda: ours.line._received_bytes >= WAITING_BYTES)
    ours.line.stop()
    wait_until(lambda: not ours.line.is_alive())
