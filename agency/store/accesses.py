"""Who had seals opened or decided something, when and why. Rows are only added: no report is given out without one."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from agency.store.database import Connection
from agency.store.tables import access


@dataclass(frozen=True)
class Access:
    """One report that opened seals, or one decision of an operator.

    Args:
        at: RFC 3339.
        user: of the operating system.
        command: such as ``attendance`` or ``station clear``.
        about: day and set, or station and what was decided.
        purpose: in the user's words; empty where none were given.
    """

    at: str
    user: str
    command: str
    about: str
    purpose: str


def put_access(connection: Connection, new: Access) -> None:
    """Add a row."""
    connection.execute(insert(access).values(**vars(new)))


def decided(connection: Connection, command: str, about: str, since: str = "") -> bool:
    """Say whether a decision stands here, made at ``since`` (RFC 3339) or later."""
    which = (access.c.command == command) & (access.c.about == about) & (access.c.at >= since)
    return connection.execute(select(access.c.number).where(which).limit(1)).first() is not None


def list_accesses(connection: Connection, limit: int) -> list[Access]:
    """Return the newest rows, the newest last."""
    columns = [column for column in access.c if column.name != "number"]
    rows = connection.execute(select(*columns).order_by(access.c.number.desc()).limit(limit))
    return [Access(*row) for row in rows][::-1]
