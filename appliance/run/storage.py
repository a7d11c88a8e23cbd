"""What the station does about its disk: keeps the reserve, says once that it is full, and tries again.

The order when nothing more can be stored: the reserve is given back, one ``station.storage_full.v1`` goes into its
place, and no card is taken. The reserve that could be made again is the sign that there is room; a reserve that is
gone is the sign that the event was written, so that a station which starts again and again says it once.
"""

import logging

from appliance.errors import OutboxFull, OutboxUnavailable, StoreError
from appliance.events.chain import Position
from appliance.events.writer import EventWriter
from appliance.outbox.reserve import Reserve, shortage
from appliance.outbox.store import Outbox
from appliance.ports import Clock

EVENT = "station.storage_full.v1"

_log = logging.getLogger(__name__)


class Storage:
    """The disk under one outbox.

    Args:
        outbox: on the disk.
        writer: signs the event.
        clock: the time of the event.
        short_of: what had run out when the reserve was given back, to open the outbox at all; ``""`` for nothing.
    """

    def __init__(self, outbox: Outbox, writer: EventWriter, clock: Clock, short_of: str = "") -> None:
        self._outbox, self._writer, self._clock = outbox, writer, clock
        self._short_of = short_of
        self._reserve = Reserve(outbox.path.parent)
        self._is_kept = False

    def keep_reserve(self) -> None:
        """Make the reserve where it is not there yet and an event finds room. Raises StoreError."""
        if self._is_kept:
            return
        if not self._reserve.is_whole:
            self._outbox.probe()
            self._reserve.keep()
        self._is_kept = True

    def note(self, error: StoreError) -> None:
        """Say in an event, once, that the disk or the file is full; other errors change nothing."""
        if not isinstance(error, OutboxFull):
            return
        self._is_kept = False
        short_of = shortage(self._outbox.path.parent) or "limit"  # asked while the reserve still takes its room
        if self._reserve.release():
            self._short_of = short_of
        if not self._short_of:
            return
        try:
            self._outbox.append_beyond_limit(self._event)
        except StoreError as still:
            _log.error("%s: not even the reserve takes an event: %s", still.code, still)
        self._short_of = ""

    def try_again(self, error: StoreError) -> None:
        """Find out whether cards can be taken again after ``error``. Raises StoreError where they cannot."""
        if isinstance(error, OutboxUnavailable):
            self._outbox.reopen()
        self._outbox.probe()
        self.keep_reserve()

    def _event(self, position: Position) -> str:
        at = self._clock.now()
        storage = {"short_of": self._short_of, "used_bytes": self._outbox.size_bytes()}
        return self._writer.station(position, EVENT, at.time, {"clock": at.as_data(), "storage": storage})
