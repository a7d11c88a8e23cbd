"""The database: opened, and read or written in transactions. Today SQLite in one file; nothing else here knows that.

A write transaction takes the write lock at its start, so two writers wait for each other and never fail half-way.
A commit is on the disk when ``write`` ends (``synchronous=FULL``).

Example::

    with Database.open(path) as database, database.write() as connection:
        flag_station(connection, "bkk-001", "fork")
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from agency.store import tables
from appliance.errors import ConfigError, StoreError

__all__ = ["FAILURES", "Connection", "Database", "DatabaseError"]

T = TypeVar("T", dict[str, Any], list[Any])

FAILURES = (SQLAlchemyError, sqlite3.Error)  # what the database itself raises

_FACTS = ("agency", "host", "port")
_ONLY_LACKS_TABLES = ("1", "2", "3")  # versions that differ from the present one by whole tables
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000")
_TRIES, _PAUSE_S = 3, 0.2


class DatabaseError(StoreError):
    """The agency's database cannot be read or written now; nothing of the transaction was kept."""

    code = "S10"


class AlteredRow(DatabaseError):
    """A row holds what no program of ours can have written."""

    code = "S11"


class Database:
    """The agency's database.

    Args:
        engine: an engine whose tables exist.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> "Database":
        """Make a new database file, readable by its owner only, and write the agency's facts into it."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        database = cls(_engine(path))
        with database.write() as connection:
            tables.METADATA.create_all(connection)
            rows = {**meta, "schema": tables.SCHEMA_VERSION, "epoch": "1"}
            connection.execute(insert(tables.meta), [{"key": k, "value": v} for k, v in rows.items()])
        return database

    @classmethod
    def open(cls, path: Path) -> "Database":
        """Open an existing database; one that an older version made gets the tables that it lacks.

        Raises:
            ConfigError: it was made by another version of this program.
            DatabaseError: it is no database, damaged, or altered.
        """
        database = cls(_engine(path))
        found = database.meta().get("schema")
        if found in _ONLY_LACKS_TABLES:
            database._add_tables()
        elif found != tables.SCHEMA_VERSION:
            raise ConfigError([f"{path} has schema {found}; this version needs {tables.SCHEMA_VERSION}"])
        if missing := [name for name in _FACTS if name not in database.meta()]:
            raise AlteredRow(f"{path} does not say its {' and '.join(missing)}: put an earlier copy of it back")
        return database

    def _add_tables(self) -> None:
        with self.write() as connection:
            tables.METADATA.create_all(connection)
            named = tables.meta.c.key == "schema"
            connection.execute(update(tables.meta).where(named).values(value=tables.SCHEMA_VERSION))

    def meta(self) -> dict[str, str]:
        """Return the agency's facts: agency, host, port, epoch, schema."""
        with self.read() as connection:
            return {row.key: row.value for row in connection.execute(select(tables.meta))}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state.

        Raises:
            DatabaseError: the database fails.
        """
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Write all or nothing; what was written is durable when this ends without an error.

        Raises:
            DatabaseError: the database fails; nothing was written.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def commit(self, change: Callable[[Connection], None]) -> None:
        """Write what must not be lost: where the database is busy, again.

        Raises:
            DatabaseError: it stays so; nothing was written.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                with self.write() as connection:
                    change(connection)
            except DatabaseError:
                if not tries_left:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        try:
            with self._engine.execution_options(begin=begin).begin() as connection:
                yield connection
        except FAILURES as error:
            cause = getattr(error, "orig", None) or error
            words = f"the database fails: {type(cause).__name__}{_reason(cause)}; check its disk and owner"
            raise DatabaseError(words) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def held_json(text: str, what: str, shape: type[T]) -> T:
    """Return what was stored as JSON of a shape: ``dict`` or ``list``.

    Raises:
        AlteredRow: it is none; somebody wrote it who should not have.
    """
    try:
        held = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        held = None
    if not isinstance(held, shape):
        raise AlteredRow(f"the database holds {what} that was altered: put an earlier copy of it back")
    return held


def _reason(cause: BaseException) -> str:
    """Return SQLite's own short reason, such as ``database is locked``; never a statement or its values."""
    return f" ({cause})" if isinstance(cause, sqlite3.Error) else ""


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["begin"])

    return engine
