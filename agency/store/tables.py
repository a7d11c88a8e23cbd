"""The tables. A row about a person holds only a seal; the only texts in clear are ids, times, levels and verdicts.

``event`` and ``quarantine`` together hold every position of a chain; a position stands in one of them only. What does
not fit (another event in the same place, an event that does not link) goes to ``fork`` and is never covered.

``receipt`` holds the newest receipt of each chain as it was signed: what the rows must not contradict.

``question`` holds each online question from the moment at which somebody may have been asked, and its answer.
``health_visit`` holds visits that were opened; ``subject`` is a keyed hash whose key is not in here.

``access`` holds who had seals opened, and what operators decided.

``excused`` names stretches of a chain that will never come: declared lost in an event that its own key signed (``by``
is that event's hash), or given up by an operator.

A chain is named by its ULID and the key that signs it: a station that takes another's ULID only makes a chain of its
own. So does every row of a chain.
"""

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
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

SCHEMA_VERSION = "3"

METADATA = MetaData()

# SQLite's strict tables hold what their columns say, whoever writes; they know no other names of types.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _words(most: int) -> TypeEngine[str]:
    return String(most).with_variant(Text(), "sqlite")


def _table(name: str, *parts: SchemaItem) -> Table:
    return Table(name, METADATA, *parts, sqlite_strict=True)


meta = _table("meta", Column("key", _words(40), primary_key=True), Column("value", Text, nullable=False))

station = _table(
    "station",
    Column("id", _words(63), primary_key=True),
    Column("approved_at", _words(40), nullable=False),
    Column("flag", _words(40)),
)

event_key = _table(
    "event_key",
    Column("kid", _words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("jwk", Text, nullable=False),
    Column("approved_at", _words(40), nullable=False),
    Column("revoked_at", _words(40)),
)

certificate = _table(
    "certificate",
    Column("serial", _words(40), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("not_after", _words(40), nullable=False),
    Column("pem", Text, nullable=False),
)

chain = _table(
    "chain",
    Column("id", _words(26), primary_key=True),
    Column("kid", ForeignKey("event_key.kid"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("high_water", _NUMBER, nullable=False),
    Column("hash", _words(43), nullable=False),
)

event = _table(
    "event",
    Column("chain", _words(26), primary_key=True),
    Column("kid", _words(43), primary_key=True),
    Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
    Column("hash", _words(43), nullable=False),
    Column("previous", _words(43), nullable=False),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("type", _words(80), nullable=False),
    Column("time", _words(40), nullable=False),
    Column("day", _words(10), nullable=False),
    Column("level", _words(4)),
    Column("verdict", _words(20)),
    Column("received_at", _words(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
    Index("event_by_day", "day", "type"),
    Index("event_by_station", "station", "received_at"),
)

quarantine = _table(
    "quarantine",
    Column("hash", _words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("chain", _words(26)),
    Column("sequence", _NUMBER),
    Column("previous", _words(43)),
    Column("code", _words(40), nullable=False),
    Column("received_at", _words(40), nullable=False),
    Column("jws", Text, nullable=False),
    UniqueConstraint("chain", "kid", "sequence"),
)

fork = _table(
    "fork",
    Column("hash", _words(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", _words(43), nullable=False),
    Column("chain", _words(26), nullable=False),
    Column("sequence", _NUMBER, nullable=False),
    Column("reason", _words(40), nullable=False),
    Column("received_at", _words(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
)

receipt = _table(
    "receipt",
    Column("chain", _words(26), primary_key=True),
    Column("kid", _words(43), primary_key=True),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
)

excused = _table(
    "excused",
    Column("chain", _words(26), primary_key=True),
    Column("kid", _words(43), primary_key=True),
    Column("first", _NUMBER, primary_key=True, autoincrement=False),
    Column("last", _NUMBER, nullable=False),
    Column("by", _words(43), nullable=False),
    Column("noted_at", _words(40), nullable=False),
)

roster = _table(
    "roster",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("set", _words(63), nullable=False, index=True),
    Column("as_of", _words(10), nullable=False),
    Column("imported_at", _words(40), nullable=False),
    Column("people", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

roster_member = _table(
    "roster_member",
    Column("version", ForeignKey("roster.version"), primary_key=True),
    Column("member_index", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Text, nullable=False),
)

document = _table(
    "document",
    Column("kind", _words(20), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("roster", Integer),
    Column("issued_at", _words(40), nullable=False),
    Column("expires_at", _words(40), nullable=False),
    Column("audience", Text, nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["roster"], ["roster.version"]),
)

question = _table(
    "question",
    Column("id", _words(26), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("question", _words(20), nullable=False),
    Column("service", _words(64), nullable=False),
    Column("hash", _words(43), nullable=False),
    Column("received_at", _words(40), nullable=False, index=True),
    Column("outcome", _words(20)),
    Column("source", _words(40)),
    Column("answer", Text),
)

health_visit = _table(
    "health_visit",
    Column("opened_by", ForeignKey("question.id"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("subject", _words(43), nullable=False, index=True),
    Column("choice", _words(40)),
    Column("sealed", Text, nullable=False),
    Column("state", _words(10), nullable=False),
    Column("opened_at", _words(40), nullable=False),
    Column("closed_by", ForeignKey("question.id")),
    Column("closed_at", _words(40)),
)

access = _table(
    "access",
    Column("number", Integer, primary_key=True),
    Column("at", _words(40), nullable=False),
    Column("user", _words(64), nullable=False),
    Column("command", _words(40), nullable=False),
    Column("about", _words(120), nullable=False),
    Column("purpose", Text, nullable=False),
)
