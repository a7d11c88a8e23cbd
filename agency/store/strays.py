"""Rows that no chain leads to: only somebody who wrote into the database past its rules can have left them."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import func, select

from agency.store.database import Connection
from agency.store.tables import chain, event, excused, fork, quarantine, receipt


class Stray(NamedTuple):
    """Rows of one table that name a chain that is not held.

    Args:
        table: its name.
        chain: ULID, as the rows have it.
        kid: likewise.
        rows: how many.
    """

    table: str
    chain: str
    kid: str
    rows: int


def strays(connection: Connection) -> Iterator[Stray]:
    """Yield what no chain leads to. A quarantined event without a place is none."""
    for table in (event, quarantine, fork, receipt, excused):
        own = (chain.c.id == table.c.chain) & (chain.c.kid == table.c.kid)
        query = select(table.c.chain, table.c.kid, func.count()).select_from(table.outerjoin(chain, own))
        lost = query.where(chain.c.id.is_(None) & table.c.chain.is_not(None)).group_by(table.c.chain, table.c.kid)
        for row in connection.execute(lost):
            yield Stray(table.name, *row)
