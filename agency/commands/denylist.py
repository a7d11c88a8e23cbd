"""``card-agency denylist``: the people whom the agency stopped, as digests; who they are is not kept here."""

import argparse
from typing import TYPE_CHECKING

from agency.broker.topics import is_id
from agency.commands.output import counted, progress, say
from agency.commands.publishing import chosen_stations, publish_to_all
from agency.commands.rosters import read_people
from agency.home import Home
from agency.values import parse_day
from appliance.errors import DeliveryError, VerificationError, WrongUse

if TYPE_CHECKING:
    from agency.store.database import Database
    from agency.store.documents import StoredDocument


def import_(home: Home, arguments: argparse.Namespace) -> int:
    """Sign a CSV file as the newest deny-list, whole, and have the broker keep it for the stations.

    The list takes the place of the one before. An empty list (the header alone) stops nobody.
    """
    from agency.desk.documents import sign_denylist
    from agency.store.database import Database
    from appliance.events.roster import roster_body
    from appliance.events.sign import Signer

    as_of = parse_day(arguments.as_of, "--as-of")
    if not is_id(arguments.set):
        raise WrongUse("--set must be 1 to 63 of a-z, 0-9 and '-', and not start with '-'")
    people = read_people(arguments.file, may_be_empty=True)
    numbers = [person.citizen_id for person in people if person.citizen_id]
    if len(numbers) < len(people):
        raise VerificationError(
            f"{arguments.file}: nothing imported: a line has no citizen number, so no station could know the person"
        )
    body = roster_body(arguments.set, as_of, numbers, progress("digests", len(numbers)))
    with Database.open(home.database) as database:
        with database.write() as connection:
            audience, stations = chosen_stations(connection, arguments.station)
            document = sign_denylist(connection, body, audience, arguments.days, Signer(home.key("document")))
        return _publish(home, database, arguments, document, stations)


def push(home: Home, arguments: argparse.Namespace) -> int:
    """Have the broker keep the newest deny-list once more."""
    from agency.desk.documents import newest_document
    from agency.store.database import Database

    with Database.open(home.database) as database:
        with database.read() as connection:
            document = newest_document(connection, "denylist")
            if document is None:
                raise WrongUse("there is no deny-list: 'card-agency denylist import' makes one")
            _, stations = chosen_stations(connection, [one for one in document.audience if one != "*"])
        return _publish(home, database, arguments, document, stations)


def _publish(
    home: Home, database: "Database", arguments: argparse.Namespace, document: "StoredDocument", stations: list[str]
) -> int:
    if not stations:
        say("no station is enrolled yet; a station gets this deny-list with its grant")
        return 0
    try:
        publish_to_all(home, database, arguments, document, stations)
    except DeliveryError as error:
        words = f"deny-list document {document.version} is kept; 'denylist push' sends it"
        raise DeliveryError(f"{error}; {words}") from error
    reach = counted(len(stations), "station")
    say(f"pushed deny-list document {document.version} to {reach}; good until {document.expires_at}")
    return 0
