"""Chains: the positions that are held, the high-water mark, and what stands apart (quarantine, forks).

A position is held by an event or by a quarantined one. Neighbouring positions that are held always link: who puts
one here has compared it with both neighbours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, insert, select, union_all, update

from agency.store.database import Connection
from agency.store.tables import chain, event, fork, quarantine


@dataclass(frozen=True)
class Chain:
    """One chain.

    Args:
        id: ULID.
        station: whose it is.
        kid: the event key that owns it.
        high_water: every position up to this one is held and linked; 0 for none.
        hash: of position ``high_water``; the kid when that is 0.
    """

    id: str
    station: str
    kid: str
    high_water: int
    hash: str


@dataclass(frozen=True)
class Link:
    """A held position: its sequence number, its hash, and the hash that it says came before."""

    sequence: int
    hash: str
    previous: str


@dataclass(frozen=True)
class Event:
    """A row of an event that holds.

    Args:
        chain: ULID.
        sequence: 1 or more.
        hash: of ``jws``.
        previous: hash of the position before, or the kid.
        station: station id.
        type: CloudEvents type.
        time: RFC 3339 with the station's offset.
        day: Thai calendar day.
        level: L0 to L3; None for what a station says of itself.
        verdict: likewise.
        received_at: RFC 3339.
        jws: the event as signed.
    """

    chain: str
    sequence: int
    hash: str
    previous: str
    station: str
    type: str
    time: str
    day: str
    level: str | None
    verdict: str | None
    received_at: str
    jws: str


@dataclass(frozen=True)
class Quarantined:
    """An event that its station signed and that must not count.

    Args:
        hash: of ``jws``.
        station: who sent it.
        chain: ULID, or None where it has no place (then it is never covered).
        sequence: likewise.
        previous: likewise.
        code: why.
        received_at: RFC 3339.
        jws: the event as signed.
    """

    hash: str
    station: str
    chain: str | None
    sequence: int | None
    previous: str | None
    code: str
    received_at: str
    jws: str


@dataclass(frozen=True)
class Fork:
    """An event that contradicts what is held: ``other_hash`` (same place) or ``unlinked`` (does not link)."""

    hash: str
    station: str
    chain: str
    sequence: int
    reason: str
    received_at: str
    jws: str


def find_chain(connection: Connection, chain_id: str) -> Chain | None:
    """Return a chain, or None."""
    row = connection.execute(select(chain).where(chain.c.id == chain_id)).first()
    return Chain(*row) if row else None


def list_chains(connection: Connection, station: str | None = None) -> list[Chain]:
    """Return all chains, or those of one station, oldest first."""
    query = select(chain).order_by(chain.c.id)
    if station is not None:
        query = query.where(chain.c.station == station)
    return [Chain(*row) for row in connection.execute(query)]


def put_chain(connection: Connection, new: Chain) -> None:
    """Add a chain."""
    connection.execute(insert(chain).values(**vars(new)))


def move_high_water(connection: Connection, chain_id: str, sequence: int, hash_: str) -> None:
    """Set a chain's high-water mark and the hash there."""
    connection.execute(update(chain).where(chain.c.id == chain_id).values(high_water=sequence, hash=hash_))


def put_event(connection: Connection, new: Event) -> None:
    """Add an event at a free position."""
    connection.execute(insert(event).values(**vars(new)))


def put_quarantined(connection: Connection, new: Quarantined) -> None:
    """Add a quarantined event at a free position, or without one."""
    connection.execute(insert(quarantine).values(**vars(new)))


def put_fork(connection: Connection, new: Fork) -> None:
    """Add a fork."""
    connection.execute(insert(fork).values(**vars(new)))


def is_apart(connection: Connection, hash_: str) -> bool:
    """Say whether this very event is in the quarantine or among the forks."""
    kept = union_all(select(quarantine.c.hash), select(fork.c.hash)).subquery()
    return connection.execute(select(kept.c.hash).where(kept.c.hash == hash_).limit(1)).first() is not None


def links_around(connection: Connection, chain_id: str, sequence: int) -> dict[int, Link]:
    """Return what is held at a position and beside it, by sequence number."""
    near = [sequence - 1, sequence, sequence + 1]
    held = union_all(*(_positions(table, chain_id).where(table.c.sequence.in_(near)) for table in (event, quarantine)))
    return {row.sequence: Link(*row) for row in connection.execute(held)}


def links_after(connection: Connection, chain_id: str, sequence: int) -> Iterator[Link]:
    """Yield the held positions above ``sequence`` in order."""
    above = [_positions(table, chain_id).where(table.c.sequence > sequence) for table in (event, quarantine)]
    held = union_all(*above).subquery()
    for row in connection.execute(select(held).order_by(held.c.sequence)):
        yield Link(*row)


def _positions(table: Table, chain_id: str) -> Select[Any]:
    return select(table.c.sequence, table.c.hash, table.c.previous).where(table.c.chain == chain_id)


def quarantined_in(connection: Connection, chain_id: str, limit: int) -> list[tuple[int, str]]:
    """Return sequence number and code of the newest quarantined positions of a chain, in order."""
    query = select(quarantine.c.sequence, quarantine.c.code).where(quarantine.c.chain == chain_id)
    rows = connection.execute(query.order_by(quarantine.c.sequence.desc()).limit(limit))
    return sorted((row.sequence, row.code) for row in rows)


def list_quarantined(connection: Connection, station: str | None = None) -> list[Quarantined]:
    """Return the quarantine, oldest first."""
    query = select(quarantine).order_by(quarantine.c.received_at)
    if station is not None:
        query = query.where(quarantine.c.station == station)
    return [Quarantined(*row) for row in connection.execute(query)]


def list_forks(connection: Connection, station: str | None = None) -> list[Fork]:
    """Return the forks, oldest first."""
    query = select(fork).order_by(fork.c.received_at)
    if station is not None:
        query = query.where(fork.c.station == station)
    return [Fork(*row) for row in connection.execute(query)]


def chain_rows(connection: Connection, chain_id: str) -> Iterator[Event | Quarantined]:
    """Yield every held position of a chain, whole, in order."""
    apart = select(quarantine).where(quarantine.c.chain == chain_id).order_by(quarantine.c.sequence)
    poison = [Quarantined(*row) for row in connection.execute(apart)]
    for row in connection.execute(select(event).where(event.c.chain == chain_id).order_by(event.c.sequence)):
        while poison and (poison[0].sequence or 0) < row.sequence:
            yield poison.pop(0)
        yield Event(*row)
    yield from poison
