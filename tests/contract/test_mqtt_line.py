"""``MqttLine`` against a real mosquitto that runs the agency's generated configuration and ACL, with mutual TLS.

What happens on the line is told as happenings, in order, and never as an exception.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agency.broker.configuration import MAX_PACKET_BYTES
from agency.broker.topics import topic
from appliance.link import mqtt
from appliance.link.backoff import LONGEST_S, Backoff
from appliance.link.bounded_client import MAX_IN_FLIGHT
from appliance.link.mqtt import Acknowledged, Connected, Disconnected, MqttLine, Received
from appliance.link.reasons import NO_MATCHING_SUBSCRIBERS
from appliance.simulate.proxy import FaultProxy, Weather
from tests.contract.line_bench import EVENT, ID, WILL, Bench, Ours, bench_in
from tests.unit.agency.fleet import AGENCY
from tests.unit.agency.site import wait_until

NOT_AUTHORISED = 0x87
STATUS = topic(AGENCY, ID, "status")
RECEIPT = topic(AGENCY, ID, "receipt")
COMMAND = topic(AGENCY, ID, "command")
ROSTER = topic(AGENCY, ID, "document/roster")
OURS = [RECEIPT, topic(AGENCY, ID, "document/#"), COMMAND]

LINE_IN_A_PROCESS = """
import os, sys
from pathlib import Path
from appliance.link.address import Address
from appliance.link.mqtt import Connected, MqttLine
port, folder, way = sys.argv[1:]
files = [Path(folder, name) for name in ("ca.pem", "bkk-001.pem", "bkk-001.key")]
line = MqttLine(Address("127.0.0.1", int(port), "bkk-001", *files, 30), ("cs/1/obec/bkk-001/status", b"will"), int)
line.start()
while not any(isinstance(one, Connected) for one in line.take()):
    pass
print("connected", flush=True)
sys.stdin.readline()
os._exit(9) if way == "dies" else line.stop()
"""


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    with bench_in(tmp_path, capsys) as made:
        yield made


def test_it_connects_and_says_how_much_may_be_in_flight(bench: Bench) -> None:
    ours = bench.connected()
    assert ours.told == [Connected(in_flight=MAX_IN_FLIGHT)]
    assert ours.line.is_alive()


def test_what_was_taken_is_not_told_again(bench: Bench) -> None:
    ours = bench.connected()
    assert ours.line.take() == []


def test_a_line_lives_from_start_to_stop(bench: Bench) -> None:
    line = MqttLine(bench.address, WILL, lambda: None)
    assert not line.is_alive()
    line.start()
    assert line.is_alive()
    line.stop()
    assert not line.is_alive()


def test_every_happening_wakes_the_loop_from_another_thread(bench: Bench) -> None:
    threads: list[int] = []
    ours = bench.line(wake=lambda: threads.append(threading.get_ident()))
    ours.wait(Connected)
    ours.answer(ours.line.publish(EVENT, b"x"))
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_a_wake_that_fails_neither_kills_the_line_nor_hides_what_happened(bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("the loop is gone")

    ours = bench.line(wake=fail)
    ours.wait(Connected)
    ours.line.subscribe(OURS)
    bench.agency("agency-desk").publish(COMMAND, b"1")
    assert ours.wait(Received).payload == b"1"
    assert ours.answer(ours.line.publish(EVENT, b"2")) == NO_MATCHING_SUBSCRIBERS
    assert ours.line.is_alive()


def test_an_event_that_nobody_hears_is_acknowledged_and_says_so(bench: Bench) -> None:
    ours = bench.connected()
    assert ours.answer(ours.line.publish(EVENT, b"unheard")) == NO_MATCHING_SUBSCRIBERS


def test_an_event_that_ingest_hears_arrives_once_and_is_not_retained(bench: Bench) -> None:
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    ours = bench.connected()
    assert ours.answer(ours.line.publish(EVENT, b"\x00\xff" * 100)) == 0
    wait_until(lambda: ingest.received)
    late = bench.agency("agency-ingest", "cs/1/obec/+/event")
    time.sleep(0.2)
    assert (ingest.received, late.received) == ([(EVENT, b"\x00\xff" * 100)], [])


def test_a_status_is_retained_for_who_comes_later(bench: Bench) -> None:
    ours = bench.connected()
    ours.answer(ours.line.publish(STATUS, b"birth", retain=True))
    ours.answer(ours.line.publish(STATUS, b"later", retain=True))
    desk = bench.agency("agency-desk", STATUS)
    wait_until(lambda: desk.received)
    assert desk.received == [(STATUS, b"later")]


@pytest.mark.parametrize("forbidden", [RECEIPT, COMMAND, ROSTER, topic(AGENCY, "cnx-002", "event"), "elsewhere"])
def test_what_the_acl_forbids_is_answered_so_and_the_line_stays_up(bench: Bench, forbidden: str) -> None:
    ours = bench.connected()
    assert ours.answer(ours.line.publish(forbidden, b"forged")) == NOT_AUTHORISED
    assert ours.answer(ours.line.publish(EVENT, b"ours")) == NO_MATCHING_SUBSCRIBERS
    assert ours.all(Disconnected) == []


def test_a_hundred_messages_come_in_their_order(bench: Bench) -> None:
    ours = bench.connected()
    ours.line.subscribe(OURS)
    desk = bench.agency("agency-desk")
    sent = [b"%d" % number for number in range(100)]
    for payload in sent:
        desk.client.publish(COMMAND, payload, qos=1)
    wait_until(lambda: len(ours.payloads()) >= 100)
    assert ours.payloads() == sent
    assert not any(one.is_retained for one in ours.all(Received))


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xff\xfe\xfd", "กขค".encode(), b"x" * 200_000])
def test_any_bytes_come_whole(bench: Bench, payload: bytes) -> None:
    ours = bench.connected()
    ours.line.subscribe(OURS)
    bench.agency("agency-desk").publish(COMMAND, payload)
    assert ours.wait(Received) == Received(COMMAND, payload, is_retained=False)


def test_what_was_retained_before_is_told_as_retained(bench: Bench) -> None:
    bench.agency("agency-desk").publish(ROSTER, b"v1", retain=True)
    ours = bench.connected()
    ours.line.subscribe(OURS)
    assert ours.wait(Received) == Received(ROSTER, b"v1", is_retained=True)


def test_the_session_outlives_the_process(bench: Bench) -> None:
    first = bench.connected()
    first.line.subscribe(OURS)
    desk = bench.agency("agency-desk")
    desk.publish(COMMAND, b"before")
    first.wait(Received)
    first.line.stop()
    desk.publish(COMMAND, b"while away")
    desk.publish(ROSTER, b"v2", retain=True)
    second = bench.connected()  # and does not subscribe
    wait_until(lambda: len(second.all(Received)) == 2)
    assert second.payloads() == [b"while away", b"v2"]


def line_in_a_process(bench: Bench, way: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", LINE_IN_A_PROCESS, str(bench.site.port), str(bench.site.folder), way]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"connected\n"
    return process


def test_the_broker_publishes_the_will_of_a_process_that_died(bench: Bench) -> None:
    desk = bench.agency("agency-desk", STATUS)
    process = line_in_a_process(bench, "dies")
    assert desk.received == []
    process.communicate(b"\n")
    assert process.returncode == 9
    wait_until(lambda: desk.received)
    assert desk.received == [(STATUS, b"will")]
    late = bench.agency("agency-desk", STATUS)
    wait_until(lambda: late.received == [(STATUS, b"will")])


def test_the_broker_publishes_no_will_after_a_goodbye(bench: Bench) -> None:
    desk = bench.agency("agency-desk", STATUS)
    process = line_in_a_process(bench, "leaves")
    process.communicate(b"\n")
    assert process.returncode == 0
    time.sleep(0.3)
    assert desk.received == []


def test_pauses_begin_anew_only_after_a_connection_that_held(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = Backoff(shortest_s=0.1)
    line = MqttLine(bench.address, WILL, lambda: None, backoff)
    bench.lines.append(line)
    ours = Ours(line)
    with FaultProxy("127.0.0.1", bench.site.port) as proxy:
        line._address = replace(bench.address, port=proxy.port)
        line.start()
        for number in range(1, 4):
            ours.wait(Connected, number)
            proxy.cut()
        ours.wait(Connected, 4)
        assert backoff._waited_s >= 3 * 0.1
        monkeypatch.setattr(mqtt, "STEADY_S", 0.2)
        time.sleep(0.3)
        proxy.cut()
        ours.wait(Connected, 5)
        assert backoff._waited_s <= 0.3


@pytest.mark.parametrize("after_s", [0.02, 0.2, 0.45, 0.7])
def test_a_line_that_is_stopped_while_it_connects_leaves_no_will(bench: Bench, after_s: float) -> None:
    desk = bench.agency("agency-desk", STATUS)
    with FaultProxy("127.0.0.1", bench.site.port) as proxy:
        proxy.weather = Weather(delay_s=0.1)
        line = MqttLine(replace(bench.address, port=proxy.port), WILL, lambda: None)
        line.start()
        time.sleep(after_s)
        line.stop()
        assert not line.is_alive()
        time.sleep(0.3)
    assert desk.received == []


def test_what_was_published_just_before_the_goodbye_arrives(bench: Bench) -> None:
    desk = bench.agency("agency-desk", STATUS)
    ours = bench.connected()
    ours.line.publish(STATUS, b"maintenance", retain=True)
    ours.line.stop()
    wait_until(lambda: desk.received)
    assert desk.received == [(STATUS, b"maintenance")]


def test_a_broker_that_is_killed_and_comes_back_is_found_again(bench: Bench) -> None:
    ours = bench.connected()
    bench.site.programs[0].kill()
    ours.wait(Disconnected)
    bench.site.start_broker()
    ours.wait(Connected, 2)
    kinds = [type(one) for one in ours.told]
    assert (kinds[0], kinds[1], kinds[-1]) == (Connected, Disconnected, Connected)
    assert set(kinds[1:-1]) == {Disconnected}
    assert ours.answer(ours.line.publish(EVENT, b"x")) == NO_MATCHING_SUBSCRIBERS


def test_a_broker_that_ends_in_order_is_a_disconnection_too(bench: Bench) -> None:
    ours = bench.connected()
    assert bench.site.programs[0].end() == 0
    assert ours.wait(Disconnected).words
    assert ours.line.is_alive()


def test_a_line_that_was_there_before_its_broker_waits_for_it(bench: Bench) -> None:
    bench.site.programs[0].kill()
    ours = bench.line()
    assert ours.wait(Disconnected).reason == 0
    assert ours.line.is_alive()
    bench.site.start_broker()
    ours.wait(Connected)


def test_what_is_published_on_a_line_that_is_down_goes_out_when_it_is_up(bench: Bench) -> None:
    bench.site.programs[0].kill()
    ours = bench.line()
    mid = ours.line.publish(EVENT, b"early")
    ours.wait(Disconnected)
    bench.site.start_broker()
    assert ours.answer(mid) == NO_MATCHING_SUBSCRIBERS


def test_a_full_queue_takes_no_more_and_loses_nothing_of_what_it_took(bench: Bench) -> None:
    bench.site.programs[0].kill()
    line = MqttLine(bench.address, WILL, lambda: None)
    mids = [line.publish(EVENT, b"%d" % number) for number in range(100)]
    taken = [number for number, mid in enumerate(mids) if mid is not None]
    assert taken == list(range(2 * MAX_IN_FLIGHT))
    assert len({mids[number] for number in taken}) == len(taken)
    bench.site.start_broker()
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    line.start()
    bench.lines.append(line)
    wait_until(lambda: len(ingest.received) >= len(taken))
    assert [int(payload) for _, payload in ingest.received] == taken
    happenings = line.take()
    assert [one.mid for one in happenings if isinstance(one, Acknowledged)] == [mids[number] for number in taken]
    assert line.publish(EVENT, b"again there is room") is not None


def test_a_second_client_with_our_certificate_puts_us_out_and_we_hear_of_it(bench: Bench) -> None:
    ours = bench.connected()
    thief = bench.connected()
    ours.wait(Disconnected)  # mosquitto 2.0.11 says no reason; a broker that does is in test_mqtt_line_tls.py
    ours.line.stop()
    assert not ours.line.is_alive()
    assert thief.answer(thief.line.publish(EVENT, b"x")) == NO_MATCHING_SUBSCRIBERS


def test_another_station_disturbs_nobody_though_it_takes_our_name(bench: Bench) -> None:
    ours = bench.connected()
    other = bench.site.enrol("cnx-002")
    bench.site.device(other, client_id=ID)
    assert ours.answer(ours.line.publish(EVENT, b"x")) == NO_MATCHING_SUBSCRIBERS
    assert ours.all(Disconnected) == []


def test_a_message_over_the_broker_s_limit_does_not_block_what_comes_after_it(bench: Bench) -> None:
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    ours = bench.connected()
    ours.line.publish(EVENT, b"x" * (MAX_PACKET_BYTES + 1000))
    ours.line.publish(EVENT, b"small")
    wait_until(lambda: (EVENT, b"small") in ingest.received, 3)


def test_the_largest_bundle_is_far_from_the_broker_s_limit(bench: Bench) -> None:
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    ours = bench.connected()
    assert ours.answer(ours.line.publish(EVENT, b"x" * 32 * 1024)) == 0
    wait_until(lambda: ingest.received)
    assert len(ingest.received[0][1]) == 32 * 1024


def test_a_broker_that_stands_still_does_not_hold_up_the_end(bench: Bench) -> None:
    ours = bench.connected()
    broker = bench.site.programs[0].process
    broker.send_signal(signal.SIGSTOP)
    try:
        ours.line.publish(EVENT, b"unanswered")
        end = threading.Thread(target=ours.line.stop, daemon=True)
        end.start()
        end.join(4)
        is_ended = not end.is_alive()
    finally:
        broker.send_signal(signal.SIGCONT)
        end.join(20)
    assert is_ended


def test_the_long_pause_after_a_take_over_is_not_kept_once_the_broker_is_away(bench: Bench) -> None:
    """What parted us before says nothing of why the next attempt failed."""
    gone = replace(bench.address, port=1)
    line = MqttLine(gone, WILL, lambda: None, Backoff())
    line._part(ReasonCode(PacketTypes.DISCONNECT, "Session taken over"))
    assert line._pause_s() > LONGEST_S
    assert not line._connect()
    assert line._pause_s() <= LONGEST_S
