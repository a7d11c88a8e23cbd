"""Signs that the clock was set, and knows how early the next event may be (docs/adr/0023).

The floor is the time of the newest event, or the release where that is later. Only a jump that was signed with a clock
that can be trusted lowers it: then it is what the clock said after the jump.
"""

import logging
from datetime import datetime

from appliance import RELEASED
from appliance.events.sign import unverified_payload
from appliance.events.writer import EventWriter
from appliance.hardware.clock import THAI_TIME
from appliance.hardware.steady_clock import SteadyClock
from appliance.outbox.store import Outbox, Row
from appliance.ports import Moment

CLOCK_JUMPED = "clock.jumped.v1"

_log = logging.getLogger(__name__)


def released() -> datetime:
    """Return when this version was released: the floor of a station that has signed nothing yet."""
    return datetime.fromisoformat(RELEASED).replace(tzinfo=THAI_TIME)


class Floor:
    """Returns the earliest time that may be signed now. Raises StoreError."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._newest = -1
        self._floor = released()

    def __call__(self) -> datetime:
        """Return it."""
        newest = self._outbox.head().sequence - 1
        if newest != self._newest:
            row = self._outbox.row(newest)
            self._newest, self._floor = newest, max(_signed_time(row), released()) if row else released()
        return self._floor


def _signed_time(row: Row) -> datetime:
    """Return the time after which the event in ``row`` lets the next one be."""
    if row.type == CLOCK_JUMPED:
        data = unverified_payload(row.jws)["data"]
        if data["clock"]["quality"] != "unsure":
            return datetime.fromisoformat(data["jump"]["to"])
    return datetime.fromisoformat(row.time)


class Timekeeper:
    """Looks whether the clock was set.

    Args:
        clock: the station's clock.
        outbox: takes the event.
        writer: signs it.
    """

    def __init__(self, clock: SteadyClock, outbox: Outbox, writer: EventWriter) -> None:
        self._clock = clock
        self._outbox = outbox
        self._writer = writer
        self._remember()

    def look(self) -> None:
        """Sign an event where the clock jumped since the last look. Raises StoreError, and looks again after that."""
        at, jump = self._clock.look()
        if jump is not None:
            time = max(at.time, self._clock.floor())
            data = {"clock": at.as_data(), "jump": jump.as_data()}
            self._outbox.append(lambda position: self._writer.station(position, CLOCK_JUMPED, time, data))
            _log.warning("the clock was set from %s to %s", data["jump"]["from"], data["jump"]["to"])
        self._clock.settle(at)

    def _remember(self) -> None:
        """Begin at the newest event, so that a clock that was set while this process was down is noticed, too."""
        row = self._outbox.row(self._outbox.head().sequence - 1)
        if row is None:
            return
        clock = unverified_payload(row.jws)["data"]["clock"]
        if clock["quality"] != "unsure":
            self._clock.settle(Moment(_signed_time(row), clock["quality"], None, clock["boot"], clock["monotonic_s"]))
