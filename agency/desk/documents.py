"""Signing documents for stations, and handing them to the broker to keep."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from agency.broker.client import BrokerClient
from agency.broker.topics import topic
from agency.store.database import Connection
from agency.store.documents import StoredDocument, list_documents, next_document_version, put_document
from agency.store.rosters import StoredRoster
from agency.store.stations import approved_stations
from appliance.errors import ConfigError, VerificationError
from appliance.events.document import Document
from appliance.events.sign import DOCUMENT_TYPE, KeySet, Signer, unverified_payload
from appliance.services.catalogue import Catalogue, services_body
from appliance.services.loading import parse
from appliance.services.profile import Profile

EVERY_STATION = ("*",)
_PUBACK_S = 10.0


def roster_document(
    connection: Connection, roster: StoredRoster, audience: tuple[str, ...], days: int, signer: Signer
) -> StoredDocument:
    """Return the kept document of a roster if it still serves, else sign the next version.

    It serves if it is the newest for each station of this audience (a station takes no lower version), the signature
    holds, and it is good for at most ``days`` more and at least half of that: who pushes again to renew gets a new one.
    """
    newest = next((d for d in reversed(list_documents(connection)) if _meets(d, "roster", audience)), None)
    if newest and (newest.roster, newest.audience) == (roster.version, audience) and _serves(newest, days, signer):
        return newest
    return sign_roster(connection, roster, audience, days, signer)


def _meets(document: StoredDocument, kind: str, audience: tuple[str, ...]) -> bool:
    """Say whether a document of this kind is for any station of an audience."""
    return document.kind == kind and ("*" in audience or any(map(document.is_for, audience)))


def _serves(document: StoredDocument, days: int, signer: Signer) -> bool:
    try:
        KeySet([signer.public("document")]).verify(document.jws, DOCUMENT_TYPE, "document")
    except VerificationError:
        return False
    left = datetime.fromisoformat(document.expires_at) - datetime.now(UTC)
    return timedelta(days=days) / 2 <= left <= timedelta(days=days)


def sign_roster(
    connection: Connection, roster: StoredRoster, audience: tuple[str, ...], days: int, signer: Signer
) -> StoredDocument:
    """Sign a roster as the next version of the kind ``roster``, and keep it."""
    return _sign(connection, "roster", roster.body, audience, days, signer, roster=roster.version)


def sign_services(
    connection: Connection, profiles: Iterable[Profile], audience: tuple[str, ...], days: int, signer: Signer
) -> list[tuple[StoredDocument, list[str]]]:
    """Sign the services in force and newer ones of ``profiles`` as the next versions of the kind, and keep them.

    Stations that have different services get a document each: one for all would take from some, and give to others.

    Returns:
        Each document, and the approved stations that it goes to.

    Raises:
        VerificationError: a profile goes back, or changed without a new version.
    """
    new = {profile.id: profile for profile in profiles}
    signed = []
    for before, stations in _alike(connection, audience):
        body = services_body({**before, **new}.values())
        software = Catalogue.of_software()
        software.with_document(body, before=Catalogue({**software.profiles, **before}))
        reach = EVERY_STATION if "*" in stations else tuple(stations)
        document = _sign(connection, "services", body, reach, days, signer)
        signed.append((document, [station for station in stations if station != "*"]))
    return signed


def _alike(connection: Connection, audience: tuple[str, ...]) -> list[tuple[dict[str, Profile], list[str]]]:
    """Return what stations of an audience have, and which; first those that have what a new station (``*``) gets.

    What is signed later is newer: a document for every station must come before those for some.
    """
    stations = [*EVERY_STATION, *approved_stations(connection)] if audience == EVERY_STATION else sorted(audience)
    documents = [document for document in reversed(list_documents(connection)) if document.kind == "services"]
    by_document: dict[int, list[str]] = {}
    for station in stations:
        newest = next((document.version for document in documents if document.is_for(station)), 0)
        by_document.setdefault(newest, []).append(station)
    groups: dict[frozenset[str], tuple[dict[str, Profile], list[str]]] = {}
    for alike in by_document.values():
        held = services_in_force(connection, alike[0])
        content = frozenset(profile.sha256 for profile in held.values())
        groups.setdefault(content, (held, []))[1].extend(alike)
    return list(groups.values())


def sign_denylist(
    connection: Connection, body: dict[str, Any], audience: tuple[str, ...], days: int, signer: Signer
) -> StoredDocument:
    """Sign the people whom the agency stopped, as the next version of the kind, and keep it."""
    return _sign(connection, "denylist", body, audience, days, signer)


def newest_document(connection: Connection, kind: str) -> StoredDocument | None:
    """Return the newest document of a kind, None where there is none."""
    return next((one for one in reversed(list_documents(connection)) if one.kind == kind), None)


def services_in_force(connection: Connection, station: str) -> dict[str, Profile]:
    """Return what the newest services document for a station holds, by id; ``*`` for one that is enrolled next."""
    newest = next((d for d in reversed(list_documents(connection)) if d.kind == "services" and d.is_for(station)), None)
    return {profile.id: profile for profile in _profiles(unverified_payload(newest.jws))} if newest is not None else {}


def every_service(connection: Connection, keys: KeySet) -> list[Profile]:
    """Return every profile that the agency ever signed in a services document; what is altered counts for none."""
    return [profile for _, profile in given_services(connection, keys)]


def given_services(connection: Connection, keys: KeySet) -> list[tuple[StoredDocument, Profile]]:
    """Return the same with the document that gave each to its stations."""
    found: list[tuple[StoredDocument, Profile]] = []
    for document in list_documents(connection):
        with suppress(VerificationError):
            if document.kind == "services":
                profiles = _profiles(keys.verify(document.jws, DOCUMENT_TYPE, "document"))
                found += [(document, profile) for profile in profiles]
    return found


def _profiles(payload: dict[str, Any]) -> list[Profile]:
    """Return the profiles of a document, without those that an earlier version signed and this one would refuse."""
    found = []
    for text in payload["body"]["profiles"]:
        with suppress(ConfigError):
            found.append(parse(text.encode(), "the services document"))
    return found


def _sign(
    connection: Connection,
    kind: str,
    body: dict[str, Any],
    audience: tuple[str, ...],
    days: int,
    signer: Signer,
    *,
    roster: int | None = None,
) -> StoredDocument:
    issued = datetime.now(UTC)
    document = Document(
        kind=kind,
        version=next_document_version(connection, kind),
        issued_at=issued,
        expires_at=issued + timedelta(days=days),
        audience=audience,
        body=body,
    )
    stored = StoredDocument(
        kind=document.kind,
        version=document.version,
        roster=roster,
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
