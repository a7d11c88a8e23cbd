"""How far everything in the store has come, in a few numbers: what a later look can be held against."""

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import func, select

from agency.store.chains import ChainKey, list_chains
from agency.store.database import Connection
from agency.store.gaps import highest
from agency.store.health_visits import OPENING
from agency.store.stations import event_keys
from agency.store.tables import (
    access,
    certificate,
    document,
    event,
    excused,
    fork,
    health_visit,
    quarantine,
    question,
    roster,
    roster_import,
    roster_member,
    station,
)

_ONLY_GROW = (certificate, document, excused, health_visit, question, roster, roster_import, roster_member)


class Head(NamedTuple):
    """How far a chain has come.

    Args:
        key: which chain.
        through: its high-water mark.
        held: how many positions up to there are held; fewer than ``through`` where some are given up.
        hash: of position ``through``; the kid when that is 0.
        top: the highest position that is held.
        all: how many positions are held, those above the mark too.
    """

    key: ChainKey
    through: int
    held: int
    hash: str
    top: int
    all: int


class Approval(NamedTuple):
    """When a station was approved, or with a ``kid`` one of its keys.

    Args:
        station: station id.
        kid: empty for the station.
        at: RFC 3339.
    """

    station: str
    kid: str
    at: str


def heads(connection: Connection) -> Iterator[Head]:
    """Yield the head of every chain."""
    for chain in list_chains(connection):
        held = held_through(connection, chain.key, chain.high_water)
        top = highest(connection, chain.key)
        yield Head(chain.key, chain.high_water, held, chain.hash, top, held_through(connection, chain.key, top))


def held_through(connection: Connection, key: ChainKey, sequence: int) -> int:
    """Return how many positions of a chain are held up to a number."""
    counts = [
        select(func.count()).where(
            (table.c.chain == key.id) & (table.c.kid == key.kid) & (table.c.sequence <= sequence)
        )
        for table in (event, quarantine)
    ]
    return sum(connection.execute(query).scalar_one() for query in counts)


def apart(connection: Connection) -> Iterator[str]:
    """Yield the hash of everything that stands apart, in order."""
    for table in (fork, quarantine):
        yield from connection.execute(select(table.c.hash).order_by(table.c.hash)).scalars()


def approvals(connection: Connection) -> Iterator[Approval]:
    """Yield when each station and each of its keys was approved."""
    for id_, at in connection.execute(select(station.c.id, station.c.approved_at).order_by(station.c.id)):
        yield Approval(id_, "", at)
    for key in event_keys(connection):
        yield Approval(key.station, key.kid, key.approved_at)


class Log(NamedTuple):
    """The rows of ``access`` up to one.

    Args:
        last: its number; 0 for none.
        digest: SHA-256 of them all, hexadecimal.
    """

    last: int
    digest: str


def log(connection: Connection, last: int | None = None) -> Log:
    """Return what stands in ``access`` up to a row, or to the newest."""
    query = select(access).order_by(access.c.number)
    digest, newest = hashlib.sha256(), 0
    for row in connection.execute(query if last is None else query.where(access.c.number <= last)):
        digest.update(json.dumps(list(row)).encode())
        newest = row.number
    return Log(newest, digest.hexdigest())


def row_counts(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has that nothing of ours deletes; a visit that was not opened may go.

    ``answered`` are the questions with an answer: nothing of ours takes one back.
    """
    counts = {table.name: select(func.count()).select_from(table) for table in _ONLY_GROW}
    counts[health_visit.name] = counts[health_visit.name].where(health_visit.c.state != OPENING)
    counts["answered"] = select(func.count()).where(question.c.answer.is_not(None))
    return {name: connection.execute(query).scalar_one() for name, query in counts.items()}
