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

SCHEMA_VERSION = "3"

METADATA = MetaData()

meta = Table("meta", METADATA, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

station = Table(
    "station",
    METADATA,
    Column("id", String(63), primary_key=True),
    Column("approved_at", String(40), nullable=False),
    Column("flag", String(40)),
)

event_key = Table(
    "event_key",
    METADATA,
    Column("kid", String(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("jwk", Text, nullable=False),
    Column("approved_at", String(40), nullable=False),
    Column("revoked_at", String(40)),
)

certificate = Table(
    "certificate",
    METADATA,
    Column("serial", String(40), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("not_after", String(40), nullable=False),
    Column("pem", Text, nullable=False),
)

chain = Table(
    "chain",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("kid", ForeignKey("event_key.kid"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False, index=True),
    Column("high_water", BigInteger, nullable=False),
    Column("hash", String(43), nullable=False),
)

event = Table(
    "event",
    METADATA,
    Column("chain", String(26), primary_key=True),
    Column("kid", String(43), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(43), nullable=False),
    Column("previous", String(43), nullable=False),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("type", String(80), nullable=False),
    Column("time", String(40), nullable=False),
    Column("day", String(10), nullable=False),
    Column("level", String(4)),
    Column("verdict", String(20)),
    Column("received_at", String(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
    Index("event_by_day", "day", "type"),
    Index("event_by_station", "station", "received_at"),
)

quarantine = Table(
    "quarantine",
    METADATA,
    Column("hash", String(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("chain", String(26)),
    Column("sequence", BigInteger),
    Column("previous", String(43)),
    Column("code", String(40), nullable=False),
    Column("received_at", String(40), nullable=False),
    Column("jws", Text, nullable=False),
    UniqueConstraint("chain", "kid", "sequence"),
)

fork = Table(
    "fork",
    METADATA,
    Column("hash", String(43), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", String(43), nullable=False),
    Column("chain", String(26), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("received_at", String(40), nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
)

receipt = Table(
    "receipt",
    METADATA,
    Column("chain", String(26), primary_key=True),
    Column("kid", String(43), primary_key=True),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["chain", "kid"], ["chain.id", "chain.kid"]),
)

excused = Table(
    "excused",
    METADATA,
    Column("chain", String(26), primary_key=True),
    Column("kid", String(43), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("by", String(43), nullable=False),
    Column("noted_at", String(40), nullable=False),
)

roster = Table(
    "roster",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("set", String(63), nullable=False, index=True),
    Column("as_of", String(10), nullable=False),
    Column("imported_at", String(40), nullable=False),
    Column("people", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

roster_member = Table(
    "roster_member",
    METADATA,
    Column("version", ForeignKey("roster.version"), primary_key=True),
    Column("member_index", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Text, nullable=False),
)

document = Table(
    "document",
    METADATA,
    Column("kind", String(20), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("roster", Integer),
    Column("issued_at", String(40), nullable=False),
    Column("expires_at", String(40), nullable=False),
    Column("audience", Text, nullable=False),
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(["roster"], ["roster.version"]),
)

question = Table(
    "question",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("kid", ForeignKey("event_key.kid"), nullable=False),
    Column("question", String(20), nullable=False),
    Column("service", String(64), nullable=False),
    Column("hash", String(43), nullable=False),
    Column("received_at", String(40), nullable=False, index=True),
    Column("outcome", String(20)),
    Column("source", String(40)),
    Column("answer", Text),
)

health_visit = Table(
    "health_visit",
    METADATA,
    Column("opened_by", ForeignKey("question.id"), primary_key=True),
    Column("station", ForeignKey("station.id"), nullable=False),
    Column("subject", String(43), nullable=False, index=True),
    Column("choice", String(40)),
    Column("sealed", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened_at", String(40), nullable=False),
    Column("closed_by", ForeignKey("question.id")),
    Column("closed_at", String(40)),
)

access = Table(
    "access",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", String(40), nullable=False),
    Column("user", String(64), nullable=False),
    Column("command", String(40), nullable=False),
    Column("about", String(120), nullable=False),
    Column("purpose", Text, nullable=False),
)
