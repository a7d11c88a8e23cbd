"""What leaves the station once the agency has it, and when.

An event that a receipt covers keeps its content for the retention of its own service, whichever serves by now, counted
from the time at which the agency says that it committed. Then its row is *erased*: only sequence number and hash stay,
and the receipt that covers it; of the newest row the time as well, because no later event may be earlier. Rows that are
older still go altogether, but for those that the chain and the next receipt are compared with. An event that no receipt
covers is never touched, nor is any while the queue is frozen.

``secure_delete`` overwrites what is freed, and the log is folded in afterwards, or the content would still lie there.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from appliance.outbox import database

BATCH_ROWS = 100
DAMAGED_NAME = "damaged"

_DUE = "SELECT coalesce(max(through), 0) FROM receipt WHERE chain = ? AND through <= ? AND committed_s <= ?"
_OVERDUE = (  # of a table "due": up to which event the content of a type may go; type '' stands for every other one
    "FROM event JOIN due ON due.type = CASE WHEN event.type IN (SELECT type FROM due) THEN event.type ELSE '' END"
    " WHERE jws <> '' AND sequence <= due.through"
)
_ERASE = (
    "UPDATE event SET jws = '', type = '', verdict = NULL,"  # noqa: S608 - our own words
    " time = CASE sequence WHEN (SELECT max(sequence) FROM event) THEN time ELSE '' END WHERE sequence IN"
    f" (SELECT sequence {_OVERDUE} ORDER BY sequence LIMIT {BATCH_ROWS})"
)
_DELETE = (
    "DELETE FROM event WHERE sequence IN (SELECT sequence FROM event WHERE sequence <= ? ORDER BY sequence LIMIT ?)"
)
_CONFIRMED_BEFORE = (
    "FROM salvaged WHERE sequence <= (SELECT former.through FROM former, delivery WHERE former.chain = salvaged.chain"
    " AND former.epoch >= delivery.epoch AND committed_s <= ?)"
)
_PRUNE = "DELETE FROM receipt WHERE chain = ? AND through < (SELECT min(sequence) FROM event)"


def sweep(
    connection: sqlite3.Connection,
    now: datetime,
    content_days: int,
    row_days: int,
    by_type: Mapping[str, int] = MappingProxyType({}),
) -> int:
    """Erase and delete the next rows that are due; return how many, 0 where none is left.

    Args:
        connection: the state database.
        now: the time, which must be sure.
        content_days: how long the content stays after its receipt.
        row_days: how long the row stays after its receipt.
        by_type: event type -> how long its content stays, where that is another time.

    Raises:
        StoreError: it cannot be written now.
    """
    with database.translated():
        standing = connection.execute("SELECT id, through FROM chain, delivery WHERE frozen IS NULL").fetchone()
        if standing is None:
            return 0
        chain, through = standing
        too_old = now - timedelta(days=min(content_days, row_days))
        days = {"": content_days, **by_type}
        due = {
            event_type: _due(connection, chain, through, now - timedelta(days=min(stay, row_days)))
            for event_type, stay in days.items()
        }
        delete_to = min(_due(connection, chain, through, now - timedelta(days=row_days)), through - 1)
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS due (type TEXT PRIMARY KEY, through INTEGER NOT NULL)")
        connection.execute("DELETE FROM due")
        connection.executemany("INSERT INTO due VALUES (?, ?)", due.items())
        if not _has_rows(connection, delete_to, too_old):
            return 0
    with database.transaction(connection):
        changed = connection.execute(_ERASE).rowcount
        changed += connection.execute(_DELETE, (delete_to, BATCH_ROWS)).rowcount
        changed += connection.execute(f"DELETE {_CONFIRMED_BEFORE}", (int(too_old.timestamp()),)).rowcount
        connection.execute(_PRUNE, (chain,))
    fold_log(connection)
    return changed


def forget_damage(connection: sqlite3.Connection, state: Path, now: datetime, days: int) -> None:
    """Delete damaged files whose time is over: they hold events, too. One that a person deleted is only forgotten.

    What was saved of them must have left first.

    Raises:
        StoreError: it cannot be written now.
    """
    with database.translated():
        (saved,) = connection.execute("SELECT count(*) FROM waiting").fetchone()
        kept = connection.execute("SELECT folder, at FROM damage").fetchall()
    for name, at in kept:
        folder = state / DAMAGED_NAME / name
        if not saved and datetime.fromisoformat(at) <= now - timedelta(days=days):
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            with database.transaction(connection):
                connection.execute("DELETE FROM damage WHERE folder = ?", (name,))


def fold_log(connection: sqlite3.Connection) -> None:
    """Empty the write-ahead log, which still holds what was erased; a reader in the way leaves it to the next time."""
    with database.translated():
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _due(connection: sqlite3.Connection, chain: str, through: int, before: datetime) -> int:
    """Return up to which event receipts of before ``before`` reach."""
    row = connection.execute(_DUE, (chain, through, int(before.timestamp()))).fetchone()
    return int(row[0])


def _has_rows(connection: sqlite3.Connection, delete_to: int, too_old: datetime) -> bool:
    query = (  # our own words
        f"SELECT EXISTS (SELECT 1 {_OVERDUE})"  # noqa: S608
        " OR EXISTS (SELECT 1 FROM event WHERE sequence <= ?)"
        f" OR EXISTS (SELECT 1 {_CONFIRMED_BEFORE})"
    )
    return bool(connection.execute(query, (delete_to, int(too_old.timestamp()))).fetchone()[0])
