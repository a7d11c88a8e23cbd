"""Signing documents for stations, and handing them to the broker to keep."""

from datetime import UTC, datetime, timedelta

from agency.broker.client import BrokerClient
from agency.broker.topics import topic
from agency.store.database import Connection
from agency.store.documents import StoredDocument, next_document_version, put_document
from agency.store.rosters import StoredRoster
from appliance.events.document import Document
from appliance.events.sign import Signer

EVERY_STATION = ("*",)
_PUBACK_S = 10.0


def sign_roster(
    connection: Connection, roster: StoredRoster, audience: tuple[str, ...], days: int, signer: Signer
) -> StoredDocument:
    """Sign a roster as the next version of the kind ``roster``, and keep it."""
    issued = datetime.now(UTC)
    document = Document(
        kind="roster",
        version=next_document_version(connection, "roster"),
        issued_at=issued,
        expires_at=issued + timedelta(days=days),
        audience=audience,
        body=roster.body,
    )
    stored = StoredDocument(
        kind=document.kind,
        version=document.version,
        roster=roster.version,
        issued_at=issued.isoformat(timespec="seconds"),
        expires_at=document.expires_at.isoformat(timespec="seconds"),
        audience=audience,
        jws=document.sign(signer),
    )
    put_document(connection, stored)
    return stored


def publish(client: BrokerClient, agency: str, station: str, document: StoredDocument) -> None:
    """Have the broker keep a document for a station; returns when it has acknowledged.

    Raises:
        DeliveryError: the broker refused or did not answer.
    """
    name = topic(agency, station, f"document/{document.kind}")
    client.wait_acknowledged(client.publish_retained(name, document.jws), _PUBACK_S)
