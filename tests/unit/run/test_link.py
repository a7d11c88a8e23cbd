"""The link's loop on a real state database: what it publishes, when, and what a receipt does to it."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.errors import ConfigError, NotEnrolled, StoreError
from appliance.events.chain import jws_hash
from appliance.events.query import MAX_ANSWER_BYTES
from appliance.link.bounded_client import MAX_IN_FLIGHT
from appliance.link.bundle import MAX_BUNDLE_BYTES, MAX_BUNDLE_EVENTS
from appliance.link.mqtt import Acknowledged, Connected
from appliance.link.reasons import NO_MATCHING_SUBSCRIBERS
from appliance.papers import AGENCY_KEYS
from appliance.ports import OFFLINE
from appliance.run.link import Link
from appliance.run.query_socket import QuerySocket
from tests.unit.run.scripted import PREFIX, Bench

RESENT_AFTER_S = 11.0


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_nothing_is_published_before_the_line_is_up(bench: Bench) -> None:
    bench.append(3)
    bench.link.turn()
    assert bench.line.published == []


def test_the_first_uncovered_event_comes_first(bench: Bench) -> None:
    bench.append(5)
    bench.connect()
    assert bench.events() == [1, 2, 3, 4, 5]


def on_their_way(bench: Bench) -> int:
    """Return how many events go out while no receipt comes and the broker takes every message at once."""
    before = -1
    while len(bench.line.published) > before:
        before = len(bench.line.published)
        bench.puback()
    return len(bench.events())


def test_a_window_that_the_agency_grants_is_used_until_the_connection_ends(bench: Bench) -> None:
    bench.append(400)
    bench.connect()
    assert on_their_way(bench) == 100
    bench.receive("receipt", bench.receipt(100, window=250))
    assert on_their_way(bench) == 250
    bench.disconnect()
    bench.connect()
    assert on_their_way(bench) == 100


def test_a_retained_receipt_grants_no_more_than_anybody_may_send_unasked(bench: Bench) -> None:
    bench.append(400)
    bench.connect()
    bench.receive("receipt", bench.receipt(10, window=250), is_retained=True)
    assert on_their_way(bench) == 110
    bench.receive("receipt", bench.receipt(105, window=10), is_retained=True)
    assert on_their_way(bench) == 5


def test_a_new_process_goes_on_after_the_last_receipt(bench: Bench) -> None:
    bench.append(5)
    bench.connect()
    bench.receive("receipt", bench.receipt(3))
    bench.start()
    bench.connect()
    assert bench.events() == [4, 5]


def test_an_event_is_sent_as_it_was_signed(bench: Bench) -> None:
    bench.append(2)
    bench.connect()
    (bundle,) = bench.bundles()
    assert bundle.payload == "\n".join(row.jws for row in bench.station.outbox.rows()).encode()
    assert not bundle.retain


def test_an_event_that_comes_while_the_line_is_up_goes_out_at_the_next_turn(bench: Bench) -> None:
    bench.connect()
    bench.append(1)
    bench.link.turn()
    assert bench.events() == [1]
    bench.link.turn()
    assert bench.events() == []


def test_bundles_hold_at_most_as_many_events_as_the_contract_says(bench: Bench) -> None:
    bench.append(100)
    bench.connect()
    numbers = [bench.numbers(bundle) for bundle in bench.bundles()]
    assert max(map(len, numbers)) == MAX_BUNDLE_EVENTS == 32
    assert [number for bundle in numbers for number in bundle] == list(range(1, 101))


@pytest.mark.parametrize("padding", [4_000, 10_000, 20_000])
def test_bundles_are_full_but_never_larger_than_the_contract_says(bench: Bench, padding: int) -> None:
    bench.append(15, padding)
    bench.connect()
    bundles = bench.bundles()
    assert max(len(bundle.payload) for bundle in bundles) <= 32 * 1024
    for one, following in pairwise(bundles):
        assert len(one.payload + b"\n" + following.payload.split(b"\n")[0]) > 32 * 1024
    assert bench.events() == list(range(1, 16))


@pytest.mark.parametrize(("over", "expected"), [(0, [[1, 2]]), (1, [[1], [2]])])
def test_a_bundle_may_have_the_last_byte_and_not_one_more(bench: Bench, over: int, expected: list[list[int]]) -> None:
    bench.append(1, padding=10_000)
    (size,) = (len(row.jws) for row in bench.station.outbox.rows())
    bench.append(1, padding=MAX_BUNDLE_BYTES - 1 - size - (size - 10_000) + over)
    bench.connect()
    bundles = bench.bundles()
    assert sum(len(bundle.payload) for bundle in bundles) + len(bundles) == MAX_BUNDLE_BYTES + 1 + over
    assert [bench.numbers(bundle) for bundle in bundles] == expected


def test_an_event_larger_than_a_bundle_goes_alone_and_blocks_nobody(bench: Bench) -> None:
    bench.append(1)
    bench.append(1, padding=40_000)
    bench.append(1)
    bench.connect()
    assert [bench.numbers(bundle) for bundle in bench.bundles()] == [[1], [2], [3]]


def test_no_more_goes_out_than_the_window_holds(bench: Bench) -> None:
    bench.append(250)
    bench.connect()
    assert bench.events() == list(range(1, 101))
    bench.puback()
    assert bench.events() == []
    bench.receive("receipt", bench.receipt(60))
    assert bench.events() == list(range(101, 161))


def test_the_agency_meters_the_drain(bench: Bench) -> None:
    bench.append(50)
    bench.receive("receipt", bench.receipt(0, window=5, min_gap_ms=1500))
    bench.connect()
    assert bench.events() == [1, 2, 3, 4, 5]
    bench.receive("receipt", bench.receipt(5, window=10, min_gap_ms=1500))
    assert bench.events() == []
    assert bench.later(1.0) <= 0.5
    assert bench.events() == []
    bench.later(0.6)
    assert bench.events() == list(range(6, 16))


def test_no_more_messages_are_in_flight_than_the_broker_allows(bench: Bench) -> None:
    bench.append(20, padding=30_000)
    bench.connect(in_flight=3)
    assert bench.events() == [1, 2, 3]
    bench.happen(Acknowledged(1, 0))
    assert bench.events() == [4]


def test_a_puback_clears_nothing(bench: Bench) -> None:
    bench.append(4)
    bench.connect()
    bench.puback()
    assert bench.through() == 0
    assert bench.events() == [1, 2, 3, 4]
    bench.later(RESENT_AFTER_S)
    assert bench.events() == [1, 2, 3, 4]


def test_a_receipt_of_everything_ends_the_sending(bench: Bench) -> None:
    bench.append(4)
    bench.connect()
    bench.receive("receipt", bench.receipt(4))
    bench.events()
    assert bench.through() == 4
    for _ in range(10):
        bench.later(RESENT_AFTER_S)
    assert bench.events() == []


def test_what_a_receipt_leaves_uncovered_is_sent_again(bench: Bench) -> None:
    bench.append(4)
    bench.connect()
    bench.events()
    bench.puback()
    bench.receive("receipt", bench.receipt(3))
    bench.later(RESENT_AFTER_S)
    assert bench.events() == [4]


def test_a_late_receipt_of_before_moves_nothing_back(bench: Bench) -> None:
    bench.append(4)
    bench.connect()
    bench.events()
    bench.receive("receipt", bench.receipt(4))
    bench.receive("receipt", bench.receipt(2))
    assert (bench.through(), bench.events()) == (4, [])


def test_what_the_agency_misses_is_sent_again_at_once_and_in_order(bench: Bench) -> None:
    bench.append(9)
    bench.connect()
    bench.events()
    bench.puback()
    bench.receive("receipt", bench.receipt(3, missing=[[4, 6]]))
    assert bench.events() == [4, 5, 6, 7, 8, 9]


def test_what_a_retained_receipt_misses_is_of_the_past(bench: Bench) -> None:
    bench.append(9)
    bench.connect()
    bench.events()
    bench.receive("receipt", bench.receipt(3, missing=[[4, 6]]), is_retained=True)
    assert (bench.through(), bench.events()) == (3, [])


@pytest.mark.parametrize("missing", [[[1, 1]], [[500, 900]], [[9, 2]]])
def test_missing_events_that_make_no_sense_send_nothing_covered_and_nothing_that_is_not_there(
    bench: Bench, missing: list[list[int]]
) -> None:
    bench.append(9)
    bench.connect()
    bench.events()
    bench.receive("receipt", bench.receipt(3, missing=missing))
    again = bench.events()
    assert again == list(range(10 - len(again), 10))
    assert 3 not in again


def test_a_restored_agency_gets_again_what_it_lost(bench: Bench) -> None:
    bench.append(6)
    bench.connect()
    bench.receive("receipt", bench.receipt(6))
    bench.events()
    bench.receive("receipt", bench.receipt(2, epoch=2))
    assert (bench.through(), bench.events()) == (2, [3, 4, 5, 6])


def test_a_new_connection_sends_everything_uncovered_again_at_once(bench: Bench) -> None:
    bench.append(4)
    bench.connect()
    bench.receive("receipt", bench.receipt(1))
    bench.events()
    bench.disconnect()
    bench.append(1)
    bench.link.turn()
    assert bench.events() == []
    bench.connect()
    assert bench.events() == [2, 3, 4, 5]


def test_a_line_that_takes_no_more_loses_nothing(bench: Bench) -> None:
    bench.append(100)
    bench.line.room = 2
    bench.connect()
    first = bench.events()
    bench.line.room = 1000
    bench.link.turn()
    assert first + bench.events() == list(range(1, 101))


def test_an_event_that_nobody_hears_is_sent_again_after_a_pause(bench: Bench) -> None:
    bench.append(2)
    bench.connect()
    bench.puback(NO_MATCHING_SUBSCRIBERS)
    bench.events()
    bench.later(1)
    assert bench.events() == []
    bench.later(RESENT_AFTER_S)
    assert bench.events() == [1, 2]


def test_a_queue_with_another_history_stands_still_also_in_the_next_process(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.append(4)
    bench.connect()
    bench.events()
    bench.receive("receipt", bench.receipt(2, hash="x" * 43))
    assert "frozen" in caplog.text
    bench.append(1)
    bench.receive("receipt", bench.receipt(3, missing=[[4, 4]]))
    bench.later(100)
    bench.start()
    bench.connect()
    assert bench.events() == []
    assert bench.statuses()[-1]["state"] == "degraded"
    assert "queue_frozen" in bench.statuses()[-1]["alarms"]


def test_it_subscribes_anew_at_each_connection_and_to_its_own_topics_only(bench: Bench) -> None:
    bench.connect()
    bench.disconnect()
    bench.connect()
    own = [f"{PREFIX}{leaf}" for leaf in ("receipt", "document/#", "command", "answer")]
    assert bench.line.subscribed == [own] * 2


def test_a_question_is_published_and_its_answer_handed_to_the_station(bench: Bench) -> None:
    station = QuerySocket(bench.folder)
    bench.connect()
    assert station.send("a.query.jws")
    bench.happen()
    assert [(one.topic, one.payload, one.retain) for one in bench.line.published if one.topic.endswith("query")] == [
        (f"{PREFIX}query", b"a.query.jws", False)
    ]
    bench.receive("answer", "an.answer.jws")
    assert station.receive() == [b"an.answer.jws"]


def test_a_question_without_a_connection_is_answered_at_once_and_goes_nowhere(bench: Bench) -> None:
    station = QuerySocket(bench.folder)
    assert station.send("a.query.jws")
    bench.happen()
    assert station.receive() == [OFFLINE + jws_hash("a.query.jws").encode()]
    bench.connect()
    assert not [one for one in bench.line.published if one.topic.endswith("query")]


def test_a_retained_answer_and_one_that_is_too_long_are_not_handed_on(bench: Bench) -> None:
    station = QuerySocket(bench.folder)
    bench.connect()
    bench.receive("answer", "kept", is_retained=True)
    bench.receive("answer", "x" * (MAX_ANSWER_BYTES + 1))
    assert station.receive() == []
    bench.later(10)
    assert "retained_answer" in bench.statuses()[-1]["alarms"]


def test_a_flood_of_answers_nobody_reads_stops_nothing(bench: Bench) -> None:
    QuerySocket(bench.folder)
    bench.connect()
    for _ in range(2000):
        bench.receive("answer", "x" * 1000)
    bench.append(1)
    bench.happen()
    assert bench.events()


def test_nobody_takes_a_question_where_no_link_runs(tmp_path: Path) -> None:
    assert not QuerySocket(tmp_path).send("a.query.jws")


def test_where_and_who_come_from_the_settings(bench: Bench) -> None:
    address = bench.line.address
    assert (address.host, address.port, address.client_id) == ("broker.example", 8883, "bkk-001")
    assert address.key == bench.folder / "tls/station.key"


def test_the_line_wakes_the_loop(bench: Bench) -> None:
    assert not bench.is_woken()
    bench.line.wake()
    assert bench.is_woken()
    bench.ear.drain()
    assert not bench.is_woken()


def test_a_dead_network_thread_ends_the_process(bench: Bench) -> None:
    bench.connect()
    bench.line.is_dead = True
    with pytest.raises(RuntimeError, match="network thread"):
        bench.link.turn()


def test_a_database_that_fails_ends_the_process(bench: Bench) -> None:
    bench.append(1)
    with closing(sqlite3.connect(bench.station.path)) as database:
        database.execute("DROP TABLE event")
    with pytest.raises(StoreError):
        bench.happen(Connected(MAX_IN_FLIGHT))


def test_without_the_agency_s_keys_it_does_not_start(bench: Bench) -> None:
    (bench.folder / AGENCY_KEYS).unlink()
    with pytest.raises(NotEnrolled):
        bench.start()
    (bench.folder / AGENCY_KEYS).write_text("{}")
    with pytest.raises(ConfigError):
        bench.start()


def test_without_a_state_database_it_does_not_start(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled):
        Link(bench.settings, tmp_path / "elsewhere", bench.ear, bench.questions)


def test_the_wait_is_never_longer_than_a_status_may_be_late(bench: Bench) -> None:
    assert 0 <= bench.link.turn() <= 5
    bench.append(3)
    assert 0 <= bench.happen(Connected(MAX_IN_FLIGHT)) <= 5
    assert 0 <= bench.later(RESENT_AFTER_S) <= 5
