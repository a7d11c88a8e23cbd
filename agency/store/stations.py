"""Stations, their event keys and their certificates. A key is never deleted: old events must stay verifiable."""

import json
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update

from agency.store.database import Connection, DatabaseError, held_json
from agency.store.tables import certificate, chain, event, event_key, station
from appliance.events.sign import Jwk


@dataclass(frozen=True)
class EventKey:
    """The public key with which a station signs events.

    Args:
        kid: RFC 7638 thumbprint.
        station: station id.
        jwk: public JWK with purpose ``event``.
        approved_at: RFC 3339.
        revoked_at: RFC 3339, or None while it is good.
    """

    kid: str
    station: str
    jwk: Jwk
    approved_at: str
    revoked_at: str | None


@dataclass(frozen=True)
class Certificate:
    """A station's TLS certificate.

    Args:
        serial: hexadecimal.
        station: station id.
        kid: event key it was granted with.
        not_after: RFC 3339.
        pem: the certificate.
    """

    serial: str
    station: str
    kid: str
    not_after: str
    pem: str


@dataclass(frozen=True)
class Station:
    """A station in one line.

    Args:
        id: station id.
        state: ``approved`` or ``revoked``.
        flag: why an operator must look, such as ``fork``; else None.
        kid: the newest event key.
        approved_at: of that key.
        certificate_until: RFC 3339.
        events: how many are held.
        through: high-water mark of the newest chain, 0 for none.
    """

    id: str
    state: str
    flag: str | None
    kid: str
    approved_at: str
    certificate_until: str
    events: int
    through: int


def put_station(connection: Connection, key: EventKey) -> None:
    """Add a station with its key; a station or key that is there stays as it is."""
    if connection.execute(select(station.c.id).where(station.c.id == key.station)).first() is None:
        connection.execute(insert(station).values(id=key.station, approved_at=key.approved_at))
    if connection.execute(select(event_key.c.kid).where(event_key.c.kid == key.kid)).first() is None:
        row = {"kid": key.kid, "station": key.station, "jwk": json.dumps(key.jwk), "approved_at": key.approved_at}
        connection.execute(insert(event_key).values(row))


def put_certificate(connection: Connection, issued: Certificate) -> None:
    """Add a certificate."""
    connection.execute(insert(certificate).values(**vars(issued)))


def list_certificates(connection: Connection) -> list[Certificate]:
    """Return every certificate that was issued, by station."""
    rows = connection.execute(select(certificate).order_by(certificate.c.station, certificate.c.serial))
    return [Certificate(*row) for row in rows]


def event_keys(connection: Connection, *stations: str) -> list[EventKey]:
    """Return all event keys, or those of the named stations, oldest first; revoked ones too."""
    query = select(event_key).order_by(event_key.c.approved_at, event_key.c.kid)
    if stations:
        query = query.where(event_key.c.station.in_(stations))
    rows = connection.execute(query)
    return [
        EventKey(r.kid, r.station, held_json(r.jwk, f"a key of station {r.station}", dict), r.approved_at, r.revoked_at)
        for r in rows
    ]


def revoke_station(connection: Connection, station_id: str, at: str) -> int:
    """Revoke every good key of a station; return how many that were."""
    good = (event_key.c.station == station_id) & event_key.c.revoked_at.is_(None)
    return connection.execute(update(event_key).where(good).values(revoked_at=at)).rowcount


def flag_station(connection: Connection, station_id: str, reason: str) -> None:
    """Flag a station for an operator; the first reason stands until then."""
    unflagged = (station.c.id == station_id) & station.c.flag.is_(None)
    connection.execute(update(station).where(unflagged).values(flag=reason))


def clear_flag(connection: Connection, station_id: str) -> str | None:
    """Take a station's flag away; return what it was."""
    reason = connection.execute(select(station.c.flag).where(station.c.id == station_id)).scalar()
    connection.execute(update(station).where(station.c.id == station_id).values(flag=None))
    return reason


def flags(connection: Connection) -> list[tuple[str, str]]:
    """Return the flagged stations, each with the reason."""
    flagged = select(station.c.id, station.c.flag).where(station.c.flag.is_not(None)).order_by(station.c.id)
    return [(row.id, row.flag) for row in connection.execute(flagged)]


def list_stations(connection: Connection) -> list[Station]:
    """Return all stations by id."""
    rows = connection.execute(select(station).order_by(station.c.id)).all()
    return [_summary(connection, row.id, row.flag) for row in rows]


def find_station(connection: Connection, station_id: str) -> Station | None:
    """Return one station, or None."""
    row = connection.execute(select(station).where(station.c.id == station_id)).first()
    return _summary(connection, row.id, row.flag) if row else None


def approved_stations(connection: Connection) -> list[str]:
    """Return the ids of the stations with a good key."""
    query = select(event_key.c.station).where(event_key.c.revoked_at.is_(None)).distinct()
    return sorted(connection.execute(query).scalars())


def _summary(connection: Connection, station_id: str, flag: str | None) -> Station:
    keys = event_keys(connection, station_id)
    if not keys:
        raise DatabaseError(f"the database holds no key of station {station_id}: put an earlier copy of it back")
    newest = keys[-1]
    until = select(func.max(certificate.c.not_after)).where(certificate.c.station == station_id)
    held = select(func.count()).select_from(event).where(event.c.station == station_id)
    through = select(chain.c.high_water).where(chain.c.station == station_id).order_by(chain.c.id.desc()).limit(1)
    return Station(
        id=station_id,
        state="revoked" if newest.revoked_at else "approved",
        flag=flag,
        kid=newest.kid,
        approved_at=newest.approved_at,
        certificate_until=connection.execute(until).scalar_one(),
        events=connection.execute(held).scalar_one(),
        through=connection.execute(through).scalar() or 0,
    )
