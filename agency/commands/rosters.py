"""``card-agency roster``: import a school's list, push it to stations."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from agency.broker.topics import is_id
from agency.clock import now_text
from agency.commands.output import counted, progress, say
from agency.commands.publishing import chosen_stations, publish_to_all
from agency.home import Home
from agency.values import parse_day
from appliance.errors import DeliveryError, VerificationError, WrongUse

if TYPE_CHECKING:
    from agency.desk.people import Person
    from agency.store.database import Connection, Database
    from agency.store.documents import StoredDocument
    from agency.store.rosters import StoredRoster


def import_(home: Home, arguments: argparse.Namespace) -> int:
    """Import a CSV file as the newest roster of a set."""
    as_of = parse_day(arguments.as_of, "--as-of")
    if not is_id(arguments.set):
        raise WrongUse("--set must be 1 to 63 of a-z, 0-9 and '-', and not start with '-'")
    people = read_people(arguments.file)
    version = _store(home, arguments.set, as_of, people)
    officers = sum(person.is_officer for person in people)
    among = f", {counted(officers, 'officer')} among them," if officers else ""
    who = counted(len(people), "person", "people") + among
    say(f"imported {who} as roster {version} of {arguments.set}; 'roster push' sends it")
    return 0


def read_people(path: Path, may_be_empty: bool = False) -> "tuple[Person, ...]":
    """Return the people in a CSV file.

    Raises:
        WrongUse: the file cannot be read.
        VerificationError: something in it is wrong, which was said.
    """
    from agency.desk.people import EMPTY, read_csv

    try:
        reading = read_csv(path.read_bytes())
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror}") from None
    complaints = [one for one in reading.complaints if not (may_be_empty and one == EMPTY)]
    for words in (*reading.notes, *complaints):
        say(f"{path}: {words}")
    if complaints:
        raise VerificationError(f"nothing imported: mend {counted(len(complaints), 'complaint')} and import again")
    return reading.people


def _store(home: Home, set_id: str, as_of: str, people: "tuple[Person, ...]") -> int:
    from agency.desk.rosters import Import, digest_members, seal_members, sign_import
    from agency.store.database import Database
    from agency.store.rosters import StoredRoster, next_roster_version, put_roster
    from appliance.events.sign import Signer

    recipients = [key for key in home.keys_in_force() if key["use"] == "enc"]
    body = digest_members(Import(set_id, 0, as_of, people), progress("digests", len(people)))
    with Database.open(home.database) as database, database.write() as connection:
        new = Import(set_id, next_roster_version(connection), as_of, people)
        stored = StoredRoster(new.version, set_id, as_of, now_text(), len(people), body)
        put_roster(connection, stored, seal_members(new, recipients))
        sign_import(connection, new.version, Signer(home.key("document")))
    return new.version


def push(home: Home, arguments: argparse.Namespace) -> int:
    """Sign the newest roster of a set and have the broker keep it for the stations."""
    from agency.store.database import Database

    with Database.open(home.database) as database:
        document, stations = _sign(home, database, arguments)
        if not stations:
            say("no station is enrolled yet; a station gets this roster with its grant")
            return 0
        try:
            publish_to_all(home, database, arguments, document, stations)
        except DeliveryError as error:
            words = f"roster document {document.version} is kept; push again to send it"
            raise DeliveryError(f"{error}; {words}") from error
    reach = counted(len(stations), "station")
    say(f"pushed roster document {document.version} to {reach}; good until {document.expires_at}")
    return 0


def _sign(home: Home, database: "Database", arguments: argparse.Namespace) -> "tuple[StoredDocument, list[str]]":
    from agency.desk.documents import roster_document
    from appliance.events.sign import Signer

    with database.write() as connection:
        roster = _chosen_roster(connection, arguments.set)
        audience, stations = chosen_stations(connection, arguments.station)
        document = roster_document(connection, roster, audience, arguments.days, Signer(home.key("document")))
    return document, stations


def _chosen_roster(connection: "Connection", set_id: str | None) -> "StoredRoster":
    from agency.store.rosters import newest_rosters

    rosters = newest_rosters(connection)
    chosen = [roster for roster in rosters if set_id in (None, roster.set)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise WrongUse("no such roster: 'card-agency roster import' makes one")
    raise WrongUse(f"choose one with --set: {', '.join(roster.set for roster in chosen)}")
