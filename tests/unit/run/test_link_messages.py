"""What the link says of the station, and what it does with whatever comes down to it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.events import strict_json
from appliance.events.schema import STATUS
from appliance.events.sign import RECEIPT_TYPE
from appliance.link.mqtt import Acknowledged, Breach, Disconnected, Received, Subscribed
from appliance.link.reasons import NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER, meaning
from tests.unit.run.scripted import PREFIX, Bench

READY = {"state": "ready", "since": "2026-11-23T07:00:00+07:00", "reader": "ok"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def say(bench: Bench, **changes: Any) -> None:
    """Leave word as the station process does."""
    bench.station.outbox.say({**READY, "monotonic_s": bench.clock.now_s, **changes})


def test_the_status_is_said_as_soon_as_the_line_is_up_and_not_before(bench: Bench) -> None:
    say(bench)
    bench.later(60)
    assert bench.statuses() == []
    bench.connect()
    (status,) = bench.statuses()
    assert (status["state"], status["backlog"]["count"], status["last_receipt"]) == ("ready", 0, None)


def test_the_will_is_older_than_every_status_and_has_its_boot(bench: Bench) -> None:
    bench.connect()
    name, payload = bench.line.will
    will = strict_json.decode_object(payload)
    STATUS.check(will)
    assert (name, will["state"]) == (f"{PREFIX}status", "lost")
    assert [status["boot"] for status in bench.statuses()] == [will["boot"]]


def test_each_start_has_a_higher_boot(bench: Bench) -> None:
    boots = []
    for _ in range(3):
        bench.start()
        boots.append(strict_json.decode_object(bench.line.will[1])["boot"])
    assert boots == sorted(set(boots))


def test_without_a_change_nothing_is_said_again(bench: Bench) -> None:
    say(bench)
    bench.connect()
    for _ in range(20):
        bench.later(6)
    assert len(bench.statuses()) == 1


def test_ages_alone_are_no_change(bench: Bench) -> None:
    say(bench)
    bench.append(2)
    bench.connect()
    for second in range(10):
        say(bench, monotonic_s=bench.clock.now_s)
        bench.later(6 + second)
    assert len(bench.statuses()) == 1


def test_changes_are_said_at_most_each_five_seconds_and_the_last_one_in_the_end(bench: Bench) -> None:
    say(bench)
    bench.connect()
    for tenth in range(1, 120):
        say(bench, reader=f"fault {tenth}")
        bench.later(0.1)
    assert [status["reader"] for status in bench.statuses()] == ["ok", "fault 50", "fault 100"]
    assert bench.said()["reader"] == "fault 119"


def test_a_new_connection_says_the_status_again_at_once(bench: Bench) -> None:
    bench.connect()
    bench.disconnect()
    bench.connect()
    assert len(bench.statuses()) == 2


def test_events_and_receipts_show_in_the_status(bench: Bench) -> None:
    bench.append(3)
    bench.connect()
    assert bench.statuses()[-1]["backlog"]["count"] == 3
    bench.receive("receipt", bench.receipt(2))
    said = bench.said()
    assert (said["backlog"]["count"], said["last_receipt"]["through"]) == (1, 2)


def test_a_station_process_that_says_nothing_any_more_is_degraded_until_it_speaks(bench: Bench) -> None:
    say(bench)
    bench.connect()
    bench.later(200)
    assert bench.statuses()[-1]["alarms"] == ["station_silent"]
    assert bench.statuses()[-1]["state"] == "degraded"
    say(bench)
    assert (bench.said()["state"], bench.said()["alarms"]) == ("ready", [])


def test_the_status_of_before_a_reboot_is_not_believed(bench: Bench) -> None:
    say(bench, monotonic_s=bench.clock.now_s + 5000)
    bench.connect()
    assert bench.statuses()[0]["state"] == "degraded"


def test_a_status_that_the_line_did_not_take_is_said_later(bench: Bench) -> None:
    say(bench)
    bench.line.room = 0
    bench.connect()
    bench.line.room = 100
    assert bench.said()["state"] == "ready"


@pytest.mark.parametrize("wrong", [{"mood": "fine"}, {"reader": 5}, {"since": None}, {"reader": "x" * 50}])
def test_a_status_that_cannot_be_said_does_not_hold_up_the_events(bench: Bench, wrong: dict[str, Any]) -> None:
    say(bench, **wrong)
    bench.append(1)
    bench.connect()
    bench.append(1)
    bench.later(6)
    assert bench.events() == [1, 2]


def test_the_goodbye_is_maintenance_and_the_line_is_stopped(bench: Bench) -> None:
    say(bench)
    bench.connect()
    bench.link.stop()
    first, last = bench.statuses()
    assert (first["state"], last["state"]) == ("ready", "maintenance")
    assert last["boot"] == first["boot"]
    assert bench.line.is_stopped


def test_a_line_that_is_down_gets_no_goodbye(bench: Bench) -> None:
    bench.connect()
    bench.disconnect()
    said = len(bench.statuses())
    bench.link.stop()
    assert len(bench.statuses()) == said
    assert bench.line.is_stopped


def test_nobody_listening_is_an_alarm_until_a_receipt_comes(bench: Bench) -> None:
    say(bench)
    bench.append(1)
    bench.connect()
    bench.puback(NO_MATCHING_SUBSCRIBERS)
    assert bench.said()["alarms"] == ["nobody_listens"]
    bench.receive("receipt", bench.receipt(1))
    assert bench.said()["alarms"] == []


def test_nobody_listening_to_a_status_is_no_alarm(bench: Bench) -> None:
    say(bench)
    bench.connect()
    bench.puback(NO_MATCHING_SUBSCRIBERS)
    assert bench.said()["alarms"] == []


REFUSALS = [
    (0x80, "broker_refuses"),
    (0x87, "not_authorised"),
    (0x95, "message_too_large"),
    (0x97, "broker_busy"),
    (0xFF, "broker_refuses"),
]


@pytest.mark.parametrize(("reason", "alarm"), REFUSALS)
def test_a_refusal_is_an_alarm_until_the_next_connection_and_the_events_are_kept(
    bench: Bench, reason: int, alarm: str
) -> None:
    say(bench)
    bench.append(2)
    bench.connect()
    bench.puback(reason)
    assert bench.said()["alarms"] == [alarm]
    bench.events()
    bench.later(12)
    assert (bench.events(), bench.through()) == ([1, 2], 0)
    bench.disconnect()
    bench.connect()
    assert bench.statuses()[-1]["alarms"] == []


@pytest.mark.parametrize(
    ("reason", "alarm"), [(0x84, "wrong_protocol"), (0x86, "not_authorised"), (0x9F, "broker_busy"), *REFUSALS]
)
def test_a_connection_that_the_broker_ends_says_why_in_the_log(
    bench: Bench, reason: int, alarm: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.connect()
    bench.disconnect(reason)
    assert f"{meaning(reason).error.code}: not connected" in caplog.text
    assert f"alarm: {alarm}" in caplog.text


@pytest.mark.parametrize("reason", [0, 0x8B, 0x8D])
def test_a_line_that_is_only_down_is_no_alarm(bench: Bench, reason: int) -> None:
    say(bench)
    bench.connect()
    bench.disconnect(reason)
    bench.connect()
    assert bench.statuses()[-1]["alarms"] == []


def test_a_topic_that_may_not_be_listened_to_is_an_alarm(bench: Bench) -> None:
    say(bench)
    bench.connect()
    bench.happen(Subscribed((1, 0x87, 1)))
    assert bench.said()["alarms"] == ["not_authorised"]
    bench.connect()
    bench.happen(Subscribed((1, 1, 1)))
    assert bench.said()["alarms"] == []


def test_what_no_honest_broker_does_is_an_alarm_that_stays(bench: Bench) -> None:
    say(bench)
    bench.connect()
    bench.happen(Disconnected(0, "gone"), Breach("oversized_message"))
    bench.connect()
    assert bench.statuses()[-1]["alarms"] == ["oversized_message"]


def test_a_retained_command_is_an_alarm_and_another_one_is_not(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    say(bench)
    bench.connect()
    bench.receive("command", b"x.y.z")
    assert bench.said()["alarms"] == []
    bench.receive("command", b"x.y.z", is_retained=True)
    assert bench.said()["alarms"] == ["retained_command"]
    assert caplog.text.count("command") == 2


def test_a_flood_is_not_repeated_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.connect()
    bench.happen(*(Received(f"{PREFIX}receipt", b"x", is_retained=False) for _ in range(1000)))
    assert caplog.text.count("refused a receipt") == 10
    assert "(512 of this kind so far)" in caplog.text


def test_no_receipt_for_minutes_is_an_alarm_over_all_connections_until_one_comes(bench: Bench) -> None:
    bench.append(2)
    bench.connect()
    for _ in range(30):
        bench.puback()
        bench.disconnect()
        bench.connect()
        bench.later(9.9)
        assert "no_receipt" not in bench.statuses()[-1]["alarms"]
    assert "no_receipt" in bench.said()["alarms"]
    bench.receive("receipt", bench.receipt(2))
    assert "no_receipt" not in bench.said()["alarms"]
    for _ in range(100):
        bench.later(10)
    assert "no_receipt" not in bench.said()["alarms"]


def test_the_agency_meters_new_connections_too(bench: Bench) -> None:
    bench.connect()
    bench.receive("receipt", bench.receipt(0, min_gap_ms=4500))
    assert bench.line.min_gap_s == 4.5


def test_a_session_that_was_taken_over_is_an_alarm(bench: Bench) -> None:
    bench.connect()
    bench.disconnect(SESSION_TAKEN_OVER)
    bench.connect()
    assert "session_taken_over" in bench.statuses()[-1]["alarms"]


def test_the_answer_to_a_message_of_before_the_reconnection_is_nobody_s(bench: Bench) -> None:
    bench.append(1)
    bench.connect(in_flight=1)
    (old,) = bench.bundles()
    bench.disconnect()
    bench.connect(in_flight=1)
    bench.happen(Acknowledged(old.mid, 0), Acknowledged(9999, NO_MATCHING_SUBSCRIBERS))
    assert "nobody_listens" not in bench.said()["alarms"]
    assert len(bench.bundles()) == 2


def test_a_document_is_taken_up_from_a_retained_message_and_a_later_one_too(bench: Bench) -> None:
    bench.connect()
    bench.receive("document/roster", bench.roster(1), is_retained=True)
    bench.receive("document/roster", bench.roster(3))
    bench.receive("document/roster", bench.roster(2))
    assert bench.station.outbox.document("roster") is not None
    held = bench.link._delivery.take_document("roster", 3, "x")
    assert held is False
    assert bench.link._delivery.take_document("roster", 4, "x")


def test_a_document_that_comes_while_the_line_goes_down_is_kept_all_the_same(bench: Bench) -> None:
    jws = bench.roster()
    bench.connect()
    bench.line.happenings.append(Received(f"{PREFIX}document/roster", jws.encode(), is_retained=False))
    bench.disconnect()
    assert bench.station.outbox.document("roster") == jws


@pytest.mark.parametrize(
    "leaf", ["event", "command", "status", "query", "reply", "answer", "receipt/x", "", "document"]
)
@pytest.mark.parametrize("is_retained", [True, False])
def test_a_message_that_is_none_of_ours_does_nothing(bench: Bench, leaf: str, is_retained: bool) -> None:
    bench.append(2)
    bench.connect()
    before = len(bench.line.published)
    bench.receive(leaf, bench.receipt(2), is_retained=is_retained)
    bench.receive(leaf, bench.roster(), is_retained=is_retained)
    assert bench.through() == 0
    assert bench.station.outbox.document("roster") is None
    assert len(bench.line.published) == before


@pytest.mark.parametrize("name", ["receipt", "cs/1/obec/bkk-002/receipt", "cs/2/obec/bkk-001/receipt", "$SYS/receipt"])
def test_a_genuine_receipt_on_another_topic_moves_nothing(bench: Bench, name: str) -> None:
    bench.append(1)
    bench.connect()
    bench.happen(Received(name, bench.receipt(1).encode(), is_retained=False))
    assert bench.through() == 0


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(bench: Bench, **header: object) -> str:
    """Return a token that names our agency's receipt key and was never signed by it."""
    named = {"alg": "Ed25519", "kid": bench.receipts.kid, "typ": "card-receipt+jws", **header}
    return f"{part(json.dumps(named).encode())}.{part(b'{}')}.{part(bytes(64))}"


GARBAGE = [
    b"",
    b"\x00",
    b"\xff" * 1000,
    b"." * 5000,
    b"a.b.c",
    b"x" * 200_000,
    "ก.ข.ค".encode(),
    b"null",
    (part(b"[" * 100_000) + ".." + part(b"{")).encode(),
    (part(b'{"kid":' * 5000) + ".e30.AAAA").encode(),
]


@pytest.mark.parametrize(
    "leaf", ["receipt", "document/roster", "document/services", "document/", "document/a/b", "command"]
)
@pytest.mark.parametrize("payload", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_on_a_topic_is_refused_and_the_next_genuine_message_taken(
    bench: Bench, leaf: str, payload: bytes
) -> None:
    bench.append(1)
    bench.connect()
    bench.receive(leaf, payload)
    bench.receive("receipt", bench.receipt(1))
    assert bench.through() == 1
    alarm = {"receipt": ["bad_receipt"], "command": []}.get(leaf, ["bad_document"])
    assert set(alarm) <= set(bench.said()["alarms"])


HEADERS: list[dict[str, object]] = [
    {"alg": "none"},
    {"alg": None},
    {"alg": ["Ed25519"]},
    {"alg": {"a": 1}},
    {"alg": "HS256"},
    {"typ": "card-document+jws"},
    {"kid": ["x"]},
    {"kid": None},
    {"b64": False},
    {"b64": False, "crit": ["b64"]},
    {"crit": ["unknown"], "unknown": 1},
    {"crit": []},
    {"crit": 5},
    {"crit": None},
    {"crit": [5]},
    {"crit": [[]]},
    {"jwk": 5, "x5c": 5, "jku": "http://127.0.0.1/"},
    {},
]


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_forged_header_is_refused(bench: Bench, header: dict[str, object]) -> None:
    bench.connect()
    bench.receive("receipt", forged(bench, **header))
    assert "bad_receipt" in bench.said()["alarms"]


@pytest.mark.parametrize(
    "change",
    [
        {"through": -1},
        {"through": 1.5},
        {"through": 10**12},
        {"window": 0},
        {"min_gap_ms": -1},
        {"missing": [[]]},
        {"epoch": 0},
    ],
    ids=str,
)
def test_a_signed_receipt_of_the_wrong_shape_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    bench.append(1)
    bench.connect()
    good = json.loads(base64.urlsafe_b64decode(bench.receipt(1).split(".")[1] + "=="))
    bench.receive("receipt", bench.receipts.sign({**good, **change}, RECEIPT_TYPE))
    assert (bench.through(), bench.said()["alarms"]) == (0, ["bad_receipt", "station_silent"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["receipt", "document/roster"]), st.integers(0, 3000), st.integers(0, 255))
def test_a_genuine_message_with_one_byte_changed_is_never_taken(bench: Bench, leaf: str, at: int, byte: int) -> None:
    bench.connect()
    if bench.station.outbox.row(1) is None:
        bench.append(1)
    genuine = (bench.receipt(1) if leaf == "receipt" else bench.roster()).encode()
    place = at % len(genuine)
    changed = genuine[:place] + bytes([byte]) + genuine[place + 1 :]
    if changed != genuine:
        bench.receive(leaf, changed)
    assert bench.through() == 0
    assert bench.station.outbox.document("roster") is None
