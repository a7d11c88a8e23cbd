"""The machine's clock and how far it can be trusted.

Most Raspberry Pis have no clock that survives a power cut, so a time alone means little: every moment carries
whether the kernel's clock is synchronised (``adjtimex``), the boot id and the time since boot.
"""

import ctypes
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from appliance.ports import Moment

THAI_TIME = timezone(timedelta(hours=7))

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_STA_NANO = 0x2000


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


class SystemClock:
    """The machine's clock (``ports.Clock``)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()

    def now(self) -> Moment:
        """Return the present moment."""
        quality, offset_ms = self._quality()
        return Moment(
            time=datetime.now(THAI_TIME),
            quality=quality,
            offset_ms=offset_ms,
            boot=self._boot,
            monotonic_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        )

    def _quality(self) -> tuple[str, int | None]:
        timex = _Timex(modes=0)
        if self._libc.adjtimex(ctypes.byref(timex)) in (-1, _TIME_ERROR):
            return "unsure", None
        per_ms = 1_000_000 if timex.status & _STA_NANO else 1_000
        return "synchronised", round(timex.offset / per_ms)
