"""The outbox as the station sees it: append an event, remember a visit, take up documents, say how things stand.

``append`` builds the event inside the transaction that stores it, so its place in the chain and its row can never
disagree. When ``append`` returns, the event is on the disk; before that nothing may be shown or sounded.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from appliance.errors import NotEnrolled, OutboxUnavailable, StoreError
from appliance.events.chain import Position, jws_hash
from appliance.events.sign import unverified_payload
from appliance.events.ulid import new_ulid
from appliance.outbox import adopt, database, retention, standing
from appliance.outbox.row import Row
from appliance.outbox.salvage import Wreck
from appliance.ports import Attendance, Moment

DATABASE_NAME = "station.db"
PATIENCE_S = 2.0  # a person is standing there
_PAGE_ROWS = 200
_PROBE_BYTES = 16 * 1024  # larger than any event
_AUDIT_PAGES = 16
_ROW = "SELECT sequence, chain, type, time, hash, jws FROM event"


class Outbox:
    """The state database in the station's hands (``ports.Outbox``)."""

    def __init__(
        self, path: Path, reconnect: Callable[[], sqlite3.Connection], on_append: Callable[[], None] = lambda: None
    ) -> None:
        self.path = path
        self._reconnect = reconnect
        self._on_append = on_append
        self._db = reconnect()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        read_only: bool = False,
        max_bytes: int = 0,
        on_append: Callable[[], None] = lambda: None,
    ) -> "Outbox":
        """Open the state database at ``path``; ``on_append`` is called after each commit. Raises StoreError."""

        def connect() -> sqlite3.Connection:
            return database.connect(
                path, create=create, read_only=read_only, max_bytes=max_bytes, patience_s=PATIENCE_S
            )

        return cls(path, connect, on_append)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def reopen(self) -> None:
        """Open the file anew: what was opened before a disk failed goes on failing when the disk is back.

        Raises:
            StoreError: it cannot be used yet; every call fails until it was opened.
        """
        self._db.close()
        if not self.path.exists():
            raise OutboxUnavailable(f"there is no {self.path} any more")
        self._db = self._reconnect()

    def start_chain(self, key: str, time: datetime) -> bool:
        """Start the chain of the event key with thumbprint ``key``; False where it already runs.

        Raises:
            StoreError: the database holds the chain of another key.
        """
        with database.transaction(self._db):
            row = self._first("SELECT key FROM chain")
            if row is None:
                chain = new_ulid(int(time.timestamp() * 1000))
                self._db.execute("INSERT INTO chain VALUES (1, ?, ?)", (chain, key))
            elif row[0] != key:
                raise StoreError("the state database belongs to another event key; restore that key")
        return row is None

    def append(self, build: Callable[[Position], str], visit: Attendance | None = None) -> int:
        """Commit the event that ``build`` makes; return its sequence number. Raises StoreError, VerificationError."""
        with database.transaction(self._db):
            position = self.head()
            jws = build(position)
            self._insert(position, jws)
            if visit is not None:
                self._remember(visit, position.sequence)
        self._on_append()
        return position.sequence

    def adopt(self, wreck: Wreck, folder: str, at: datetime) -> None:
        """Take over what a damaged database left, which lies in ``folder`` now. Raises StoreError."""
        with database.transaction(self._db):
            adopt.adopt(self._db, wreck, folder, at)

    def append_beyond_limit(self, build: Callable[[Position], str]) -> int:
        """As ``append``, with a few pages more than the file may have: for the event which says that it is full."""
        with database.translated():
            (limit,) = self._db.execute("PRAGMA max_page_count").fetchone()
            self._db.execute(f"PRAGMA max_page_count = {limit + _AUDIT_PAGES}")
            try:
                return self.append(build)
            finally:
                self._db.execute(f"PRAGMA max_page_count = {limit}")

    def size_bytes(self) -> int:
        """Return the room that the events take in the file. Raises StoreError."""
        pages, free = self._first("PRAGMA page_count"), self._first("PRAGMA freelist_count")
        assert pages is not None
        assert free is not None
        return int(pages[0] - free[0]) * database.PAGE_BYTES

    def probe(self) -> None:
        """Find out whether an event would find room, without leaving one. Raises StoreError."""
        with database.translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                row = (self.head().sequence, "", "", "", None, "", "x" * _PROBE_BYTES)
                self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            finally:
                if self._db.in_transaction:  # a full database has ended it already
                    self._db.execute("ROLLBACK")

    def _remember(self, visit: Attendance, sequence: int) -> None:
        at = visit.at
        self._db.execute(
            "INSERT OR REPLACE INTO visit VALUES (?, ?, ?, ?, ?, ?, ?)",
            (visit.subject, visit.outcome, visit.choice, at.time.isoformat(), at.boot, at.monotonic_s, sequence),
        )

    def head(self) -> Position:
        """Return the position of the next event. Raises StoreError; NotEnrolled where no chain was started."""
        chain = self._first("SELECT id, key FROM chain")
        if chain is None:
            raise NotEnrolled("this station has no chain")
        last = self._first("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1")
        return Position(chain[0], last[0] + 1, last[1]) if last else Position(chain[0], 1, chain[1])

    def _insert(self, position: Position, jws: str) -> None:
        event = unverified_payload(jws)
        self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                position.sequence,
                position.chain,
                jws_hash(jws),
                event["type"],
                event["data"].get("verdict"),
                event["time"],
                jws,
            ),
        )

    def day_salt(self, day: str) -> bytes:
        """Return the secret of ``day`` (YYYY-MM-DD); what was remembered of another day is wiped first.

        A clock that goes back over midnight wipes nothing: who was here would be recorded once more.
        """
        row = self._first("SELECT date, salt FROM day")
        if row is not None and row[0] in (day, _day_after(day)):
            return bytes(row[1])
        salt = secrets.token_bytes(32)
        with database.transaction(self._db):
            self._db.execute("DELETE FROM visit")
            self._db.execute("INSERT OR REPLACE INTO day VALUES (1, ?, ?)", (day, salt))
        retention.fold_log(self._db)  # the old secret lies in the log, too
        return salt

    def last_visit(self, subject: bytes) -> Attendance | None:
        """Return today's last visit of a subject."""
        row = self._first(
            "SELECT outcome, choice, time, boot, monotonic_s, sequence FROM visit WHERE subject = ?", subject
        )
        if row is None:
            return None
        at = Moment(datetime.fromisoformat(row[2]), "", None, row[3], row[4])
        return Attendance(subject, row[0], row[1], at, row[5])

    def take_document(self, kind: str, version: int, jws: str) -> bool:
        """Keep a verified document where it is newer than the one held; say whether it was. Raises StoreError."""
        return database.take_document(self._db, kind, version, jws)

    def document(self, kind: str) -> str | None:
        """Return the newest signed document of ``kind``; its signature is for the caller to check."""
        row = self._first("SELECT jws FROM document WHERE kind = ?", kind)
        return row[0] if row else None

    def say(self, state: dict[str, Any]) -> None:
        """Leave word of the station's state for the link and for ``card-station status``. Raises StoreError."""
        with database.transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO station VALUES (1, ?)", (json.dumps(state),))

    def said(self) -> dict[str, Any] | None:
        """Return what the station last said of itself, also before it was started; None where it said nothing yet."""
        row = self._first("SELECT state FROM station")
        state: dict[str, Any] | None = json.loads(row[0]) if row else None
        return state

    def rows(self) -> Iterator[Row]:
        """Return every stored event, oldest first."""
        through, last = self._through(), 0
        while True:  # page by page: a reader that pauses must not hold the log back from being folded in
            with database.translated():
                page = self._db.execute(f"{_ROW} WHERE sequence > ? ORDER BY sequence LIMIT {_PAGE_ROWS}", (last,))
                rows = [_row(row, through) for row in page]
            if not rows:
                return
            yield from rows
            last = rows[-1].sequence

    def row(self, sequence: int) -> Row | None:
        """Return one stored event."""
        row = self._first(_ROW + " WHERE sequence = ?", sequence)
        return _row(row, self._through()) if row else None

    def salvaged(self) -> list[Row]:
        """Return what was saved of earlier chains and is not covered yet. Raises StoreError."""
        with database.translated():
            return standing.salvaged(self._db)

    def receipts(self) -> list[str]:
        """Return every receipt that is kept for this chain, as the agency signed them. Raises StoreError."""
        with database.translated():
            return standing.receipts(self._db)

    def receipt_of(self, row: Row) -> str | None:
        """Return the first receipt that covers ``row``; None where none does. Raises StoreError."""
        with database.translated():
            return standing.receipt_of(self._db, row)

    def sweep(
        self, now: datetime, content_days: int, row_days: int, by_type: Mapping[str, int] = MappingProxyType({})
    ) -> int:
        """Erase the next rows whose time is over; see ``retention.sweep``. Raises StoreError."""
        return retention.sweep(self._db, now, content_days, row_days, by_type)

    def forget_damage(self, now: datetime, days: int) -> None:
        """Delete what was set aside long enough; see ``retention.forget_damage``. Raises StoreError."""
        retention.forget_damage(self._db, self.path.parent, now, days)

    def status(self) -> dict[str, Any]:
        """Return how things stand. Raises StoreError."""
        with database.translated():
            return standing.status(self._db, self.path.parent)

    def _first(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with database.translated():
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return row

    def _through(self) -> int:
        row = self._first("SELECT through FROM delivery")
        assert row is not None
        return int(row[0])


def _day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _row(values: Sequence[Any], through: int) -> Row:
    sequence, chain, event_type, time, digest, jws = values
    return Row(sequence, chain, event_type, time, digest, jws, sequence <= through)
