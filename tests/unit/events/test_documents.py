"""Receipts, documents and rosters: what is taken up and what is not."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.errors import VerificationError
from appliance.events.document import Document
from appliance.events.receipt import Receipt
from appliance.events.roster import DIGEST_BYTES, Roster, Scrypt, roster_body
from appliance.events.sign import DOCUMENT_TYPE, KeySet, Signer

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NUMBERS = ["A member", "Another member"]


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    return roster_body("school-1", "2026-11-22", NUMBERS)


@pytest.fixture
def signer() -> Signer:
    return Signer.generate()


@pytest.fixture
def keys(signer: Signer) -> KeySet:
    return KeySet([signer.public("document")])


def document(body: dict[str, Any], **changes: Any) -> Document:
    return replace(Document("roster", 42, NOW, NOW + timedelta(days=30), ("bkk-001",), body), **changes)


RECEIPT = Receipt("bkk-001", 1, "0" * 26, 5, "h" * 43, "2026-11-23T08:00:00+07:00", missing=[[7, 9]])


def test_a_receipt_comes_back(signer: Signer) -> None:
    keys = KeySet([signer.public("receipt")])
    assert Receipt.open(RECEIPT.sign(signer), keys, "bkk-001") == RECEIPT


def test_a_receipt_of_another_station_is_refused(signer: Signer) -> None:
    with pytest.raises(VerificationError, match="another station"):
        Receipt.open(RECEIPT.sign(signer), KeySet([signer.public("receipt")]), "bkk-002")


def test_the_key_for_documents_signs_no_receipt(signer: Signer, keys: KeySet) -> None:
    with pytest.raises(VerificationError):
        Receipt.open(RECEIPT.sign(signer), keys, "bkk-001")


@pytest.mark.parametrize(
    "changes", [{"through": -1}, {"epoch": 0}, {"window": 0}, {"hash": "short"}, {"missing": [[1]]}, {"station": "X"}]
)
def test_a_receipt_of_the_wrong_shape_cannot_be_signed(signer: Signer, changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        replace(RECEIPT, **changes).sign(signer)


def test_a_document_comes_back(signer: Signer, keys: KeySet, body: dict[str, Any]) -> None:
    assert Document.open(document(body).sign(signer), keys, "roster", "bkk-001") == document(body)


def test_a_document_for_everybody(signer: Signer, keys: KeySet, body: dict[str, Any]) -> None:
    assert Document.open(document(body, audience=("*",)).sign(signer), keys, "roster", "any-station")


@pytest.mark.parametrize(("kind", "station"), [("denylist", "bkk-001"), ("roster", "bkk-002")])
def test_a_document_in_the_wrong_place(
    signer: Signer, keys: KeySet, body: dict[str, Any], kind: str, station: str
) -> None:
    with pytest.raises(VerificationError):
        Document.open(document(body).sign(signer), keys, kind, station)


@pytest.mark.parametrize("time", ["yesterday", "2026-11-23T08:00:00", ""])
def test_a_time_that_is_none(signer: Signer, keys: KeySet, body: dict[str, Any], time: str) -> None:
    payload = {
        "kind": "roster",
        "version": 1,
        "issued_at": NOW.isoformat(),
        "expires_at": time,
        "audience": ["*"],
        "body": body,
    }
    with pytest.raises(VerificationError):
        Document.open(signer.sign(payload, DOCUMENT_TYPE), keys, "roster", "bkk-001")


def test_scrypt_is_the_published_function() -> None:
    """RFC 7914, section 12: password "pleaseletmein", salt "SodiumChloride", N 16384, r 8, p 1."""
    published = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38eb")
    assert Scrypt(b"SodiumChloride").digest("pleaseletmein") == published[:DIGEST_BYTES]
    assert hashlib.scrypt(b"", salt=b"", n=16, r=1, p=1, dklen=8).hex() == "77d6576238657b20"


def test_members_are_on_the_roster_and_others_are_not(body: dict[str, Any]) -> None:
    roster = Roster.from_document(document(body))
    assert (roster.set, roster.as_of, roster.source) == ("school-1", "2026-11-22", "roster:42")
    assert all(roster.contains(roster.kdf.digest(number)) for number in NUMBERS)
    assert not roster.contains(roster.kdf.digest("A stranger"))


def test_a_roster_holds_digests_and_nothing_else(body: dict[str, Any]) -> None:
    assert set(body) == {"set", "as_of", "kdf", "entries"}
    assert len(Roster.from_document(document(body)).digests) == len(NUMBERS)


def test_two_rosters_of_the_same_people_share_no_digest(body: dict[str, Any]) -> None:
    other = roster_body("school-1", "2026-11-22", NUMBERS)
    first, second = Roster.from_document(document(body)), Roster.from_document(document(other))
    assert not first.digests & second.digests


@pytest.mark.parametrize(
    "kdf",
    [
        {"n": 1 << 10},
        {"n": (1 << 14) + 1},
        {"n": 1 << 18, "r": 16, "p": 4},
        {"name": "md5"},
        {"salt": "short"},
    ],
)
def test_a_cost_out_of_bounds_is_refused(body: dict[str, Any], kdf: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        Roster.from_document(document({**body, "kdf": {**body["kdf"], **kdf}}))


def test_entries_that_are_cut_short_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        Roster.from_document(document({**body, "entries": body["entries"][:-2]}))


def test_a_school_of_three_thousand_loads_and_fits_into_one_message(signer: Signer) -> None:
    import base64
    import secrets

    entries = base64.urlsafe_b64encode(secrets.token_bytes(3000 * DIGEST_BYTES)).decode()
    salt = base64.urlsafe_b64encode(bytes(16)).rstrip(b"=").decode()
    kdf = {"name": "scrypt", "n": 1 << 14, "r": 8, "p": 1, "salt": salt}
    jws = document({"set": "big", "as_of": "2026-11-22", "kdf": kdf, "entries": entries}).sign(signer)
    assert len(jws) < 128 * 1024
    opened = Document.open(jws, KeySet([signer.public("document")]), "roster", "bkk-001")
    assert len(Roster.from_document(opened).digests) == 3000
