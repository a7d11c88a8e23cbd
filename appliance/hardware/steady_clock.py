"""A clock that never goes below what was signed, and how a clock that was set is noticed (docs/adr/0023).

Events are in the order of their times. So a time before the last signed event, or before this version was released, is
not used: the moment then carries that *floor*, and ``unsure``. A clock that was set wrong by years, forward, would so
stay wrong for years: a synchronised clock far below the floor is right and the floor is wrong, and the station may go
below it once it has signed that it does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from appliance.ports import Clock, Moment

JUMP = timedelta(minutes=5)


@dataclass(frozen=True)
class Jump:
    """A clock that was set.

    Args:
        start: what it should have said.
        end: what it says.
    """

    start: datetime
    end: datetime

    def as_data(self) -> dict[str, object]:
        """Return the ``jump`` member of an event."""
        return {
            "from": self.start.isoformat(timespec="milliseconds"),
            "to": self.end.isoformat(timespec="milliseconds"),
            "seconds": round((self.end - self.start).total_seconds()),
        }


class SteadyClock:
    """A clock with a floor (``ports.Clock``).

    Args:
        machine: the clock itself.
        floor: returns the earliest time that may be signed now.
    """

    def __init__(self, machine: Clock, floor: Callable[[], datetime]) -> None:
        self.machine = machine
        self.floor = floor
        self._seen: Moment | None = None

    def now(self) -> Moment:
        """Return the present moment, at the floor where the machine says less; a simulated clock stays one."""
        at, floor = self.machine.now(), self.floor()
        if at.time >= floor:
            return at
        return replace(at, time=floor, quality="simulated" if at.quality == "simulated" else "unsure", offset_ms=None)

    def look(self) -> tuple[Moment, Jump | None]:
        """Return the machine's own moment, and the jump that has to be signed before that time may be used.

        The same jump is found again until ``settle`` is told of a moment after it.
        """
        at = self.machine.now()
        seen = self._seen
        if seen is not None and seen.boot == at.boot:
            expected = seen.time + timedelta(seconds=at.monotonic_s - seen.monotonic_s)
            if abs(at.time - expected) > JUMP:
                return at, Jump(expected, at.time)
        floor = self.floor()
        return at, Jump(floor, at.time) if at.is_sure and floor - at.time > JUMP else None

    def settle(self, at: Moment) -> None:
        """From now on a jump is one after ``at``."""
        self._seen = at
