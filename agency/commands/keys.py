"""``card-agency keys``: list, rotate, retire, push."""

import argparse
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

from agency.commands.output import say, show_json, show_table
from agency.commands.publishing import publish_to_all
from agency.home import Home
from appliance.errors import DeliveryError

if TYPE_CHECKING:
    from agency.store.database import Database


def list_(home: Home, arguments: argparse.Namespace) -> int:
    """List the agency's keys: purpose, thumbprint, state, and whether the private half is on this machine."""
    from agency.desk.keys import KeyLine, list_keys

    lines = [asdict(line) for line in list_keys(home)]
    if arguments.json:
        show_json(lines)
    else:
        show_table([column.name for column in fields(KeyLine)], lines)
    return 0


def rotate(home: Home, arguments: argparse.Namespace) -> int:
    """Make the next key of a purpose, tell every station, then use it."""
    from agency.desk.keys import rotate as rotate_key
    from agency.store.database import Database

    with Database.open(home.database) as database:
        with database.write() as connection:
            document = rotate_key(home, connection, arguments.purpose)
        say(f"the next {arguments.purpose} key is made; keys document {document.version} brings it")
        return _push(home, database, arguments)


def retire(home: Home, arguments: argparse.Namespace) -> int:
    """Believe the old keys of a purpose no more, destroy their private halves, and tell every station."""
    from agency.desk.keys import retire as retire_keys
    from agency.store.database import Database

    with Database.open(home.database) as database:
        with database.write() as connection:
            old = retire_keys(home, connection, arguments.purpose)
        say(f"retired {len(old)} old {arguments.purpose} keys")
        return _push(home, database, arguments)


def push(home: Home, arguments: argparse.Namespace) -> int:
    """Have the broker keep the keys documents for every station, then use the keys that wait."""
    from agency.store.database import Database

    with Database.open(home.database) as database:
        return _push(home, database, arguments)


def _push(home: Home, database: "Database", arguments: argparse.Namespace) -> int:
    from agency.desk.keys import activate, key_steps
    from agency.store.stations import approved_stations

    with database.read() as connection:
        steps, stations = key_steps(connection), approved_stations(connection)
    if not steps:
        say("no key was rotated yet; stations have the keys of their grants")
        return 0
    message = replace(steps[-1], jws="\n".join(step.jws for step in steps))
    if stations:
        try:
            publish_to_all(home, database, arguments, message, stations)
        except DeliveryError as error:
            raise DeliveryError(f"{error}; nothing is lost: 'card-agency keys push' sends it again") from error
    say(f"pushed keys document {message.version} to {len(stations)} stations")
    for purpose in activate(home):
        say(f"the new {purpose} key is in use")
        if purpose == "escrow":
            say(f"move {home.keys}/escrow.jwk off this machine, as the one before")
    return 0
