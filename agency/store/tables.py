"""The tables. A row about a person holds only a seal; the only texts in clear are ids, times, levels and verdicts.

``event`` and ``quarantine`` together hold every position of a chain; a position stands in one of them only. What does
not fit (another event in the same place, an event that does not link) goes to ``fork`` and is never covered.

``receipt`` holds the newest receipt of each chain as it was signed: what the rows must not contradict.

``question`` holds each online question from the moment at which somebody may have been asked, and its answer.
``health_visit`` holds visits that were opened; ``subject`` is a keyed hash whose key is not in here.

``roster_import`` holds what was imported as a roster, signed: seals are made with public keys, by anybody.

``access`` holds who had seals opened, and what operators decided.

``excused`` names stretches of a chain that will never come: declared lost in an event that its own key signed (``by``
is that event's hash), or given up by an operator.

A chain is named by its ULID and the key that signs it: a station that takes another's ULID only makes a chain of its
own. So does every row of a chain.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA_VERSION = "4"

METADATA = MetaData()


class Words(TypeDecorator[str]):
    """A text of so many characters at most; SQLite's strict tables know no lengths."""

    impl, cache_ok = String, True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what the database calls it."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else self.impl_instance)


class Number(TypeDecorator[int]):
    """A whole number of 64 bits; SQLite's strict tables know it as INTEGER."""

    impl, cache_ok = BigInteger, True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what the database calls it."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else self.impl_instance)


meta = Table(
    "meta",
    METADATA,
    Column("key", Words(40), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)

station = Table(
    "station",
    METADATA,
    Column("id", Words(63), primary_key=True),
    Column("approved_at", Words(40), nullable=False),
    Column("flag", Words(40)),
    sqlite_strict=True,
)

event_key = Table(
    "event_key",
    METADATA,
    Column("kid", Words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("jwk", Text, nullable=False),
    Column("approved_at", Words(40), nullable=False),
    Column("revoked_at", Words(40)),
    sqlite_strict=True,
)

certificate = Table(
    "certificate",
    METADATA,
    Column("serial", Words(40), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("not_after", Words(40), nullable=False),
    Column("pem", Text, nullable=False),
    sqlite_strict=True,
)

chain = Table(
    "chain",
    METADATA,
    Column("id", Words(26), primary_key=True),
    Column("kid", ForeignKey("event_key.kid"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("high_water", Number, nullable=False),
    Column("hash", Words(43), nullable=False),
    sqlite_strict=True,
)

event = Table(
    "event",
    METADATA,
    Column("chain", Words(26), primary_key=True),
    Column("kid", Words(43), primary_key=True),
    Column("sequence", Number, primary_key=True, autoincrement=False),
    Column("hash", Words(43), nullable=False),
    Column("previous", Words(43), nullable=False),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("type", Words(80), nullable=False),
    Column("time", Words(40), nullable=False),
    Column("day", Words(10), nullable=False),
    Column("level", Words(4)),
    Column("verdict", Words(20)),
    Column("received_at", Words(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
    Index("event_by_day", "day", "type"),
    Index("event_by_station", "station", "received_at"),
    sqlite_strict=True,
)

quarantine = Table(
    "quarantine",
    METADATA,
    Column("hash", Words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("chain", Words(26)),
    Column("sequence", Number),
    Column("previous", Words(43)),
    Column("code", Words(40), nullable=False),
    Column("received_at", Words(40), nullable=False),
    Column("jws", Text, nullable=False),
    UniqueConstraint("chain", "kid", "sequence"),
    sqlite_strict=True,
)

fork = Table(
    "fork",
    METADATA,
    Column("hash", Words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", Words(43), nullable=False),
    Column("chain", Words(26), nullable=False),
    Column("sequence", Number, nullable=False),
    Column("reason", Words(40), nullable=False),
    Column("received_at", Words(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
    sqlite_strict=True,
)

receipt = Table(
    "receipt",
    METADATA,
    Column("chain", Words(26), primary_key=True),
    Column("kid", Words(43), primary_key=True),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
    sqlite_strict=True,
)

excused = Table(
    "excused",
    METADATA,
    Column("chain", Words(26), primary_key=True),
    Column("kid", Words(43), primary_key=True),
    Column("first", Number, primary_key=True, autoincrement=False),
    Column("last", Number, nullable=False),
    Column("by", Words(43), nullable=False),
    Column("noted_at", Words(40), nullable=False),
    sqlite_strict=True,
)

roster = Table(
    "roster",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("set", Words(63), nullable=False, index=True),
    Column("as_of", Words(10), nullable=False),
    Column("imported_at", Words(40), nullable=False),
    Column("people", Integer, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_strict=True,
)

roster_member = Table(
    "roster_member",
    METADATA,
    Column("version", ForeignKey("roster.version"), primary_key=True),
    Column("member_index", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Text, nullable=False),
    sqlite_strict=True,
)

roster_import = Table(
    "roster_import",
    METADATA,
    Column("version", ForeignKey("roster.version"), primary_key=True),
    Column("jws", Text, nullable=False),
    sqlite_strict=True,
)

document = Table(
    "document",
    METADATA,
    Column("kind", Words(20), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("roster", Integer),
    Column("issued_at", Words(40), nullable=False),
    Column("expires_at", Words(40), nullable=False),
    Column("audience", Text, nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["roster"], ["roster.version"]),
    sqlite_strict=True,
)

question = Table(
    "question",
    METADATA,
    Column("id", Words(26), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("question", Words(20), nullable=False),
    Column("service", Words(64), nullable=False),
    Column("hash", Words(43), nullable=False),
    Column("received_at", Words(40), nullable=False, index=True),
    Column("outcome", Words(20)),
    Column("source", Words(40)),
    Column("answer", Text),
    sqlite_strict=True,
)

health_visit = Table(
    "health_visit",
    METADATA,
    Column("opened_by", ForeignKey("question.id"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("subject", Words(43), nullable=False, index=True),
    Column("choice", Words(40)),
    Column("sealed", Text, nullable=False),
    Column("state", Words(10), nullable=False),
    Column("opened_at", Words(40), nullable=False),
    Column("closed_by", ForeignKey("question.id")),
    Column("closed_at", Words(40)),
    sqlite_strict=True,
)

access = Table(
    "access",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", Words(40), nullable=False),
    Column("user", Words(64), nullable=False),
    Column("command", Words(40), nullable=False),
    Column("about", Words(120), nullable=False),
    Column("purpose", Text, nullable=False),
    sqlite_strict=True,
)
