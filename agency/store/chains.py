"""Chains: the positions that are held, the high-water mark, and what stands apart (quarantine, forks).

A position is held by an event or by a quarantined one. Neighbouring positions that are held always link: who puts
one here has compared it with both neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    Update,
    bindparam,
    func,
    insert,
    select,
    union_all,
    update,
)

from agency.store.database import Connection
from agency.store.tables import chain, event, fork, quarantine


class ChainKey(NamedTuple):
    """What names a chain: its ULID and the event key that owns it. A ULID alone does not: others may use it too."""

    id: str
    kid: str


@dataclass(frozen=True)
class Chain:
    """One chain.

    Args:
        id: ULID.
        kid: the event key that owns it.
        station: whose it is.
        high_water: every position up to this one is held and linked; 0 for none.
        hash: of position ``high_water``; the kid when that is 0.
    """

    id: str
    kid: str
    station: str
    high_water: int
    hash: str

    @property
    def key(self) -> ChainKey:
        """Return what names it."""
        return ChainKey(self.id, self.kid)


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
        kid: the event key that signed it.
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
    kid: str
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
        kid: the event key that signed it.
        chain: ULID, or None where it has no place (then it is never covered).
        sequence: likewise.
        previous: likewise.
        code: why.
        received_at: RFC 3339.
        jws: the event as signed.
    """

    hash: str
    station: str
    kid: str
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
    kid: str
    chain: str
    sequence: int
    reason: str
    received_at: str
    jws: str


def find_chain(connection: Connection, key: ChainKey) -> Chain | None:
    """Return a chain, or None."""
    row = connection.execute(_one_chain(), _named(key)).first()
    return Chain(*row) if row else None


def list_chains(connection: Connection, station: str | None = None) -> list[Chain]:
    """Return all chains, or those of one station, oldest first."""
    query = select(chain).order_by(chain.c.id, chain.c.kid)
    if station is not None:
        query = query.where(chain.c.station == station)
    return [Chain(*row) for row in connection.execute(query)]


def count_chains(connection: Connection, station: str, kid: str) -> int:
    """Return how many chains a key of a station signs."""
    own = (chain.c.station == station) & (chain.c.kid == kid)
    return connection.execute(select(func.count()).where(own)).scalar_one()


def put_chain(connection: Connection, new: Chain) -> None:
    """Add a chain."""
    connection.execute(insert(chain).values(**vars(new)))


def move_high_water(connection: Connection, marks: Mapping[ChainKey, Link]) -> None:
    """Set the high-water marks of chains, each to a position that is held."""
    if marks:
        rows = [{**_named(key), "mark": link.sequence, "to": link.hash} for key, link in marks.items()]
        connection.execute(_moved_mark(), rows)


def _named(key: ChainKey) -> dict[str, Any]:
    return {"of_chain": key.id, "of_key": key.kid}


def _within(table: Table, key: ChainKey) -> ColumnElement[bool]:
    return (table.c.chain == key.id) & (table.c.kid == key.kid)


# To put these queries together costs more than to run them, and every bundle asks them.


@cache
def _one_chain() -> Select[Any]:
    return select(chain).where((chain.c.id == bindparam("of_chain")) & (chain.c.kid == bindparam("of_key")))


@cache
def _moved_mark() -> Update:
    own = (chain.c.id == bindparam("of_chain")) & (chain.c.kid == bindparam("of_key"))
    return update(chain).where(own).values(high_water=bindparam("mark"), hash=bindparam("to"))


@cache
def _links_query() -> CompoundSelect[Any]:
    first, last = bindparam("first", type_=BigInteger), bindparam("last", type_=BigInteger)
    own = ChainKey(bindparam("of_chain"), bindparam("of_key"))  # type: ignore[arg-type]
    return union_all(
        *(_positions(table, own).where(table.c.sequence.between(first, last)) for table in (event, quarantine))
    )


@cache
def _after_query() -> Select[Any]:
    above, most = bindparam("above", type_=BigInteger), bindparam("most", type_=BigInteger)
    own = ChainKey(bindparam("of_chain"), bindparam("of_key"))  # type: ignore[arg-type]
    held = union_all(
        *(
            select(
                _positions(table, own).where(table.c.sequence > above).order_by(table.c.sequence).limit(most).subquery()
            )
            for table in (event, quarantine)
        )
    ).subquery()
    return select(held).order_by(held.c.sequence).limit(most)


def put_events(connection: Connection, new: Sequence[Event]) -> None:
    """Add events at free positions."""
    if new:
        connection.execute(insert(event), [vars(row) for row in new])


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


def is_fork(connection: Connection, hash_: str) -> bool:
    """Say whether this very event is among the forks."""
    return connection.execute(select(fork.c.hash).where(fork.c.hash == hash_)).first() is not None


def links_between(connection: Connection, key: ChainKey, first: int, last: int) -> dict[int, Link]:
    """Return what is held at the positions ``first`` to ``last``, by sequence number."""
    place = {**_named(key), "first": first, "last": last}
    return {row.sequence: Link(*row) for row in connection.execute(_links_query(), place)}


def links_after(connection: Connection, key: ChainKey, sequence: int, limit: int) -> Iterator[Link]:
    """Yield the first ``limit`` held positions above ``sequence`` in order."""
    for row in connection.execute(_after_query(), {**_named(key), "above": sequence, "most": limit}):
        yield Link(*row)


def _positions(table: Table, key: ChainKey) -> Select[Any]:
    return select(table.c.sequence, table.c.hash, table.c.previous).where(_within(table, key))


def quarantined_in(connection: Connection, key: ChainKey, limit: int) -> list[tuple[int, str]]:
    """Return sequence number and code of the newest quarantined positions of a chain, in order."""
    query = select(quarantine.c.sequence, quarantine.c.code).where(_within(quarantine, key))
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


def chain_rows(connection: Connection, key: ChainKey) -> Iterator[Event | Quarantined]:
    """Yield every held position of a chain, whole, in order."""
    apart = select(quarantine).where(_within(quarantine, key)).order_by(quarantine.c.sequence)
    poison = [Quarantined(*row) for row in connection.execute(apart)]
    for row in connection.execute(select(event).where(_within(event, key)).order_by(event.c.sequence)):
        while poison and (poison[0].sequence or 0) < row.sequence:
            yield poison.pop(0)
        yield Event(*row)
    yield from poison
