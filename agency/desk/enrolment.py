"""Enrolment by file: a station's request in, a grant out.

The request binds the TLS key to the event key: the event key signs a proof over the hash of the certificate request.
Nothing of a request that fails any check is kept. An operator compares the fingerprint with the station's panel.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from agency.broker.topics import is_id, is_station_id
from agency.clock import now_text
from agency.desk.authority import Authority, certificate_pem
from agency.store.database import Connection
from agency.store.documents import newest_for
from agency.store.stations import Certificate, EventKey, event_keys, put_certificate, put_station
from appliance.errors import VerificationError
from appliance.events.sign import Jwk, KeySet, MessageType, thumbprint

ENROL_TYPE = MessageType("card-enrol+jws")
REQUEST_SCHEMA = "card-station/enrol-request/1"
GRANT_SCHEMA = "card-station/grant/1"

_PUBLIC_MEMBERS = ("kty", "crv", "x", "y")


@dataclass(frozen=True)
class Request:
    """A request whose every claim was checked, except that an operator wants this station.

    Args:
        station: station id.
        csr: certificate request, PEM.
        event_key: public JWK with kid and purpose.
        fingerprint: what the operator compares: the event key's thumbprint.
    """

    station: str
    csr: str
    event_key: Jwk
    fingerprint: str


def read_request(content: dict[str, Any], agency: str) -> Request:
    """Check a request.

    Raises:
        VerificationError: says which claim does not hold.
    """
    if content.get("schema") != REQUEST_SCHEMA:
        what = "a grant, which goes to the station" if "certificate" in content else "something else"
        raise VerificationError(f"this is {what}: 'card-station enrol --request FILE' there makes the request")
    texts = {name: content.get(name) for name in ("schema", "agency", "station", "csr", "proof")}
    if not all(isinstance(value, str) for value in texts.values()) or not isinstance(content.get("event_key"), dict):
        raise VerificationError(
            "the request lacks agency, station, csr, event_key or proof: have the station make it anew"
        )
    if texts["agency"] != agency:
        raise VerificationError(f"the request is for the agency {texts['agency']!r}, this is {agency!r}")
    station = str(texts["station"])
    if not is_station_id(station):
        raise VerificationError(_bad_name(station))
    try:
        key = _event_key(content["event_key"])
        request = Request(station, str(texts["csr"]), key, str(key["kid"]))
        _check_proof(str(texts["proof"]), request, agency)
    except VerificationError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger chose key and proof; what trips us proves nothing
        raise VerificationError(f"key and proof cannot be checked: {type(error).__name__}") from None
    return request


def _bad_name(station: str) -> str:
    if is_id(station):
        return f"a station may not be called {station}: that name is the agency's own"
    return "the station's id is not of a-z, 0-9 and '-', 1 to 63 characters"


def _event_key(jwk: Jwk) -> Jwk:
    if "d" in jwk:
        raise VerificationError("the request holds a private key: that key is spoilt, make a new one")
    bare = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
    return {**bare, "kid": thumbprint(bare), "use": "sig", "purpose": "event"}


def _check_proof(proof: str, request: Request, agency: str) -> None:
    claims = KeySet([request.event_key]).verify(proof, ENROL_TYPE, "event")
    digest = base64.urlsafe_b64encode(hashlib.sha256(request.csr.encode()).digest()).rstrip(b"=").decode()
    if claims != {"agency": agency, "station": request.station, "csr_sha256": digest}:
        raise VerificationError("the proof is for another agency, station or certificate request")


def enrol(connection: Connection, request: Request, authority: Authority) -> str:
    """Register a station's key and return its new certificate, PEM. The same key again renews the certificate.

    Raises:
        VerificationError: the station has another good key, or the key is another station's or was revoked.
    """
    for key in event_keys(connection):
        if key.kid == request.fingerprint and (key.station != request.station or key.revoked_at):
            raise VerificationError("this event key was revoked or is another station's")
        if key.station == request.station and key.kid != request.fingerprint and not key.revoked_at:
            raise VerificationError(
                f"{request.station} is enrolled with another key: 'card-agency station revoke' it first"
            )
    certificate = authority.station(request.csr, request.station)
    put_station(connection, EventKey(request.fingerprint, request.station, request.event_key, now_text(), None))
    issued = Certificate(
        serial=f"{certificate.serial_number:x}",
        station=request.station,
        kid=request.fingerprint,
        not_after=certificate.not_valid_after_utc.isoformat(),
        pem=certificate_pem(certificate),
    )
    put_certificate(connection, issued)
    return issued.pem


@dataclass(frozen=True)
class Surroundings:
    """What a grant tells a station of its agency.

    Args:
        agency: agency id.
        ca: the CA's certificate, PEM.
        keys: the agency's public keys.
        host: of the broker.
        port: of the broker.
    """

    agency: str
    ca: str
    keys: list[Jwk]
    host: str
    port: int


def grant(connection: Connection, station: str, certificate: str, around: Surroundings) -> dict[str, Any]:
    """Return the grant: all that a station needs to connect, and its first documents."""
    return {
        "schema": GRANT_SCHEMA,
        "agency": around.agency,
        "station": station,
        "certificate": certificate,
        "ca": around.ca,
        "keys": {"keys": around.keys},
        "broker": {"host": around.host, "port": around.port},
        "documents": [document.jws for document in newest_for(connection, station)],
    }


def stations_jwks(connection: Connection) -> list[Jwk]:
    """Return every event key with its station, and when it was revoked: what a verifier of events needs."""
    return [
        {**key.jwk, "station": key.station, **({"revoked_at": key.revoked_at} if key.revoked_at is not None else {})}
        for key in event_keys(connection)
    ]
