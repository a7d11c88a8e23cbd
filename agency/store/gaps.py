"""Excused gaps: stretches of a chain that will never come, by whose word, and the mark that may pass over them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.tables import event, excused, quarantine

OPERATOR = "operator"


@dataclass(frozen=True)
class Excuse:
    """A stretch that is given up.

    Args:
        chain: ULID.
        kid: the event key that owns the chain.
        first: sequence number.
        last: sequence number, not below ``first``.
        by: hash of the event that declares it lost, or ``operator``.
        noted_at: RFC 3339.
    """

    chain: str
    kid: str
    first: int
    last: int
    by: str
    noted_at: str


def put_excuses(connection: Connection, key: ChainKey, new: Iterable[Excuse]) -> None:
    """Add excuses of one chain; where one begins at the same place already, it stays as it is."""
    rows = {one.first: vars(one) for one in new}
    for held in excuses(connection, key):
        rows.pop(held.first, None)
    if rows:
        connection.execute(insert(excused), list(rows.values()))


def excuses(connection: Connection, key: ChainKey) -> list[Excuse]:
    """Return the excuses of a chain, in order."""
    query = select(excused).where((excused.c.chain == key.id) & (excused.c.kid == key.kid))
    return [Excuse(*row) for row in connection.execute(query.order_by(excused.c.first))]


def declaring_event(connection: Connection, hash_: str) -> str | None:
    """Return the signed text of the event with this hash, where it is held."""
    return connection.execute(select(event.c.jws).where(event.c.hash == hash_).limit(1)).scalar()


def highest(connection: Connection, key: ChainKey) -> int:
    """Return the highest position that is held of a chain, 0 for none."""
    tops = [
        select(func.max(table.c.sequence)).where((table.c.chain == key.id) & (table.c.kid == key.kid))
        for table in (event, quarantine)
    ]
    return max(connection.execute(query).scalar() or 0 for query in tops)


def first_event(connection: Connection, key: ChainKey) -> str | None:
    """Return the signed text of position 1 of a chain, where an event holds it: there a station says what is lost."""
    own = (event.c.chain == key.id) & (event.c.kid == key.kid) & (event.c.sequence == 1)
    return connection.execute(select(event.c.jws).where(own)).scalar()


def passed_over(excused_here: Iterable[Excuse], sequence: int) -> int:
    """Return the last number that is given up, from ``sequence`` on without a break; ``sequence - 1`` for none."""
    reached = sequence - 1
    for one in excused_here:  # in order of their first numbers
        if one.first <= reached + 1:
            reached = max(reached, one.last)
    return reached
