"""Health visits that were opened: by whom is sealed, and found again by a keyed hash whose key is elsewhere."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select, update

from agency.store.database import Connection
from agency.store.tables import health_visit

OPENING, OPEN, CLOSED, DISPUTED = "opening", "open", "closed", "disputed"
STATES = (OPENING, OPEN, CLOSED, DISPUTED)


@dataclass(frozen=True)
class HealthVisit:
    """One visit.

    Args:
        opened_by: id of the query that opened it; the correlation id towards the claim service.
        station: where.
        subject: keyed hash of the citizen number, 43 characters.
        choice: what for.
        sealed: JWE of citizen number and claim code, as JSON; while it is opening, of the number alone.
        state: one of ``STATES``; ``opening`` from before the claim code is asked for until it is there.
        opened_at: RFC 3339.
        closed_by: id of the query that closed or disputed it.
        closed_at: RFC 3339.
    """

    opened_by: str
    station: str
    subject: str
    choice: str | None
    sealed: str
    state: str
    opened_at: str
    closed_by: str | None = None
    closed_at: str | None = None


def put_visit(connection: Connection, new: HealthVisit) -> None:
    """Add a visit."""
    connection.execute(insert(health_visit).values(**vars(new)))


def newest_visit(connection: Connection, subject: str) -> HealthVisit | None:
    """Return somebody's newest visit that was opened, whatever became of it."""
    return _newest(connection, (health_visit.c.subject == subject) & (health_visit.c.state != OPENING))


def visit_in_doubt(connection: Connection, subject: str) -> HealthVisit | None:
    """Return somebody's newest visit of which nobody knows whether it was opened."""
    return _newest(connection, (health_visit.c.subject == subject) & (health_visit.c.state == OPENING))


def _newest(connection: Connection, which: ColumnElement[bool]) -> HealthVisit | None:
    newest = (
        select(health_visit).where(which).order_by(health_visit.c.opened_at.desc(), health_visit.c.opened_by.desc())
    )
    row = connection.execute(newest.limit(1)).first()
    return HealthVisit(*row) if row else None


def open_visit(connection: Connection, opened: HealthVisit) -> None:
    """Open a visit that was opening, with what is known of it now."""
    which = (health_visit.c.opened_by == opened.opened_by) & (health_visit.c.state == OPENING)
    connection.execute(update(health_visit).where(which).values(**vars(opened)))


def drop_visit(connection: Connection, opened_by: str) -> None:
    """Forget a visit that was opening and did not."""
    which = (health_visit.c.opened_by == opened_by) & (health_visit.c.state == OPENING)
    connection.execute(delete(health_visit).where(which))


def end_visit(connection: Connection, opened_by: str, state: str, closed_by: str, at: str) -> None:
    """Close or dispute a visit. A dispute stands: nothing closes a disputed one."""
    not_disputed = (health_visit.c.opened_by == opened_by) & (health_visit.c.state != DISPUTED)
    change = {"state": state, "closed_by": closed_by, "closed_at": at}
    connection.execute(update(health_visit).where(not_disputed).values(**change))


def list_visits(connection: Connection, state: str | None, station: str | None) -> list[HealthVisit]:
    """Return visits, the oldest first."""
    query = select(health_visit).order_by(health_visit.c.opened_at, health_visit.c.opened_by)
    if state is not None:
        query = query.where(health_visit.c.state == state)
    if station is not None:
        query = query.where(health_visit.c.station == station)
    return [HealthVisit(*row) for row in connection.execute(query)]
