"""Rows that lead nowhere: they name a station, key, chain or version that is not held.

The database does not let anybody of ours leave one; whoever writes past its rules can.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Column, Table, and_, func, or_, select, text

from agency.store.database import Connection
from agency.store.tables import METADATA, chain, quarantine


class Stray(NamedTuple):
    """Rows of one table that name what is not held.

    Args:
        table: its name.
        names: what they name, as they have it.
        of: the table in which that is not.
        rows: how many.
    """

    table: str
    names: str
    of: str
    rows: int


def strays(connection: Connection) -> Iterator[Stray]:
    """Yield what leads nowhere. A quarantined event may have no place, and an excuse may come first."""
    for table, parent, columns in _references():
        named = parent.alias()
        join = and_(*(named.c[theirs.name] == own for own, theirs in columns.items()))
        query = select(*columns, func.count()).select_from(table.outerjoin(named, join)).group_by(*columns)
        is_lost = or_(*(named.c[theirs.name].is_(None) for theirs in columns.values()))
        is_named = and_(*(own.is_not(None) for own in columns))
        for *values, rows in connection.execute(query.where(is_lost & is_named)):
            yield Stray(table.name, " ".join(map(str, values)), parent.name, rows)


def strangers(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield kind and name of what acts in the database by itself; nothing of ours does."""
    if connection.dialect.name == "sqlite":
        acting = text("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name")
        yield from ((kind, name) for kind, name in connection.execute(acting))


def _references() -> Iterator[tuple[Table, Table, Mapping[Column[object], Column[object]]]]:
    for table in METADATA.sorted_tables:
        for reference in table.foreign_key_constraints:
            columns = {element.parent: element.column for element in reference.elements}
            yield table, reference.referred_table, columns
    yield quarantine, chain, {quarantine.c.chain: chain.c.id, quarantine.c.kid: chain.c.kid}
