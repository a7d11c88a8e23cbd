"""Opening seals leaves a row, and so does what an operator decides: who, when, what, why (``card-agency access``)."""

import argparse
import getpass
import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from agency.commands.output import show_json, show_table
from agency.home import Home

if TYPE_CHECKING:
    from agency.store.database import Connection, Database


def note(database: "Database", arguments: argparse.Namespace, command: str, about: str) -> None:
    """Write the row of a report, before any of it is given out. Raises DatabaseError: then it is not given out."""
    with database.write() as connection:
        put(connection, arguments, command, about)


def put(connection: "Connection", arguments: argparse.Namespace, command: str, about: str) -> None:
    """Write the row of a decision together with it."""
    from agency.clock import now_text
    from agency.store.accesses import Access, put_access

    put_access(connection, Access(now_text(), _user(), command, about, arguments.purpose))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of a user that has no name
        return f"uid {os.getuid()}"


def list_(home: Home, arguments: argparse.Namespace) -> int:
    """List who had seals opened, or decided something for a station, and why; the newest last."""
    from agency.store.accesses import Access, list_accesses
    from agency.store.database import Database

    with Database.open(home.database) as database, database.read() as connection:
        rows = [asdict(one) for one in list_accesses(connection, arguments.limit)]
    if arguments.json:
        show_json(rows)
    else:
        show_table([column.name for column in fields(Access)], rows)
    return 0
