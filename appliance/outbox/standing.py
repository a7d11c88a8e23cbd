"""What the state database tells of itself: how far delivery came, which receipts are kept, what was salvaged."""

import json
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.errors import VerificationError
from appliance.events.sign import unverified_payload
from appliance.outbox.reserve import Reserve
from appliance.outbox.row import Row


def receipts(connection: sqlite3.Connection) -> list[str]:
    """Return every receipt that is kept for the chain, as the agency signed them."""
    found = connection.execute("SELECT jws FROM receipt WHERE chain = (SELECT id FROM chain) ORDER BY through")
    return [jws for (jws,) in found]


def receipt_of(connection: sqlite3.Connection, row: Row) -> str | None:
    """Return the first receipt that covers ``row``, as the agency signed it; None where none does."""
    query = "SELECT jws FROM receipt WHERE chain = ? AND through >= ? ORDER BY through LIMIT 1"
    found = connection.execute(query, (row.chain, row.sequence)).fetchone()
    return found[0] if found else None


def salvaged(connection: sqlite3.Connection) -> list[Row]:
    """Return what was saved of earlier chains and is not covered yet, in order."""
    found = connection.execute("SELECT sequence, chain, hash, jws FROM waiting ORDER BY chain, sequence")
    return [_salvaged_row(*values) for values in found.fetchall()]


def _salvaged_row(sequence: int, chain: str, digest: str, jws: str) -> Row:
    event_type = time = ""
    with suppress(VerificationError, KeyError):
        event = unverified_payload(jws)
        event_type, time = str(event["type"]), str(event["time"])
    return Row(sequence, chain, event_type, time, digest, jws, covered=False, is_salvaged=True)


def status(connection: sqlite3.Connection, state: Path) -> dict[str, Any]:
    """Return how things stand: the station's last word, the backlog, the last receipt, the disk."""
    said = connection.execute("SELECT state FROM station").fetchone()
    through, epoch, received_at, frozen = connection.execute(
        "SELECT through, epoch, received_at, frozen FROM delivery"
    ).fetchone()
    query = "SELECT count(*), min(time) FROM event WHERE jws <> '' AND sequence > ?"
    count, oldest = connection.execute(query, (through,)).fetchone()
    (saved,) = connection.execute("SELECT count(*) FROM waiting").fetchone()
    return {
        **(json.loads(said[0]) if said else {"state": "never started"}),
        "backlog": {"count": count + saved, "oldest": oldest},
        "last_receipt": {"through": through, "epoch": epoch, "received_at": received_at} if received_at else None,
        "frozen": frozen,
        "storage": {
            "reserve": "whole" if Reserve(state).is_whole else "none",
            "salvaged": saved,
            "damaged": [folder for (folder,) in connection.execute("SELECT folder FROM damage ORDER BY 1")],
        },
    }
