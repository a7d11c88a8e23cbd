"""The agency's keys in their lives: made, published, in use, superseded, retired.

A key that signs is published before it signs anything: until every station's topic holds the new ``keys`` document, its
private half waits in ``keys/PURPOSE.next.jwk``. A key that opens seals is superseded the moment the next one is
published, and kept, for old seals need it. Retired keys stay in ``public/agency.jwks``, marked, so that whatever was
signed and sealed with them can still be verified.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agency.home import Home, jwks_text, sync_folder, write_public, write_secret
from agency.store.database import Connection
from agency.store.documents import StoredDocument, list_documents, next_document_version, put_document
from agency.store.epoch import untold
from appliance.errors import ConfigError, WrongUse
from appliance.events import strict_json
from appliance.events.agency_keys import PURPOSES, checked
from appliance.events.document import Document
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Jwk, Signer

_LIFE = timedelta(days=3650)  # a station must not lose its keys because nobody rotated them
_PUBLISHED = ("kty", "crv", "x", "y", "kid", "use", "purpose")


@dataclass(frozen=True)
class KeyLine:
    """One key, for the eye.

    Args:
        purpose: one of ``events.agency_keys.PURPOSES``.
        kid: its thumbprint.
        state: ``in use``; ``next`` (published, waits for the push); ``accepted`` (signs no more, still believed);
            ``superseded`` (opens old seals); ``retired``.
        private: whether its private half is on this machine.
    """

    purpose: str
    kid: str
    state: str
    private: bool


def list_keys(home: Home) -> list[KeyLine]:
    """Return every key that was ever published, by purpose, the oldest first."""
    lines = []
    for purpose in PURPOSES:
        private = home.private_keys(purpose)
        for jwk in home.public_keys():
            if jwk.get("purpose") == purpose:
                lines.append(KeyLine(purpose, jwk["kid"], _state(home, jwk), jwk["kid"] in private))
    return lines


def _state(home: Home, jwk: Jwk) -> str:
    if "state" in jwk:
        return str(jwk["state"])
    pending = _kid_of(home, f"{jwk['purpose']}.next")
    if jwk["kid"] == pending:
        return "next"
    newest = [key["kid"] for key in home.keys_in_force() if key["purpose"] == jwk["purpose"] and key["kid"] != pending]
    return "in use" if jwk["kid"] == newest[-1] else "accepted"


def _kid_of(home: Home, name: str) -> str | None:
    try:
        return str(home.key(name)["kid"])
    except ConfigError:
        return None


def rotate(home: Home, connection: Connection, purpose: str) -> StoredDocument:
    """Make the next key of a purpose and sign the ``keys`` document that brings it; one that waits already is kept."""
    name = f"{purpose}.next"
    if _kid_of(home, name) is None:
        write_secret(home.keys / f"{name}.jwk", strict_json.encode(new_key(purpose)))
    public = public_half(home.key(name), purpose)
    keys = home.public_keys()
    if all(key["kid"] != public["kid"] for key in keys):
        keys = [*(_superseded(key, purpose) for key in keys), public]
        write_public(home.public / "agency.jwks", jwks_text(keys))  # ingest must know it before any station does
    return _published(connection, public["kid"]) or _sign(home, connection)


def new_key(purpose: str) -> Jwk:
    """Make a private key of a purpose."""
    return generate_sealing_key() if PURPOSES[purpose] == "enc" else Signer.generate().private()


def public_half(private: Jwk, purpose: str) -> Jwk:
    """Return what the world may know of a private key."""
    if PURPOSES[purpose] == "enc":
        return public_sealing_key(private, purpose)
    return Signer(private).public(purpose)


def _superseded(key: Jwk, purpose: str) -> Jwk:
    is_replaced = key["purpose"] == purpose and PURPOSES[purpose] == "enc" and "state" not in key
    return {**key, "state": "superseded"} if is_replaced else key


def _published(connection: Connection, kid: str) -> StoredDocument | None:
    """Return the newest document if it brings this key already."""
    from appliance.events.sign import unverified_payload

    steps = key_steps(connection)
    if steps and any(key["kid"] == kid for key in unverified_payload(steps[-1].jws)["body"]["keys"]):
        return steps[-1]
    return None


def _sign(home: Home, connection: Connection) -> StoredDocument:
    body: dict[str, Any] = {
        "keys": [{name: key[name] for name in _PUBLISHED if name in key} for key in home.keys_in_force()]
    }
    checked(body)
    issued = datetime.now(UTC)
    version = next_document_version(connection, "keys")
    document = Document("keys", version, issued, issued + _LIFE, ("*",), body)
    stored = StoredDocument(
        kind="keys",
        version=version,
        roster=None,
        issued_at=issued.isoformat(timespec="seconds"),
        expires_at=document.expires_at.isoformat(timespec="seconds"),
        audience=document.audience,
        jws=document.sign(Signer(home.key("document"))),
    )
    put_document(connection, stored)
    return stored


def key_steps(connection: Connection) -> list[StoredDocument]:
    """Return every ``keys`` document, oldest first: a station follows them one by one."""
    return [document for document in list_documents(connection) if document.kind == "keys"]


def activate(home: Home) -> list[str]:
    """Put every key that waits into use, its predecessor aside; return the purposes. Every station's topic has it."""
    purposes = [purpose for purpose in PURPOSES if (home.keys / f"{purpose}.next.jwk").exists()]
    for purpose in purposes:
        active, old = home.keys / f"{purpose}.jwk", _kid_of(home, purpose)
        if old is not None:
            aside = home.keys / f"{purpose}-{old}.jwk"
            aside.unlink(missing_ok=True)
            os.link(active, aside)  # so that there is a key in use at every moment
        (home.keys / f"{purpose}.next.jwk").replace(active)
    sync_folder(home.keys)
    return purposes


def retire(home: Home, connection: Connection, purpose: str) -> list[str]:
    """Believe the old keys of a purpose no more and destroy their private halves; return their kids.

    Raises:
        WrongUse: there is none, or these are escrow keys, which alone open the oldest seals, or receipt keys that
            some station still needs for the receipt that the broker keeps, or the next key is not with every station.
    """
    if purpose == "escrow":
        raise WrongUse("an escrow key is never retired: it alone opens the oldest seals")
    if (home.keys / f"{purpose}.next.jwk").exists():  # until then stations seal to the old one
        raise WrongUse(f"the next {purpose} key is not with every station yet; 'card-agency keys push' comes first")
    old = [key.kid for key in list_keys(home) if key.purpose == purpose and key.state in ("accepted", "superseded")]
    if not old:
        raise WrongUse(f"no old {purpose} key; 'card-agency keys rotate {purpose}' and 'push' come first")
    if purpose == "receipt" and untold(connection, str(home.key("receipt")["kid"])) is not None:
        raise WrongUse("not every station was sent a receipt by the new key yet: let 'card-agency ingest' run first")
    keys = [{**key, "state": "retired"} if key["kid"] in old else key for key in home.public_keys()]
    write_public(home.public / "agency.jwks", jwks_text(keys))
    if PURPOSES[purpose] == "sig":
        _sign(home, connection)
    for kid in old:
        (home.keys / f"{purpose}-{kid}.jwk").unlink(missing_ok=True)
    sync_folder(home.keys)
    return old
