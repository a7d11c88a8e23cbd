"""A clock that says of itself that it is simulated."""

from dataclasses import replace
from datetime import timedelta

from appliance.ports import Clock, Moment


class SimulatedClock:
    """The machine's time, taken as right, moved by ``shift`` (``ports.Clock``).

    ``shift`` is time that passed, ``jump`` is a clock that was set: it moves the time and not the time since boot.

    Every event made with it says ``simulated``, so that no demonstration passes for the real thing.

    Args:
        real: the machine's clock.
        quality: what it claims of itself.
    """

    def __init__(self, real: Clock, quality: str = "simulated") -> None:
        self._real = real
        self.quality = quality
        self.shift = timedelta()
        self.jump = timedelta()

    def now(self) -> Moment:
        """Return the machine's moment, moved and renamed."""
        real = self._real.now()
        return replace(
            real,
            time=real.time + self.shift + self.jump,
            monotonic_s=real.monotonic_s + max(self.shift.total_seconds(), 0),
            quality=self.quality,
            offset_ms=None,
            last_sync_age_s=None,
        )
