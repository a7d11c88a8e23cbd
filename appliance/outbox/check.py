"""The look at the state database when the station starts: may it be written to, or must it be set aside?

SQLite's own check finds broken pages. It does not find a text with a flipped bit, so every event that still waits for
its receipt is compared with its hash and its place: one that the agency would refuse, or a gap, would stop delivery for
ever, and the sooner that is said, the less is lost.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from appliance.errors import OutboxDamaged, StoreError
from appliance.events.chain import jws_hash
from appliance.outbox.database import SCHEMA_VERSION, translated

SUSPECT_NAME = "suspect"  # a file that says: somebody met damage, look again
_NO_VERSION = 1000  # larger ones are damage
_NEEDED = {"chain", "event", "day", "visit", "station", "delivery", "document"}


def suspect(state: Path) -> Path:
    """Return the file by which the link tells the station that it met damage."""
    return state / SUSPECT_NAME


def check(path: Path) -> None:
    """Read all of the database at ``path``.

    Raises:
        OutboxDamaged: it must not be used any more.
        StoreError: it cannot be read now, or was made by newer software.
    """
    with translated(), closing(_opened(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if SCHEMA_VERSION < version < _NO_VERSION:
            raise StoreError(f"{path} holds tables of version {version}; this software knows version {SCHEMA_VERSION}")
        how = "integrity_check" if suspect(path.parent).exists() else "quick_check"  # the first compares indexes, too
        (verdict,) = database.execute(f"PRAGMA {how}(1)").fetchone()
        if verdict != "ok":
            raise OutboxDamaged(f"{path} is damaged: {verdict}")
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= _NEEDED:
            raise OutboxDamaged(f"{path} is damaged: there is no table {min(_NEEDED - tables)}")
        fault = next(_content_faults(database, "receipt" in tables), None)
        if fault:
            raise OutboxDamaged(f"{path} is damaged: {fault}")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)


def _content_faults(database: sqlite3.Connection, has_receipts: bool) -> Iterator[str]:
    delivery = database.execute("SELECT through FROM delivery").fetchone()
    if delivery is None:
        yield "nothing says how far the receipts reach"
        return
    first, newest = database.execute("SELECT min(sequence), max(sequence) FROM event").fetchone()
    through, reach = int(delivery[0]), int(delivery[0])
    if has_receipts:  # after an agency went back, rows that an earlier receipt covered may be gone
        query = "SELECT coalesce(max(through), 0) FROM receipt WHERE chain = (SELECT id FROM chain)"
        reach = max(through, database.execute(query).fetchone()[0])
    if through > (newest or 0):
        yield f"the last receipt names event {through}, and the newest is {newest}"
    if first is not None and database.execute("SELECT 1 FROM chain").fetchone() is None:
        yield "there are events and no chain"
    last = max(through, min((first or 1) - 1, reach))
    rows = database.execute("SELECT sequence, hash, jws FROM event WHERE sequence > ? ORDER BY sequence", (last,))
    for sequence, digest, jws in rows:
        if sequence != last + 1:
            yield f"events {last + 1} to {sequence - 1} are missing"
        if jws and jws_hash(jws) != digest:
            yield f"event {sequence} is not what its hash says"
        last = sequence
