"""What a new state database takes over from a damaged one: what was saved, and what the station remembered.

Today's visits and their secret go along, or whoever was here before the damage would be recorded once more; the signed
documents too, which are verified by whoever uses them.
"""

import sqlite3
from contextlib import suppress
from datetime import datetime

from appliance.outbox.salvage import Wreck

_KEPT = ("day", "visit", "document")
_FIRST_YEAR_S = 1_577_836_800  # 2020


def adopt(connection: sqlite3.Connection, wreck: Wreck, folder: str, at: datetime) -> None:
    """Write it, inside the caller's transaction."""
    for saved in wreck.events.values():
        row = (saved.chain, saved.sequence, saved.hash, saved.jws)
        connection.execute("INSERT INTO salvaged VALUES (?, ?, ?, ?)", row)
    for table in _KEPT:
        for row in wreck.rows.get(table, []):
            with suppress(sqlite3.IntegrityError, sqlite3.ProgrammingError):  # a row as damaged as its file
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608 - our own names
    connection.execute("INSERT INTO damage VALUES (?, ?, ?)", (folder, at.isoformat(timespec="seconds"), wreck.chain))
    epoch = max((receipt.epoch for receipt in wreck.receipts.values()), default=0)  # it never goes down
    connection.execute("UPDATE delivery SET boot = ?, epoch = ?", (_boot(wreck, at), epoch))


def _boot(wreck: Wreck, at: datetime) -> int:
    """Return a count of starts that no earlier one exceeds: a status of before must not outlast those to come."""
    row = next(iter(wreck.rows.get("delivery", [])), None)
    if row is not None and isinstance(row[1], int):
        return row[1]
    return max(int(at.timestamp()) - _FIRST_YEAR_S, 0) // 60
