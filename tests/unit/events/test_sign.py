"""Signatures: what verifies, what does not, and published vectors."""

import base64
import json
import string

import pytest
from joserfc.jwk import ECKey

from appliance.errors import SigningError, VerificationError
from appliance.events import strict_json
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import (
    DOCUMENT_TYPE,
    EVENT_TYPE,
    RECEIPT_TYPE,
    KeySet,
    MessageType,
    Signer,
    mirrored,
    thumbprint,
    unverified_payload,
)

# RFC 8037, appendix A.2 to A.4: the public key, its thumbprint, and a signature under the old name EdDSA
RFC8037_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
RFC8037_JWS = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


@pytest.fixture
def signer() -> Signer:
    return Signer.generate()


def keys(signer: Signer, purpose: str = "event") -> KeySet:
    return KeySet([signer.public(purpose)])


def header(jws: str) -> dict[str, str]:
    part = jws.partition(".")[0]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_the_published_thumbprint() -> None:
    assert thumbprint(RFC8037_KEY) == RFC8037_THUMBPRINT


def test_the_published_signature_has_a_deprecated_name_and_no_kid() -> None:
    with pytest.raises(VerificationError):
        KeySet([{**RFC8037_KEY, "purpose": "event"}]).verify(RFC8037_JWS, MessageType("JWT"), "event")


def test_the_protected_header_is_the_contract_s(signer: Signer) -> None:
    assert header(signer.sign({"a": 1}, EVENT_TYPE)) == {
        "alg": "Ed25519",
        "kid": signer.kid,
        "typ": "card-event+jws",
        "cty": "application/cloudevents+json",
    }


def test_what_was_signed_comes_back(signer: Signer) -> None:
    payload = {"ชื่อ": "ทดสอบ", "number": 1, "nothing": None}
    jws = signer.sign(payload, EVENT_TYPE)
    assert keys(signer).verify(jws, EVENT_TYPE, "event") == payload
    assert unverified_payload(jws) == payload


def test_another_library_verifies_it(signer: Signer) -> None:
    """Against the bare primitive, without any JOSE library."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    jws = signer.sign({"a": 1}, EVENT_TYPE)
    signed, _, signature = jws.rpartition(".")
    x = signer.public("event")["x"]
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "="))
    key.verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())


def test_a_key_works_only_for_its_purpose(signer: Signer) -> None:
    jws = signer.sign({}, RECEIPT_TYPE)
    with pytest.raises(VerificationError, match="no known document key"):
        keys(signer, "receipt").verify(jws, RECEIPT_TYPE, "document")


def test_a_message_of_one_type_is_no_other(signer: Signer) -> None:
    jws = signer.sign({}, RECEIPT_TYPE)
    with pytest.raises(VerificationError, match="type of message"):
        keys(signer).verify(jws, DOCUMENT_TYPE, "event")


def test_a_stranger_s_signature_is_refused(signer: Signer) -> None:
    with pytest.raises(VerificationError):
        keys(signer).verify(Signer.generate().sign({}, EVENT_TYPE), EVENT_TYPE, "event")


def test_every_changed_character_breaks_it(signer: Signer) -> None:
    jws = signer.sign({"a": 1}, EVENT_TYPE)
    for at, character in enumerate(jws[:-1]):  # the last one holds four unused bits
        changed = jws[:at] + ("A" if character != "A" else "B") + jws[at + 1 :]
        with pytest.raises(VerificationError):
            keys(signer).verify(changed, EVENT_TYPE, "event")


@pytest.mark.parametrize(
    "jws", ["", ".", "..", "a.b.c", "ก.ข.ค", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "x" * (2 << 20), "[].[].[]"]
)
def test_garbage_is_refused(signer: Signer, jws: str) -> None:
    with pytest.raises(VerificationError):
        keys(signer).verify(jws, EVENT_TYPE, "event")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "ES256", "RS256"])
def test_the_header_does_not_choose_the_algorithm(signer: Signer, algorithm: str) -> None:
    _, payload, signature = signer.sign({}, EVENT_TYPE).split(".")
    forged = {"alg": algorithm, "kid": signer.kid, "typ": EVENT_TYPE.typ, "cty": EVENT_TYPE.cty}
    first = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    with pytest.raises(VerificationError):
        keys(signer).verify(f"{first}.{payload}.{signature}", EVENT_TYPE, "event")


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": 1},
        {"crit": [[]]},
        {"crit": ["b64"], "b64": False},
        {"jwk": {}},
        {"x5c": []},
        {"kid": None},
        {"typ": {}},
    ],
)
def test_a_header_that_no_message_of_ours_has(signer: Signer, extra: dict[str, object]) -> None:
    head = {"alg": "Ed25519", "kid": signer.kid, "typ": EVENT_TYPE.typ, "cty": EVENT_TYPE.cty, **extra}
    first = base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()
    with pytest.raises(VerificationError):
        keys(signer).verify(f"{first}.e30.{'A' * 86}", EVENT_TYPE, "event")


def test_a_payload_with_two_meanings_is_refused(signer: Signer) -> None:
    from joserfc import jws as jose

    head = {"alg": "Ed25519", "kid": signer.kid, "typ": EVENT_TYPE.typ, "cty": EVENT_TYPE.cty}
    twice = jose.serialize_compact(head, b'{"a":1,"a":2}', signer._key, algorithms=["Ed25519"])
    with pytest.raises(VerificationError, match="strict JSON"):
        keys(signer).verify(twice, EVENT_TYPE, "event")


def test_a_private_key_round_trip(signer: Signer) -> None:
    again = Signer(signer.private())
    assert again.kid == signer.kid
    assert keys(signer).verify(again.sign({"a": 1}, EVENT_TYPE), EVENT_TYPE, "event") == {"a": 1}


def test_a_public_key_signs_nothing(signer: Signer) -> None:
    with pytest.raises(SigningError):
        Signer(signer.public("event"))


def test_a_sealing_key_signs_nothing() -> None:
    with pytest.raises(SigningError):
        Signer(generate_sealing_key())


def test_sealing_keys_in_a_set_are_passed_over() -> None:
    KeySet([public_sealing_key(generate_sealing_key(), "duty")])


def test_keys_on_a_chip_sign_with_es256() -> None:
    signer = Signer(dict(ECKey.generate_key("P-256").as_dict(private=True)))
    jws = signer.sign({"a": 1}, EVENT_TYPE)
    assert header(jws)["alg"] == "ES256"
    assert keys(signer).verify(jws, EVENT_TYPE, "event") == {"a": 1}


def test_es256_has_one_mirror_and_we_give_the_lower_form() -> None:
    signer = Signer(dict(ECKey.generate_key("P-256").as_dict(private=True)))
    for number in range(20):
        jws = signer.sign({"a": number}, EVENT_TYPE)
        mirror = mirrored(jws)
        assert mirror not in (None, jws)
        assert keys(signer).verify(str(mirror), EVENT_TYPE, "event") == {"a": number}  # so it must be told apart
        assert mirrored(str(mirror)) == jws
        assert unbase64(jws)[32] < 0x80 <= unbase64(str(mirror))[32] + 1


def unbase64(jws: str) -> bytes:
    return base64.urlsafe_b64decode(jws.rpartition(".")[2] + "==")


@pytest.mark.parametrize("signature", ["", "AAAA", "_" * 86, "A" * 86, "!" * 86])
def test_what_is_no_es256_signature_has_no_mirror(signature: str) -> None:
    jws = Signer(dict(ECKey.generate_key("P-256").as_dict(private=True))).sign({}, EVENT_TYPE)
    with pytest.raises(VerificationError):
        mirrored(f"{jws.rpartition('.')[0]}.{signature}")


def test_an_ed25519_event_has_one_form_only() -> None:
    signer = Signer.generate()
    jws = signer.sign({"a": 1}, EVENT_TYPE)
    assert mirrored(jws) is None
    order = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, L
    signed, _, _ = jws.rpartition(".")
    r, s = unbase64(jws)[:32], int.from_bytes(unbase64(jws)[32:], "little")
    others = [f"{signed}.{text(r + (s + k * order).to_bytes(32, 'little'))}" for k in range(1, 8)]
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = letters.index(jws[-1])
    others += [jws[:-1] + letters[last ^ spare] for spare in range(1, 16)]  # the bits that 64 bytes do not fill
    others += [jws + more for more in ("=", "==", "\n", " ", ".", "A")]
    others += [f"{jws[:-3]}{more}{jws[-3:]}" for more in ("\n", " ", "!")]
    for other in others:
        with pytest.raises(VerificationError):
            keys(signer).verify(other, EVENT_TYPE, "event")


def text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize("text", ['{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32"), b'\xef\xbb\xbf{"a": 1}'])
def test_json_in_another_encoding_than_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(VerificationError, match="not strict JSON"):
        strict_json.decode_object(text)
