"""``MqttLine`` in MQTT 3.1.1 against a real mosquitto: everything but the reasons is as in MQTT 5."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agency.broker.topics import topic
from appliance.link.bounded_client import MAX_IN_FLIGHT
from appliance.link.mqtt import Connected, Disconnected, Received, Subscribed
from tests.contract.line_bench import EVENT, ID, WILL, Bench, Ours, bench_in
from tests.unit.agency.fleet import AGENCY
from tests.unit.agency.site import wait_until

STATUS = topic(AGENCY, ID, "status")
ROSTER = topic(AGENCY, ID, "document/roster")
COMMAND = topic(AGENCY, ID, "command")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    with bench_in(tmp_path, capsys) as made:
        yield made


def older(bench: Bench) -> Ours:
    """Return a line in MQTT 3.1.1 that is connected."""
    ours = bench.line(replace(bench.address, protocol="3.1.1"))
    ours.wait(Connected)
    return ours


def test_it_speaks_3_1_1_and_has_our_own_bound_in_flight(bench: Bench) -> None:
    assert older(bench).told == [Connected(MAX_IN_FLIGHT)]
    wait_until(lambda: "p2," in bench.site.programs[0].log.read_text())  # protocol version, as mosquitto logs it


def test_events_arrive_and_are_acknowledged_without_a_reason(bench: Bench) -> None:
    ours = older(bench)
    assert ours.answer(ours.line.publish(EVENT, b"unheard")) == 0
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    assert ours.answer(ours.line.publish(EVENT, b"heard")) == 0
    wait_until(lambda: ingest.received == [(EVENT, b"heard")])


def test_what_comes_down_comes_whole_and_says_whether_it_was_retained(bench: Bench) -> None:
    desk = bench.agency("agency-desk")
    desk.publish(ROSTER, b"x" * 200_000, retain=True)
    ours = older(bench)
    ours.line.subscribe([ROSTER, COMMAND])
    assert ours.wait(Subscribed).reasons == (1, 1)
    assert ours.wait(Received) == Received(ROSTER, b"x" * 200_000, is_retained=True)
    desk.publish(COMMAND, b"now")
    assert ours.wait(Received, 2) == Received(COMMAND, b"now", is_retained=False)


def test_the_session_outlives_the_process(bench: Bench) -> None:
    first = older(bench)
    first.line.subscribe([COMMAND])
    first.wait(Subscribed)
    first.line.stop()
    bench.agency("agency-desk").publish(COMMAND, b"while away")
    assert older(bench).wait(Received).payload == b"while away"


def test_the_will_and_the_goodbye_are_as_ever(bench: Bench) -> None:
    desk = bench.agency("agency-desk", STATUS)
    ours = older(bench)
    ours.line.publish(STATUS, b"maintenance", retain=True)
    ours.line.stop()
    wait_until(lambda: desk.received)
    cut = older(bench)
    cut.line._client.socket().shutdown(2)  # type: ignore[union-attr]
    cut.wait(Disconnected)
    wait_until(lambda: len(desk.received) > 1)
    assert [payload for _, payload in desk.received] == [b"maintenance", WILL[1]]


def test_it_comes_back_to_a_broker_that_died(bench: Bench) -> None:
    ours = older(bench)
    bench.site.programs[0].kill()
    ours.wait(Disconnected)
    bench.site.start_broker()
    ours.wait(Connected, 2)
    assert ours.answer(ours.line.publish(EVENT, b"x")) == 0


def test_many_publishers_of_one_line_do_not_mix_their_bytes(bench: Bench) -> None:
    """``publish`` comes from the loop's thread while the network thread writes."""
    ingest = bench.agency("agency-ingest", "cs/1/obec/+/event")
    ours = older(bench)
    sent = [b"%d" % number * 3000 for number in range(30)]

    def publish() -> None:
        for payload in sent:
            ours.line.publish(EVENT, payload)

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()
    wait_until(lambda: len(ingest.received) == 30)
    assert [payload for _, payload in ingest.received] == sent
