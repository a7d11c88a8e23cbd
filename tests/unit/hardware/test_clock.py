"""The machine's clock, against the kernel itself; and the simulated one, which never passes for it."""

import ctypes
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.hardware.clock import DEFAULT_MAX_UNSYNCED_S, LastCorrection, SystemClock
from appliance.simulate.clock import SimulatedClock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_OK, TIME_ERROR = 0, 5
STA_NANO = 0x2000


class Kernel:
    """Answers ``adjtimex`` as a kernel in a chosen state."""

    def __init__(self, result: int, offset: int = 0, status: int = 0, max_error: int = 0) -> None:
        self._result, self._offset, self._status, self.max_error = result, offset, status, max_error
        self.modes: list[int] = []

    def adjtimex(self, reference: Any) -> int:
        timex = reference._obj
        self.modes.append(timex.modes)
        timex.offset, timex.status, timex.maxerror = self._offset, self._status, self.max_error
        return self._result


def clock_on(kernel: Kernel, max_unsynced_s: float = DEFAULT_MAX_UNSYNCED_S) -> SystemClock:
    clock = SystemClock(max_unsynced_s)
    clock._libc = kernel  # type: ignore[assignment]
    return clock


@pytest.fixture
def far_away() -> Iterator[None]:
    """A machine whose own time zone is not Thailand's."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def test_the_time_is_thai_time_and_right() -> None:
    now = SystemClock().now().time
    assert now.utcoffset() == timedelta(hours=7)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=1)
    assert now.isoformat().endswith("+07:00")


@pytest.mark.usefixtures("far_away")
def test_the_zone_of_the_machine_changes_nothing() -> None:
    now = SystemClock().now().time
    assert now.utcoffset() == timedelta(hours=7)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=1)


def test_the_boot_id_is_the_kernel_s_and_stays() -> None:
    first, second = SystemClock(), SystemClock()
    assert first.now().boot == second.now().boot == BOOT_ID.read_text().strip()
    assert len(first.now().boot) == 36


def test_the_time_since_boot_never_goes_back_and_counts_from_boot() -> None:
    clock = SystemClock()
    moments = [clock.now().monotonic_s for _ in range(500)]
    assert moments == sorted(moments)
    assert abs(clock.now().monotonic_s - float(Path("/proc/uptime").read_text().split()[0])) < 1.0


def test_the_quality_is_what_the_kernel_says_of_itself() -> None:
    state = ctypes.CDLL(None).ntp_gettime(ctypes.create_string_buffer(256))
    moment = SystemClock().now()
    assert moment.quality == ("unsure" if state in (-1, TIME_ERROR) else "synchronised")
    assert (moment.offset_ms is None) == (moment.quality == "unsure")


@pytest.mark.parametrize("result", [-1, TIME_ERROR])
def test_a_clock_that_is_not_synchronised_or_cannot_be_asked_is_unsure(result: int) -> None:
    moment = clock_on(Kernel(result, offset=5_000_000, status=STA_NANO)).now()
    assert (moment.quality, moment.offset_ms, moment.is_sure) == ("unsure", None, False)


@pytest.mark.parametrize("leap_second", [1, 2, 3, 4])
def test_a_leap_second_does_not_make_it_unsure(leap_second: int) -> None:
    assert clock_on(Kernel(leap_second)).now().quality == "synchronised"


@pytest.mark.parametrize(
    ("offset", "status", "offset_ms"),
    [
        (0, 0, 0),
        (3_400, 0, 3),
        (-3_600, 0, -4),
        (3_400, STA_NANO, 0),
        (3_400_000, STA_NANO, 3),
        (-250_000_000, STA_NANO, -250),
        (3_400_000, STA_NANO | 0x0001, 3),
    ],
)
def test_the_offset_is_in_milliseconds_whatever_the_kernel_counts_in(offset: int, status: int, offset_ms: int) -> None:
    moment = clock_on(Kernel(TIME_OK, offset, status)).now()
    assert (moment.quality, moment.offset_ms, moment.is_sure) == ("synchronised", offset_ms, True)


def test_the_clock_is_asked_and_never_set() -> None:
    kernel = Kernel(TIME_OK)
    clock = clock_on(kernel)
    for _ in range(3):
        clock.now()
    assert kernel.modes == [0, 0, 0]


def test_an_event_carries_quality_offset_boot_and_time_since_boot() -> None:
    moment = clock_on(Kernel(TIME_OK, 7_000)).now()
    data = moment.as_data()
    assert data == {
        "quality": "synchronised",
        "offset_ms": 7,
        "boot": moment.boot,
        "monotonic_s": round(moment.monotonic_s, 3),
        "last_sync_age_s": 0,
    }


def test_a_simulated_clock_says_so_whatever_the_machine_says() -> None:
    for result in (TIME_OK, TIME_ERROR):
        moment = SimulatedClock(clock_on(Kernel(result, 7_000))).now()
        assert (moment.quality, moment.offset_ms, moment.is_sure) == ("simulated", None, True)
        assert moment.as_data()["quality"] == "simulated"
        assert moment.boot == BOOT_ID.read_text().strip()


def test_a_shift_moves_time_and_time_since_boot_together() -> None:
    real = SystemClock()
    clock = SimulatedClock(real)
    before = clock.now()
    clock.shift += timedelta(days=1)
    after = clock.now()
    assert timedelta(days=1) <= after.time - before.time < timedelta(days=1, seconds=1)
    assert 86_400 <= after.monotonic_s - before.monotonic_s < 86_401
    assert after.time.utcoffset() == timedelta(hours=7)


def test_a_shift_back_moves_the_time_and_never_the_time_since_boot() -> None:
    clock = SimulatedClock(SystemClock())
    before = clock.now()
    clock.shift = timedelta(hours=-3)
    after = clock.now()
    assert before.time - after.time > timedelta(hours=2, minutes=59)
    assert after.monotonic_s >= before.monotonic_s


def test_a_simulated_clock_can_play_an_unsure_one() -> None:
    clock = SimulatedClock(SystemClock(), "unsure")
    assert clock.now().is_sure is False
    clock.quality = "synchronised"
    assert clock.now().is_sure is True


def test_a_jump_moves_the_time_and_not_the_time_since_boot() -> None:
    clock = SimulatedClock(SystemClock())
    before = clock.now()
    clock.jump = timedelta(days=3650)
    after = clock.now()
    assert after.time - before.time > timedelta(days=3649)
    assert after.monotonic_s - before.monotonic_s < 1


LIMIT_US = 16_000_000
WALL_S = 1_800_000_000.0


class Looks:
    """Looks at a kernel whose error bound grows as Linux lets it; a time server corrects it, or somebody sets it."""

    def __init__(self) -> None:
        self.correction, self.boot_s, self.wall_s = LastCorrection(), 100.0, WALL_S
        self.error_us, self.is_synchronised = LIMIT_US, False

    def corrected(self, error_us: int = 0) -> None:
        self.error_us, self.is_synchronised = error_us, True

    def set_by_hand(self, seconds: float) -> None:
        self.wall_s += seconds
        self.error_us, self.is_synchronised = LIMIT_US, False

    def after(self, seconds: float) -> float | None:
        self.boot_s += seconds
        self.wall_s += seconds
        self.error_us = min(self.error_us + round(500 * seconds), LIMIT_US)
        self.is_synchronised = self.is_synchronised and self.error_us < LIMIT_US
        return self.correction.look(self.is_synchronised, self.error_us, self.boot_s, self.wall_s)


def test_a_clock_that_was_never_corrected_has_no_age() -> None:
    looks = Looks()
    assert [looks.after(1000) for _ in range(3)] == [None] * 3


def test_the_age_grows_from_the_correction_and_falls_with_the_next_one() -> None:
    looks = Looks()
    looks.corrected()
    assert looks.after(10) == pytest.approx(10, abs=1)
    assert looks.after(600) == pytest.approx(610, abs=1)
    looks.corrected()
    assert looks.after(3) == pytest.approx(3, abs=4)


def test_a_time_server_that_is_never_quite_sure_corrects_all_the_same() -> None:
    looks = Looks()
    looks.corrected(error_us=50_000)
    assert looks.after(10) == pytest.approx(110, abs=1)  # at most so long ago
    assert looks.after(1000) == pytest.approx(1110, abs=1)
    looks.corrected(error_us=50_000)
    assert looks.after(0) == pytest.approx(0, abs=1)  # this one was seen


def test_the_kernel_forgets_after_nine_hours_and_we_do_not() -> None:
    looks = Looks()
    looks.corrected()
    looks.after(8 * 3600)
    looks.after(3600)
    assert not looks.is_synchronised
    assert looks.after(5 * 3600) == pytest.approx(14 * 3600, abs=2)


def test_a_process_that_starts_after_those_nine_hours_does_not_know() -> None:
    looks = Looks()
    looks.corrected()
    looks.after(10 * 3600)
    looks.correction = LastCorrection()
    assert looks.after(1) is None


@pytest.mark.parametrize("seconds", [-3 * 86_400, 2.0, 10 * 365 * 86_400])
@pytest.mark.parametrize("passed_s", [60, 12 * 3600])
def test_a_clock_that_was_set_by_hand_is_nobody_s(seconds: float, passed_s: float) -> None:
    looks = Looks()
    looks.corrected()
    looks.after(1)
    assert looks.after(passed_s) is not None
    looks.set_by_hand(seconds)
    assert looks.after(1) is None
    assert looks.after(1) is None
    looks.corrected()
    assert looks.after(1) == pytest.approx(1, abs=3)


def test_a_clock_that_is_drawn_towards_the_time_is_not_one_that_was_set() -> None:
    looks = Looks()
    looks.corrected()
    looks.after(1)
    looks.after(9 * 3600)
    looks.wall_s += 4 * 1.8  # 500 ppm for four hours
    assert looks.after(4 * 3600) is not None


def test_beyond_what_the_settings_allow_the_clock_is_unsure() -> None:
    kernel = Kernel(TIME_OK, 7_000)
    clock = clock_on(kernel, max_unsynced_s=3600)
    assert clock.now().quality == "synchronised"
    kernel.max_error = 500 * 3500
    moment = clock_on(kernel, max_unsynced_s=3600).now()
    assert (moment.quality, round(moment.last_sync_age_s or 0)) == ("synchronised", 3500)
    kernel.max_error = 500 * 3700
    moment = clock_on(kernel, max_unsynced_s=3600).now()
    assert (moment.quality, moment.offset_ms, round(moment.last_sync_age_s or 0)) == ("unsure", None, 3700)


def test_the_age_is_in_the_event_in_whole_seconds_and_null_where_there_was_none() -> None:
    assert clock_on(Kernel(TIME_OK, max_error=500 * 60)).now().as_data()["last_sync_age_s"] == 60
    assert clock_on(Kernel(TIME_ERROR, max_error=LIMIT_US)).now().as_data()["last_sync_age_s"] is None
