"""The machine's clock and how far it can be trusted.

Most Raspberry Pis have no clock that survives a power cut, so a time alone means little: every moment carries
whether the clock is synchronised, when it last was corrected, the boot id and the time since boot.

The kernel does not tell when a time server last corrected the clock. But its bound of the error (``maxerror`` of
``adjtimex``) grows by 500 microseconds each second and falls with every correction, so its size says how long ago that
was at most. After nine hours the bound is at its limit, and the kernel calls the clock not synchronised; the settings
may allow longer, so what was seen is remembered, until somebody sets the clock by hand.

Source: adjtimex(2); Linux, ``kernel/time/ntp.c`` (MAXFREQ, NTP_PHASE_LIMIT).
"""

import ctypes
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from appliance.ports import Moment

THAI_TIME = timezone(timedelta(hours=7))

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_STA_NANO = 0x2000
_GROWTH_US_S = 500
_SLACK_S = 2.0  # the kernel counts once a second
_SLEW = 0.001  # twice as fast as any time server moves the clock without setting it
DEFAULT_MAX_UNSYNCED_S = 86_400.0


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


class LastCorrection:
    """Remembers when the clock was last corrected, from looks at the kernel in any rhythm; times since boot."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._seen: tuple[float, float, float] | None = None  # error bound (s of growth), time since boot, wall - boot

    def look(self, is_synchronised: bool, max_error_us: int, boot_s: float, wall_s: float) -> float | None:
        """Return how long ago it was at most, in seconds; None where it is not known to have been.

        Args:
            is_synchronised: what the kernel says.
            max_error_us: its bound of the error.
            boot_s: seconds since boot.
            wall_s: seconds since 1970 by the clock itself.
        """
        grown_s = max_error_us / _GROWTH_US_S
        if is_synchronised:
            was_corrected = self._seen is not None and grown_s < self._seen[0] + boot_s - self._seen[1] - _SLACK_S
            at_s = boot_s if was_corrected else boot_s - grown_s
            self._at_s = at_s if self._at_s is None else max(self._at_s, at_s)
        elif self._was_set(boot_s, wall_s):
            self._at_s = None
        self._seen = (grown_s, boot_s, wall_s - boot_s)
        return None if self._at_s is None else max(boot_s - self._at_s, 0.0)

    def _was_set(self, boot_s: float, wall_s: float) -> bool:
        if self._seen is None:
            return True
        return abs(wall_s - boot_s - self._seen[2]) > 1 + _SLEW * (boot_s - self._seen[1])


class SystemClock:
    """The machine's clock (``ports.Clock``).

    Args:
        max_unsynced_s: a clock that was not corrected for longer is unsure.
    """

    def __init__(self, max_unsynced_s: float = DEFAULT_MAX_UNSYNCED_S) -> None:
        self._libc = ctypes.CDLL(None)
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        self._max_unsynced_s = max_unsynced_s
        self._correction = LastCorrection()
        self._offset_ms: int | None = None

    def now(self) -> Moment:
        """Return the present moment."""
        time_s, boot_s = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
        age_s = self._last_sync_age_s(boot_s, time_s)
        is_sure = age_s is not None and age_s <= self._max_unsynced_s
        return Moment(
            time=datetime.fromtimestamp(time_s, THAI_TIME),
            quality="synchronised" if is_sure else "unsure",
            offset_ms=self._offset_ms if is_sure else None,
            boot=self._boot,
            monotonic_s=boot_s,
            last_sync_age_s=age_s,
        )

    def _last_sync_age_s(self, boot_s: float, time_s: float) -> float | None:
        timex = _Timex(modes=0)
        is_synchronised = self._libc.adjtimex(ctypes.byref(timex)) not in (-1, _TIME_ERROR)
        if is_synchronised:
            per_ms = 1_000_000 if timex.status & _STA_NANO else 1_000
            self._offset_ms = round(timex.offset / per_ms)
        return self._correction.look(is_synchronised, timex.maxerror, boot_s, time_s)
