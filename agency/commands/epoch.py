"""``card-agency epoch``: the number that rises when the database was put back from an older copy."""

import argparse

from agency.commands.output import say, show_json
from agency.home import Home


def show(home: Home, arguments: argparse.Namespace) -> int:
    """Show the epoch, how many batches were committed, and whether every station was sent a receipt of it."""
    from agency.store.database import Database
    from agency.store.epoch import reach, untold

    with Database.open(home.database) as database, database.read() as connection:
        here = {**reach(connection)._asdict(), "told": untold(connection, str(home.key("receipt")["kid"])) is None}
    if arguments.json:
        show_json(here)
    else:
        for name, value in here.items():
            print(f"{name}: {value}")
    return 0


def raise_(home: Home, arguments: argparse.Namespace) -> int:
    """Begin a new epoch: after the database was put back from an older copy, stations send again what it lacks."""
    from agency.ingest.restored import Witness
    from agency.store.database import Database
    from agency.store.epoch import raise_epoch

    with Database.open(home.database) as database, database.write() as connection:
        new = raise_epoch(connection)
    Witness(home.witness).write(new)  # or a database that is put back once more, before ingest ran, would go unnoticed
    if arguments.json:
        show_json({"epoch": new.epoch})
    say(f"epoch {new.epoch}: 'card-agency ingest' now sends every station its receipt, and they send what is missing")
    return 0
