"""The state database: how it is opened, its tables, and what its failures mean.

One file, two processes. The station creates the tables and inserts; the link writes ``delivery`` and ``document``
and nothing else. WAL with ``synchronous=FULL``: when a commit returns, the event is on the disk. Changes of the
tables only ever add, so that the software of before an update can still read the file.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import NotEnrolled, OutboxDamaged, OutboxFull, OutboxUnavailable, StoreError
from appliance.outbox.reserve import refusal

SCHEMA_VERSION = 1
PAGE_BYTES = 4096

_TABLES = """
CREATE TABLE chain (             -- one row: the chain that this station writes
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL,
    key TEXT NOT NULL            -- thumbprint of the event key; 'previous' of the first event
);
CREATE TABLE event (             -- append only
    sequence INTEGER PRIMARY KEY,
    chain TEXT NOT NULL,
    hash TEXT NOT NULL,
    type TEXT NOT NULL,
    verdict TEXT,
    time TEXT NOT NULL,
    jws TEXT NOT NULL
);
CREATE INDEX event_time ON event (time, verdict);
CREATE TABLE day (               -- one row: the secret of today, gone with the day
    only INTEGER PRIMARY KEY CHECK (only = 1),
    date TEXT NOT NULL,
    salt BLOB NOT NULL
);
CREATE TABLE visit (             -- last visit of each subject today
    subject BLOB PRIMARY KEY,
    outcome TEXT NOT NULL,       -- verdict and cause
    choice TEXT,
    time TEXT NOT NULL,
    boot TEXT NOT NULL,
    monotonic_s REAL NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE station (           -- one row: what the station last said of itself
    only INTEGER PRIMARY KEY CHECK (only = 1),
    state TEXT NOT NULL
);
CREATE TABLE delivery (          -- one row, the link's: how far the agency's receipts reach
    only INTEGER PRIMARY KEY CHECK (only = 1),
    boot INTEGER NOT NULL DEFAULT 0,
    through INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    receipt TEXT,
    received_at TEXT,
    frozen TEXT                  -- why the queue stands still; NULL while it moves
);
CREATE TABLE document (          -- the link's inbox: newest signed document of each kind
    kind TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    jws TEXT NOT NULL
);
INSERT INTO delivery (only) VALUES (1);
"""

_ADDED = {
    "receipt": """
CREATE {temp} TABLE receipt (    -- the link's: the first receipt that covered an event
    chain TEXT NOT NULL,
    through INTEGER NOT NULL,
    committed_s INTEGER NOT NULL, -- by the agency's clock, seconds since 1970
    jws TEXT NOT NULL,
    PRIMARY KEY (chain, through)
) WITHOUT ROWID;
INSERT INTO receipt SELECT id, through, CAST(strftime('%s', received_at) AS INTEGER), receipt
    FROM chain, delivery WHERE receipt NOT NULL;
""",
    "salvaged": """
CREATE {temp} TABLE salvaged (   -- events of an earlier chain out of a damaged file, until their retention is over
    chain TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    jws TEXT NOT NULL,
    PRIMARY KEY (chain, sequence)
) WITHOUT ROWID;
""",
    "damage": """
CREATE {temp} TABLE damage (     -- one row for each damaged file that was set aside
    folder TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    chain TEXT                   -- which it held, where that is known
) WITHOUT ROWID;
""",
    "former": """
CREATE {temp} TABLE former (     -- the link's: how far the agency's receipts reach in an earlier chain
    chain TEXT PRIMARY KEY,
    through INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    committed_s INTEGER NOT NULL
) WITHOUT ROWID;
""",
    "waiting": """
CREATE {temp} VIEW waiting AS    -- what was salvaged and the agency does not confirm in its present epoch
    SELECT chain, sequence, hash, jws FROM salvaged WHERE sequence > coalesce((SELECT former.through
    FROM former, delivery WHERE former.chain = salvaged.chain AND former.epoch >= delivery.epoch), 0);
""",
}
_ADDED_INDEX = "CREATE INDEX IF NOT EXISTS event_whole ON event (sequence) WHERE jws <> '';"


def connect(
    path: Path, *, create: bool = False, read_only: bool = False, max_bytes: int = 0, patience_s: float = 10.0
) -> sqlite3.Connection:
    """Open the state database.

    Args:
        path: the file.
        create: make the file and its tables where they are missing.
        read_only: for looking at it beside the running services.
        max_bytes: the file never grows beyond this; 0 for no limit.
        patience_s: how long to wait while the other process writes.

    Raises:
        NotEnrolled: the file is missing.
        StoreError: it is damaged, cannot be used now, or was made by a newer version.
    """
    if not create and not path.exists():
        raise NotEnrolled(f"there is no state database at {path} (STATE_DIRECTORY names another directory)")
    mode = "ro" if read_only else "rwc" if create else "rw"
    with translated():
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=10,
            check_same_thread=False,
        )
        try:
            database.execute(f"PRAGMA busy_timeout = {round(patience_s * 1000)}")
            database.execute("PRAGMA temp_store = MEMORY")  # there may be no other room
            if not read_only:
                _make_durable(database, max_bytes)
            _settle(database, create, path, read_only)
            if not read_only:  # SQLite opens a file that it cannot write as well, and would stay with that
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
        except BaseException:
            database.close()
            raise
    return database


def _make_durable(database: sqlite3.Connection, max_bytes: int) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    if max_bytes:
        database.execute(f"PRAGMA max_page_count = {max(max_bytes // PAGE_BYTES, 64)}")


def _settle(database: sqlite3.Connection, create: bool, path: Path, is_read_only: bool) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0 and create:
        try:
            path.chmod(0o660)
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            sync_folder(path.parent)
        except OSError as error:
            raise refusal(error, "the state database cannot be made") from None
    elif version != SCHEMA_VERSION:
        raise StoreError(f"{path} holds tables of version {version}; this software knows version {SCHEMA_VERSION}")
    _add(database, is_read_only)


def _add(database: sqlite3.Connection, is_read_only: bool) -> None:
    """Add what came after the first version; for somebody who only looks, where it cannot be seen from outside."""
    if is_read_only:
        database.executescript("".join(_missing(database)).format(temp="TEMP"))
        return
    if not _missing(database):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in (*"".join(_missing(database)).format(temp="").split(";\n"), _ADDED_INDEX):
            database.execute(statement)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _missing(database: sqlite3.Connection) -> list[str]:
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    return [statements for name, statements in _ADDED.items() if name not in there]


def sync_folder(folder: Path) -> None:
    """Force the names in ``folder`` to the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Do all of it or nothing; on return it is on the disk. Raises StoreError."""
    with translated():
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into StoreError: full, damaged, or not to be used now."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error) from None
    except UnicodeDecodeError:
        raise OutboxDamaged("the state database is damaged: it holds a text that is none") from None


def _meaning(error: sqlite3.Error) -> StoreError:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF  # the rest says where it was met
    if primary == sqlite3.SQLITE_FULL:
        return OutboxFull("the disk or the outbox's limit is reached: free space or raise outbox.max_bytes")
    is_no_text = code is None and isinstance(error, sqlite3.OperationalError)  # a row that holds no UTF-8
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or is_no_text:
        return OutboxDamaged(f"the state database is damaged: {error}")
    return OutboxUnavailable(f"the state database cannot be read or written now: {error}")


def take_document(database: sqlite3.Connection, kind: str, version: int, jws: str) -> bool:
    """Keep a verified document where it is newer than the one held; say whether it was. Raises StoreError."""
    with transaction(database):
        held = database.execute("SELECT version FROM document WHERE kind = ?", (kind,)).fetchone()
        if held is not None and held[0] >= version:
            return False
        database.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (kind, version, jws))
    return True
