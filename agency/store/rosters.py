"""Rosters: sealed members and the digests that go to stations. Versions count through all sets and never go down."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select

from agency.store.database import Connection, held_json
from agency.store.tables import roster, roster_import, roster_member


@dataclass(frozen=True)
class StoredRoster:
    """One import of a set.

    Args:
        version: 1 or more, through all sets.
        set: id of the set.
        as_of: date of the data, YYYY-MM-DD.
        imported_at: RFC 3339.
        people: how many.
        body: the body of the roster document.
    """

    version: int
    set: str
    as_of: str
    imported_at: str
    people: int
    body: dict[str, Any]


def next_roster_version(connection: Connection) -> int:
    """Return the version that the next roster gets."""
    return (connection.execute(select(func.max(roster.c.version))).scalar() or 0) + 1


def put_roster(connection: Connection, new: StoredRoster, sealed_members: Iterable[dict[str, Any]]) -> None:
    """Add a roster with its sealed members, in order."""
    connection.execute(insert(roster).values(**{**vars(new), "body": json.dumps(new.body)}))
    rows = [
        {"version": new.version, "member_index": index, "sealed": json.dumps(sealed)}
        for index, sealed in enumerate(sealed_members)
    ]
    if rows:
        connection.execute(insert(roster_member), rows)


def roster_digest(connection: Connection, version: int) -> str:
    """Return the SHA-256 of a roster as it is held, its members too; hexadecimal."""
    digest = hashlib.sha256()
    row = connection.execute(select(roster).where(roster.c.version == version)).one()
    digest.update(json.dumps(list(row)).encode())
    members = select(roster_member.c.member_index, roster_member.c.sealed).where(roster_member.c.version == version)
    for member in connection.execute(members.order_by(roster_member.c.member_index)):
        digest.update(json.dumps(list(member)).encode())
    return digest.hexdigest()


def put_import(connection: Connection, version: int, jws: str) -> None:
    """Keep what was signed of an import."""
    connection.execute(insert(roster_import).values(version=version, jws=jws))


def signed_imports(connection: Connection) -> dict[int, str]:
    """Return what was signed of each import, by version."""
    return {row.version: row.jws for row in connection.execute(select(roster_import))}


def newest_rosters(connection: Connection) -> list[StoredRoster]:
    """Return the newest roster of each set, by set."""
    newest = select(func.max(roster.c.version)).group_by(roster.c.set)
    rows = connection.execute(select(roster).where(roster.c.version.in_(newest)).order_by(roster.c.set))
    return [_stored(row) for row in rows]


def list_rosters(connection: Connection) -> list[StoredRoster]:
    """Return every roster, by version."""
    return [_stored(row) for row in connection.execute(select(roster).order_by(roster.c.version))]


def find_roster(connection: Connection, version: int) -> StoredRoster | None:
    """Return a roster by its version."""
    row = connection.execute(select(roster).where(roster.c.version == version)).one_or_none()
    return _stored(row) if row else None


def _stored(row: Row[Any]) -> StoredRoster:
    body = held_json(row.body, f"roster {row.version}", dict)
    return StoredRoster(row.version, row.set, row.as_of, row.imported_at, row.people, body)


def sealed_members(connection: Connection, version: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield index and seal of each member of a roster."""
    query = select(roster_member.c.member_index, roster_member.c.sealed)
    query = query.where(roster_member.c.version == version).order_by(roster_member.c.member_index)
    for row in connection.execute(query):
        yield row.member_index, held_json(row.sealed, "a member of a roster", dict)
