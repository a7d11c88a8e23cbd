"""Signed documents, as they were published. The version of a kind never goes down."""

import json
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from agency.store.database import Connection, held_json
from agency.store.tables import document


@dataclass(frozen=True)
class StoredDocument:
    """One signed document.

    Args:
        kind: ``roster`` and so on.
        version: 1 or more.
        roster: version of the roster in it, or None.
        issued_at: RFC 3339.
        expires_at: RFC 3339.
        audience: station ids, or ``*``.
        jws: the document.
    """

    kind: str
    version: int
    roster: int | None
    issued_at: str
    expires_at: str
    audience: tuple[str, ...]
    jws: str

    def is_for(self, station: str) -> bool:
        """Say whether the document is for this station."""
        return "*" in self.audience or station in self.audience


def next_document_version(connection: Connection, kind: str) -> int:
    """Return the version that the next document of a kind gets."""
    query = select(func.max(document.c.version)).where(document.c.kind == kind)
    return (connection.execute(query).scalar() or 0) + 1


def put_document(connection: Connection, new: StoredDocument) -> None:
    """Add a document."""
    connection.execute(insert(document).values(**{**vars(new), "audience": json.dumps(new.audience)}))


def _audience(text: str) -> tuple[str, ...]:
    return tuple(held_json(text, "a document's audience", list))


def list_documents(connection: Connection) -> list[StoredDocument]:
    """Return all documents, by kind and version."""
    rows = connection.execute(select(document).order_by(document.c.kind, document.c.version))
    return [
        StoredDocument(
            r.kind,
            r.version,
            r.roster,
            r.issued_at,
            r.expires_at,
            _audience(r.audience),
            r.jws,
        )
        for r in rows
    ]


def newest_for(connection: Connection, station: str) -> list[StoredDocument]:
    """Return the newest document of each kind that is for this station."""
    return list({d.kind: d for d in list_documents(connection) if d.is_for(station)}.values())
