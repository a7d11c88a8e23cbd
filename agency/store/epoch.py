"""The epoch, and how far the store has come in it.

The epoch rises when the store was put back from an older copy. Only then may receipts go back, and stations send again
what the copy lacks. A new epoch is at least the time in seconds, so that it is above every epoch that a copy forgot.

``commits`` counts the batches of events. Copied with the store, it says how old a copy is.
"""

import time
from typing import NamedTuple

from sqlalchemy import insert, select, update

from agency.store.database import AlteredRow, Connection
from agency.store.tables import meta


class Reach(NamedTuple):
    """How far a store has come. The larger one is the newer.

    Args:
        epoch: 1 or more.
        commits: batches of events since the store was made.
    """

    epoch: int
    commits: int


def reach(connection: Connection) -> Reach:
    """Return how far this store has come."""
    return Reach(_get(connection, "epoch", 1), _get(connection, "commits", 0))


def count_commit(connection: Connection) -> Reach:
    """Count one more batch; return how far the store has come with it."""
    epoch, commits = reach(connection)
    _put(connection, "commits", commits + 1)
    return Reach(epoch, commits + 1)


def raise_epoch(connection: Connection, above: int = 0) -> Reach:
    """Begin a new epoch, above the present one and above ``above``; every station is to be told."""
    epoch, commits = reach(connection)
    new = max(epoch + 1, above + 1, int(time.time()))
    _put(connection, "epoch", new)
    return Reach(new, commits)


def untold(connection: Connection, kid: str) -> int | None:
    """Return the epoch where not every station was sent a receipt of it by this key, else None.

    The first epoch is no news to anybody, nor is the first key.

    Args:
        connection: to the store.
        kid: of the receipt key in use.
    """
    epoch = _get(connection, "epoch", 1)
    told_by = connection.execute(select(meta.c.value).where(meta.c.key == "told_by")).scalar()
    return None if _get(connection, "told", 1) == epoch and told_by in (None, kid) else epoch


def is_told_by_any(connection: Connection) -> bool:
    """Say whether it was ever noted by which key stations were told."""
    return connection.execute(select(meta.c.value).where(meta.c.key == "told_by")).scalar() is not None


def note_told(connection: Connection, epoch: int, kid: str) -> None:
    """Note that every station was sent a receipt of an epoch by a key."""
    _put(connection, "told", epoch)
    _put(connection, "told_by", kid)


def _get(connection: Connection, name: str, default: int) -> int:
    value = connection.execute(select(meta.c.value).where(meta.c.key == name)).scalar()
    try:
        return default if value is None else int(value)
    except ValueError:
        raise AlteredRow(f"the database holds no number as its {name}: put an earlier copy of it back") from None


def _put(connection: Connection, name: str, value: int | str) -> None:
    if not connection.execute(update(meta).where(meta.c.key == name).values(value=str(value))).rowcount:
        connection.execute(insert(meta).values(key=name, value=str(value)))
