"""Telling every station of a new epoch: each gets a receipt, a few at a time, between what else there is to do."""

from agency.ingest.receipts import Address
from agency.store.chains import list_chains
from agency.store.database import Database
from agency.store.epoch import note_told, untold
from agency.store.stations import event_keys

_LOOK_EVERY_S = 2.0
_AT_ONCE = 100


class News:
    """What is still to be told.

    Args:
        database: the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epoch: int | None = None
        self._waiting: list[Address] = []
        self._next_look = 0.0

    def take(self, now: float, is_drained: bool) -> list[Address]:
        """Return whom to send a receipt now.

        Args:
            now: seconds of a monotonic clock.
            is_drained: the broker has acknowledged everything so far.
        """
        if self._epoch is not None and not self._waiting and is_drained:
            with self._database.write() as connection:
                note_told(connection, self._epoch)
            self._epoch = None
        if self._epoch is None and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._look()
        told, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        return told

    def _look(self) -> None:
        """Look whether the epoch is news; an operator, or another worker, may have raised it."""
        with self._database.read() as connection:
            self._epoch = untold(connection)
            if self._epoch is not None:
                good = {key.kid for key in event_keys(connection) if key.revoked_at is None}
                self._waiting = [Address(c.station, c.key) for c in list_chains(connection) if c.kid in good]
