"""Handing a document to the broker for many stations: what ``roster push`` and ``keys push`` have in common."""

import argparse
from typing import TYPE_CHECKING

from agency.commands.output import progress
from agency.home import Home

if TYPE_CHECKING:
    from agency.store.database import Database
    from agency.store.documents import StoredDocument

_CONNECT_S = 10.0


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
