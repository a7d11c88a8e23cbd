"""Retention as the running station and the link see it: when it is due, on which clock, and what is sent afterwards."""

from datetime import timedelta
from pathlib import Path

import pytest

from appliance.hardware.clock import SystemClock
from appliance.outbox.delivery import Delivery
from appliance.run import sweep as subject
from appliance.run.sweep import Sweep
from appliance.simulate.clock import SimulatedClock
from tests.unit.outbox.test_retention import Kept
from tests.unit.run.scripted import Bench
from tests.unit.run.test_station import Bench as StationBench
from tests.unit.run.test_station import bench as station_bench  # noqa: F401 - the fixture


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(SystemClock())


@pytest.fixture
def station(tmp_path: Path, clock: SimulatedClock) -> Kept:
    made = Kept(tmp_path)
    made.receive(3, at=clock.now().time)
    return made


def test_a_station_that_starts_serves_first(station: Kept, clock: SimulatedClock) -> None:
    sweep = Sweep(station.outbox, clock, 0, 0, {})
    assert sweep.turn() == 0
    clock.shift += timedelta(seconds=subject.FIRST_S)
    assert sweep.turn() == 3


def test_it_waits_for_the_retention_and_looks_once_a_minute(station: Kept, clock: SimulatedClock) -> None:
    sweep = Sweep(station.outbox, clock, 7, 30, {})
    clock.shift += timedelta(days=6)
    assert sweep.turn() == 0
    station.receive(5, at=clock.now().time - timedelta(days=8))
    assert sweep.turn() == 0, "it has just looked"
    clock.shift += timedelta(seconds=subject.EVERY_S)
    assert sweep.turn() == 5


def test_an_unsure_clock_erases_nothing(station: Kept, clock: SimulatedClock) -> None:
    sweep = Sweep(station.outbox, clock, 0, 0, {})
    clock.quality = "unsure"
    clock.shift += timedelta(days=100)
    assert sweep.turn() == 0
    clock.quality = "synchronised"
    assert sweep.turn() == 3


def test_rows_stay_for_ever_where_no_age_is_set(station: Kept, clock: SimulatedClock) -> None:
    sweep = Sweep(station.outbox, clock, 7, 0, {})
    clock.shift += timedelta(days=3650)
    assert sweep.turn() == 3
    assert station.held() == [1, 2, 3, 4, 5]


def test_a_running_station_sweeps_while_nobody_is_there(
    station_bench: StationBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swept = []
    monkeypatch.setattr(Sweep, "turn", lambda self: swept.append(station_bench.states[-1].value))
    station_bench.run(lambda: None, lambda: None)
    assert set(swept) == {"idle"}


def test_the_link_sends_what_is_left_after_a_restore_and_does_not_wait_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch)
    bench.append(150)
    bench.connect()
    bench.receive("receipt", bench.receipt(130))
    bench.events()
    assert bench.station.outbox.sweep(SystemClock().now().time + timedelta(days=100), 7, 3650) == 100
    assert bench.station.outbox.sweep(SystemClock().now().time + timedelta(days=100), 7, 3650) == 30
    going_back = bench.receipt(0, epoch=2, window=10)
    bench.receive("receipt", going_back)
    assert bench.events() == list(range(131, 141)), "the window begins where there is something to send"
    bench.puback()
    bench.receive("receipt", bench.receipt(0, epoch=2, window=10, missing=[[1, 130]]))
    assert bench.events() == [], "what is gone for ever is not asked for in circles"
    bench.receive("receipt", bench.receipt(0, epoch=2, window=10, missing=[[1, 135]]))
    assert bench.events() == list(range(131, 141))


def test_a_bundle_never_spans_what_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch)
    bench.append(6)
    bench.station.outbox._db.execute("UPDATE event SET jws = '' WHERE sequence = 3")
    bench.connect()
    assert [bench.numbers(bundle) for bundle in bench.bundles()] == [[1, 2], [4, 5, 6]]
    delivery = Delivery.open(bench.station.path)
    assert delivery.standing().floor == 0
    delivery.close()
