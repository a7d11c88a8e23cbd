"""Telling every station of a new epoch, or of a new receipt key: each gets a receipt, a few at a time.

A receipt that the broker keeps must be one that its station can verify, also after the key of before is retired.
"""

from agency.ingest.receipts import Address
from agency.store.chains import list_chains
from agency.store.database import Database
from agency.store.epoch import is_told_by_any, note_told, untold
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
        self._telling: tuple[int, str] | None = None
        self._waiting: list[Address] = []
        self._next_look = 0.0

    def take(self, now: float, kid: str, is_drained: bool) -> list[Address]:
        """Return whom to send a receipt now.

        Args:
            now: seconds of a monotonic clock.
            kid: of the receipt key in use.
            is_drained: the broker has acknowledged everything so far.
        """
        if self._telling is not None and not self._waiting and is_drained:
            with self._database.write() as connection:
                note_told(connection, *self._telling)
            self._telling = None
        if self._telling is None and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._look(kid)
        told, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        return told

    def _look(self, kid: str) -> None:
        """Look whether there is news; an operator, or another worker, may have raised the epoch or turned the key."""
        with self._database.read() as connection:
            epoch, is_first = untold(connection, kid), not is_told_by_any(connection)
            if epoch is not None:
                self._telling = epoch, kid
                good = {key.kid for key in event_keys(connection) if key.revoked_at is None}
                self._waiting = [Address(c.station, c.key) for c in list_chains(connection) if c.kid in good]
        if is_first and epoch is None:
            with self._database.write() as connection:
                note_told(connection, 1, kid)
