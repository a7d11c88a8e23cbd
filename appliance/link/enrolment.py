"""Enrolment by file: the station makes its keys, asks, and takes up what the agency grants (contract 8).

Private keys are made here, once, and never leave: one for TLS, one for events. The request holds a certificate
signing request, the public event key, and a proof that whoever asks holds that key and means this very CSR. The
grant is checked whole before the first byte of it is written; a grant that was cut short by a power failure is
simply taken up again.

Example::

    request = make_request(settings, state)           # to the agency, on a stick or by hand
    granted = take_grant(settings, state, grant)      # its documents go into the outbox
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.errors import SigningError, VerificationError
from appliance.events.agency_keys import OPTIONAL, PURPOSES
from appliance.events.document import Document
from appliance.events.sign import DOCUMENT_TYPE, Jwk, KeySet, MessageType, Signer
from appliance.link import certificates
from appliance.link.durable_file import create_once, write
from appliance.papers import AGENCY_KEYS, EVENT_KEY, event_signer

REQUEST_SCHEMA = "card-station/enrol-request/1"
GRANT_SCHEMA = "card-station/grant/1"
ENROL_TYPE = MessageType("card-enrol+jws")

_GRANT_MEMBERS = {
    "schema": str,
    "agency": str,
    "station": str,
    "certificate": str,
    "ca": str,
    "keys": dict,
    "broker": dict,
    "documents": list,
}


@dataclass(frozen=True)
class GrantedDocument:
    """A document of the grant, with its signature checked.

    Args:
        kind: one of ``events.document.KINDS``.
        version: 1 or more.
        jws: as signed.
    """

    kind: str
    version: int
    jws: str


@dataclass(frozen=True)
class Granted:
    """What a grant brought besides the files that were written.

    Args:
        documents: for the outbox.
        host: of the agency's broker, as the agency names it.
        port: of that broker.
    """

    documents: tuple[GrantedDocument, ...]
    host: str
    port: int


def make_request(settings: Settings, state: Path) -> dict[str, Any]:
    """Return the request for the agency; make the station's keys where there are none yet.

    Args:
        settings: of this station.
        state: state directory.

    Raises:
        SigningError: a key that is there cannot be used.
        OSError: a key cannot be stored.
    """
    create_once(state / EVENT_KEY, lambda: json.dumps(Signer.generate().private()).encode())
    create_once(state / settings.link.key, certificates.new_key)
    signer = event_signer(state)
    csr = certificates.signing_request((state / settings.link.key).read_bytes(), settings.station.id)
    who = {"agency": settings.station.agency, "station": settings.station.id}
    return {
        "schema": REQUEST_SCHEMA,
        **who,
        "csr": csr,
        "event_key": signer.public("event"),
        "proof": signer.sign({**who, "csr_sha256": _sha256(csr)}, ENROL_TYPE),
    }


def take_grant(settings: Settings, state: Path, grant: dict[str, Any]) -> Granted:
    """Check a grant and write its certificates and keys; return the rest.

    Args:
        settings: of this station.
        state: state directory.
        grant: as the agency made it.

    Raises:
        VerificationError: anything in it does not hold; nothing was written.
        SigningError: this station made no keys yet.
        OSError: a file cannot be written; take the grant up again.
    """
    _check_shape(settings, grant)
    certificates.check(grant["certificate"], grant["ca"], _tls_key(settings, state), settings.station.id)
    keys = _check_keys(grant["keys"])
    documents = tuple(_document(jws, KeySet(keys), settings.station.id) for jws in grant["documents"])
    broker = _check_broker(grant["broker"])
    write(state / settings.link.ca, grant["ca"].encode())
    write(state / settings.link.certificate, grant["certificate"].encode())
    write(state / AGENCY_KEYS, json.dumps({"keys": keys}, indent=1).encode())
    return Granted(documents, *broker)


def grouped(thumbprint: str) -> str:
    """Return a thumbprint in groups of four, to be compared by eye."""
    return " ".join(thumbprint[at : at + 4] for at in range(0, len(thumbprint), 4))


def _tls_key(settings: Settings, state: Path) -> bytes:
    try:
        return (state / settings.link.key).read_bytes()
    except FileNotFoundError:
        raise SigningError("this station has no TLS key: run 'card-station enrol --request FILE'") from None


def _check_shape(settings: Settings, grant: dict[str, Any]) -> None:
    if grant.get("schema") != GRANT_SCHEMA:
        what = "this station's own request, which goes to the agency" if "csr" in grant else "something else"
        raise VerificationError(f"this is {what}: 'card-agency station approve' there makes the grant")
    for name, kind in _GRANT_MEMBERS.items():
        if not isinstance(grant.get(name), kind):
            raise VerificationError(f"the grant's {name!r} is missing or not a {kind.__name__}")
    expected = {"agency": settings.station.agency, "station": settings.station.id}
    for name, value in expected.items():
        if grant[name] != value:
            raise VerificationError(f"the grant's {name} is {grant[name]!r}; this is {value!r}")


def _check_keys(jwks: dict[str, Any]) -> list[Jwk]:
    """Return the agency's public keys: each purpose is there, and no key serves two."""
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise VerificationError("the grant's keys are not a JWK set")
    if any("d" in key for key in keys):
        raise VerificationError("the grant holds a private key: that key is burnt, tell the agency")
    for purpose, use in PURPOSES.items():
        is_there = any(key.get("purpose") == purpose and key.get("use") == use for key in keys)
        if not is_there and purpose not in OPTIONAL:
            raise VerificationError(f"the grant holds no {purpose} key")
    if len({key.get("x") for key in keys}) != len(keys):
        raise VerificationError("one key stands twice in the grant: each purpose has its own")
    KeySet(keys)
    return keys


def _check_broker(broker: dict[str, Any]) -> tuple[str, int]:
    host, port = broker.get("host"), broker.get("port")
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 65536:
        raise VerificationError("the grant's broker has no host and port")
    return host, port


def _document(jws: object, keys: KeySet, station: str) -> GrantedDocument:
    if not isinstance(jws, str):
        raise VerificationError("a document of the grant is not a compact JWS")
    kind = str(keys.verify(jws, DOCUMENT_TYPE, "document").get("kind"))
    document = Document.open(jws, keys, kind, station)
    return GrantedDocument(document.kind, document.version, jws)


def _sha256(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
