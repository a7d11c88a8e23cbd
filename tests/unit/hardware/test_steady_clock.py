"""The floor under the clock, and the jumps that it finds: no machine's clock is touched."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.hardware.clock import THAI_TIME
from appliance.hardware.steady_clock import JUMP, Jump, SteadyClock
from appliance.ports import Moment

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=THAI_TIME)
FLOOR = NOON - timedelta(hours=1)


@dataclass
class Played:
    """A machine's clock (``ports.Clock``) of which a test moves both hands."""

    at: Moment = field(default_factory=lambda: Moment(NOON, "synchronised", 3, "b" * 36, 1000.0, 60.0))

    def now(self) -> Moment:
        return self.at

    def passes(self, **time: float) -> None:
        step = timedelta(**time)
        self.at = replace(self.at, time=self.at.time + step, monotonic_s=self.at.monotonic_s + step.total_seconds())

    def is_set(self, time: datetime, quality: str = "synchronised") -> None:
        self.at = replace(self.at, time=time, quality=quality)


def steady(floor: datetime = FLOOR) -> tuple[Played, SteadyClock]:
    machine = Played()
    clock = SteadyClock(machine, lambda: floor)
    clock.settle(machine.now())
    return machine, clock


def test_above_the_floor_the_moment_is_the_machine_s() -> None:
    machine, clock = steady()
    assert clock.now() == machine.at
    machine.is_set(FLOOR)
    assert clock.now() == machine.at


@pytest.mark.parametrize("quality", ["synchronised", "unsure"])
@pytest.mark.parametrize("below", [timedelta(milliseconds=1), timedelta(minutes=4), timedelta(days=20_000)])
def test_below_the_floor_the_moment_is_the_floor_and_unsure(quality: str, below: timedelta) -> None:
    machine, clock = steady()
    machine.is_set(FLOOR - below, quality)
    now = clock.now()
    assert (now.time, now.quality, now.offset_ms, now.is_sure) == (FLOOR, "unsure", None, False)
    assert (now.boot, now.monotonic_s) == (machine.at.boot, machine.at.monotonic_s)


def test_a_simulated_clock_never_passes_for_another() -> None:
    machine, clock = steady()
    machine.is_set(FLOOR - timedelta(days=1), "simulated")
    assert (clock.now().time, clock.now().quality) == (FLOOR, "simulated")


def test_time_that_passes_is_no_jump() -> None:
    machine, clock = steady()
    for _ in range(100):
        machine.passes(hours=7)
        assert clock.look() == (machine.at, None)


@pytest.mark.parametrize("seconds", [300, -300, 1, -1, 0])
def test_five_minutes_are_no_jump(seconds: int) -> None:
    machine, clock = steady()
    machine.passes(hours=3)
    machine.is_set(machine.at.time + timedelta(seconds=seconds))
    assert clock.look()[1] is None


@pytest.mark.parametrize("seconds", [301, -301, -3 * 86_400, 10 * 365 * 86_400])
@pytest.mark.parametrize("quality", ["synchronised", "unsure", "simulated"])
def test_more_than_five_minutes_are_a_jump_whatever_the_quality(seconds: int, quality: str) -> None:
    machine, clock = steady(NOON - timedelta(days=9000))
    machine.passes(hours=3)
    expected = machine.at.time
    machine.is_set(expected + timedelta(seconds=seconds), quality)
    at, jump = clock.look()
    assert at == machine.at
    assert jump == Jump(expected, expected + timedelta(seconds=seconds))
    assert jump.as_data()["seconds"] == seconds


def test_a_jump_is_found_until_it_is_settled_and_then_no_more() -> None:
    machine, clock = steady()
    machine.is_set(NOON + timedelta(days=1))
    first, second = clock.look(), clock.look()
    assert first == second
    assert first[1] is not None
    clock.settle(machine.now())
    machine.passes(seconds=1)
    assert clock.look()[1] is None


def test_a_slow_drift_adds_up_to_no_jump() -> None:
    machine, clock = steady()
    for _ in range(100):
        machine.passes(hours=1)
        machine.is_set(machine.at.time + timedelta(seconds=10))
        at, jump = clock.look()
        assert jump is None
        clock.settle(at)


def test_from_1970_to_now_is_a_jump() -> None:
    machine, clock = steady()
    machine.is_set(datetime(1970, 1, 1, tzinfo=UTC).astimezone(THAI_TIME), "unsure")
    clock.settle(machine.now())
    machine.passes(seconds=30)
    machine.is_set(NOON)
    jump = clock.look()[1]
    assert jump is not None
    assert jump.as_data()["from"] == "1970-01-01T07:00:30.000+07:00"
    assert jump.as_data()["to"] == "2026-11-23T12:00:00.000+07:00"


def test_another_boot_is_no_jump() -> None:
    machine, clock = steady()
    machine.at = replace(machine.at, time=NOON + timedelta(days=3), boot="c" * 36, monotonic_s=5.0)
    assert clock.look()[1] is None


@pytest.mark.parametrize(("quality", "is_found"), [("synchronised", True), ("unsure", False)])
def test_after_a_restart_only_a_clock_that_can_be_trusted_may_say_that_the_floor_is_wrong(
    quality: str, is_found: bool
) -> None:
    machine = Played()
    clock = SteadyClock(machine, lambda: NOON + timedelta(days=3650))
    machine.is_set(NOON, quality)
    at, jump = clock.look()
    assert (jump == Jump(NOON + timedelta(days=3650), NOON)) is is_found
    assert at.time == NOON


def test_a_little_below_the_floor_a_clock_waits_for_it() -> None:
    machine = Played()
    clock = SteadyClock(machine, lambda: NOON + JUMP)
    assert clock.look()[1] is None
    assert clock.now().time == NOON + JUMP
