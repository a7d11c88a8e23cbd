"""Signs that the clock was set, and knows how early the next event may be (docs/adr/0023).

The floor is the time of the newest event, or the release where that is later. Only a jump that was signed with a clock
that can be trusted lowers it: then it is what the clock said after the jump.
"""

import logging
from contextlib import suppress
from datetime import datetime

from appliance import RELEASED
from appliance.errors import VerificationError
from appliance.events.chain import Position
from appliance.events.sign import unverified_payload
from appliance.events.writer import EventWriter
from appliance.hardware.clock import THAI_TIME
from appliance.hardware.steady_clock import SteadyClock
from appliance.outbox.row import Row
from appliance.outbox.store import Outbox
from appliance.ports import Moment

CLOCK_JUMPED = "clock.jumped.v1"

_GARBLED = (VerificationError, KeyError, TypeError, ValueError, OverflowError)

_log = logging.getLogger(__name__)


def released() -> datetime:
    """Return when this version was released: the floor of a station that has signed nothing yet."""
    return datetime.fromisoformat(RELEASED).replace(tzinfo=THAI_TIME)


class Floor:
    """Returns the earliest time that may be signed now. Raises StoreError."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._next: Position | None = None
        self._floor = released()

    def __call__(self) -> datetime:
        """Return it."""
        position = self._outbox.head()
        if position != self._next:
            self._next, self._floor = position, max(self._signed(position.sequence - 1), released())
        return self._floor

    def _signed(self, sequence: int) -> datetime:
        """Return the time of an event; of the receipt that covers it, where its content was erased since."""
        row = self._outbox.row(sequence)
        if row is None:
            return released()
        receipt = self._outbox.receipt_of(row) if row.is_erased else None
        with suppress(*_GARBLED):
            if receipt is not None:
                return _thai_time(unverified_payload(receipt)["committed_at"])  # verified when it came
            return _signed_time(row)
        return released()


def _signed_time(row: Row) -> datetime:
    """Return the time after which the event in ``row`` lets the next one be. Raises any of ``_GARBLED``."""
    if row.type == CLOCK_JUMPED:
        data = unverified_payload(row.jws)["data"]
        if data["clock"]["quality"] != "unsure":
            return _thai_time(data["jump"]["to"])
    return _thai_time(row.time)


def _thai_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(THAI_TIME)


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
        with suppress(*_GARBLED):  # 'outbox verify' is who says so
            clock = unverified_payload(row.jws)["data"]["clock"]
            if clock["quality"] != "unsure":
                at = Moment(_signed_time(row), clock["quality"], None, clock["boot"], float(clock["monotonic_s"]))
                self._clock.settle(at)
