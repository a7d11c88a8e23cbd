"""Handing a document to the broker for many stations: what every ``push`` shares."""

import argparse
from typing import TYPE_CHECKING

from agency.commands.output import progress
from agency.home import Home
from appliance.errors import WrongUse

if TYPE_CHECKING:
    from agency.store.database import Connection, Database
    from agency.store.documents import StoredDocument

_CONNECT_S = 10.0


def chosen_stations(connection: "Connection", named: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the audience of a document, and the approved stations that it goes to: those named, or every one.

    Raises:
        WrongUse: a station that is named is not approved.
    """
    from agency.desk.documents import EVERY_STATION
    from agency.store.stations import approved_stations

    approved = approved_stations(connection)
    unknown = sorted(set(named) - set(approved))
    if unknown:
        raise WrongUse(f"no approved station {', '.join(unknown)}; 'card-agency station list' shows all")
    return tuple(sorted(set(named))) or EVERY_STATION, sorted(set(named)) or approved


def publish_to_all(
    home: Home,
    database: "Database",
    arguments: argparse.Namespace,
    document: "StoredDocument",
    stations: list[str],
) -> None:
    """Have the broker keep a document for each station.

    Raises:
        DeliveryError: the broker is away, or refused.
    """
    from agency.broker.client import BrokerClient
    from agency.broker.configuration import DESK_USER
    from agency.commands.serve import login
    from agency.desk.documents import publish

    meta = database.meta()
    client = BrokerClient(login(home, meta, DESK_USER, arguments.broker))
    client.start()
    try:
        client.wait_connected(_CONNECT_S)
        tell = progress("stations", len(stations))
        for done, station in enumerate(stations, 1):
            publish(client, meta["agency"], station, document)
            tell(done)
    finally:
        client.stop(0)
