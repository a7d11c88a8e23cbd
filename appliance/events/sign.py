"""Signatures: compact JWS (RFC 7515) over JSON, with Ed25519 (RFC 9864) or, for keys in hardware, ES256.

A key is a JWK (RFC 7517) and is named by its RFC 7638 thumbprint. A public key in a set carries ``purpose``, and
``KeySet.verify`` accepts a signature only for the purpose that the caller names: a receipt key cannot sign a
roster. The protected header's ``typ`` must be the expected one, so no kind of message passes for another.

Example::

    signer = Signer.generate()
    jws = signer.sign({"a": 1}, EVENT_TYPE)
    KeySet([signer.public("event")]).verify(jws, EVENT_TYPE, "event")  # {'a': 1}
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from appliance.errors import SigningError, VerificationError
from appliance.events import strict_json

ALGORITHMS = ("Ed25519", "ES256")
MAX_JWS_BYTES = 1 << 20
_HEADER_MEMBERS = {"alg", "kid", "typ", "cty"}
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-5, n of P-256


class MessageType(NamedTuple):
    """What a JWS is: the ``typ`` and, where there is one, the ``cty`` of its protected header."""

    typ: str
    cty: str | None = None


EVENT_TYPE = MessageType("card-event+jws", "application/cloudevents+json")
RECEIPT_TYPE = MessageType("card-receipt+jws")
DOCUMENT_TYPE = MessageType("card-document+jws")

Jwk = dict[str, Any]


def _import(jwk: Jwk) -> OKPKey | ECKey:
    bare = {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "d")}
    try:
        return OKPKey.import_key(bare) if bare.get("kty") == "OKP" else ECKey.import_key(bare)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise VerificationError(f"not a usable key: {type(error).__name__}") from None


def _algorithm(key: OKPKey | ECKey) -> str:
    name = {"Ed25519": "Ed25519", "P-256": "ES256"}.get(str(key.curve_name))
    if name is None:
        raise VerificationError(f"a key on curve {key.curve_name} signs nothing here")
    return name


def thumbprint(jwk: Jwk) -> str:
    """Return the RFC 7638 thumbprint of a key: base64url of SHA-256, 43 characters."""
    return _import(jwk).thumbprint()


def unverified_payload(token: str) -> dict[str, Any]:
    """Return the payload of a compact JWS without checking its signature: only for what we signed or verified.

    Raises:
        VerificationError: it has not the shape of a JWS.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise VerificationError("not a compact JWS")
    return strict_json.decode_object(_unbase64(parts[1]))


class Signer:
    """Signs with one private key.

    Raises:
        SigningError: the JWK is no private signing key.
    """

    def __init__(self, private_jwk: Jwk) -> None:
        try:
            self._key = _import(private_jwk)
            self._algorithm = _algorithm(self._key)
        except VerificationError as error:
            raise SigningError(str(error)) from None
        if not self._key.is_private:
            raise SigningError("the signing key has no private part")
        self.kid = self._key.thumbprint()

    @classmethod
    def generate(cls) -> "Signer":
        """Make a new Ed25519 key."""
        return cls(dict(OKPKey.generate_key("Ed25519").as_dict(private=True)))

    def private(self) -> Jwk:
        """Return the private key as a JWK, to be stored and shown to nobody."""
        return {**self._key.as_dict(private=True), "kid": self.kid}

    def public(self, purpose: str) -> Jwk:
        """Return the public key as a JWK with ``kid``, ``use`` and ``purpose``."""
        return {**self._key.as_dict(private=False), "kid": self.kid, "use": "sig", "purpose": purpose}

    def sign(self, payload: dict[str, Any], message: MessageType) -> str:
        """Return the compact JWS over ``payload``.

        Raises:
            SigningError: the key does not sign.
        """
        header = {"alg": self._algorithm, "kid": self.kid, "typ": message.typ}
        if message.cty:
            header["cty"] = message.cty
        try:
            token = jws.serialize_compact(header, strict_json.encode(payload), self._key, algorithms=[*ALGORITHMS])
        except (JoseError, ValueError) as error:
            raise SigningError(f"cannot sign: {type(error).__name__}") from None
        return token if self._algorithm == "Ed25519" else min(token, str(mirrored(token)), key=_s_of)


@dataclass(frozen=True)
class _PublicKey:
    key: OKPKey | ECKey
    purpose: str
    algorithm: str


class KeySet:
    """Public signature keys, each for one purpose.

    Args:
        jwks: public JWKs with ``purpose``; keys with ``use`` other than ``sig`` are passed over.
    """

    def __init__(self, jwks: Iterable[Jwk]) -> None:
        self._keys: dict[str, _PublicKey] = {}
        for jwk in jwks:
            if jwk.get("use", "sig") == "sig":
                key = _import(jwk)
                self._keys[key.thumbprint()] = _PublicKey(key, str(jwk.get("purpose", "")), _algorithm(key))

    def verify(self, token: str, message: MessageType, purpose: str) -> dict[str, Any]:
        """Return the payload of a compact JWS that one of these keys signed for ``purpose``.

        Raises:
            VerificationError: any part of that does not hold.
        """
        if len(token) > MAX_JWS_BYTES:
            raise VerificationError("the signed message is too large")
        header = _header(token)
        found = self._keys.get(header.get("kid", ""))
        if found is None or found.purpose != purpose:
            raise VerificationError(f"signed by no known {purpose} key")
        if (header.get("typ"), header.get("cty")) != message or header.get("alg") != found.algorithm:
            raise VerificationError("another type of message")
        try:
            payload = jws.deserialize_compact(token, found.key, algorithms=[found.algorithm]).payload
        except (JoseError, ValueError) as error:
            raise VerificationError(f"the signature does not hold: {type(error).__name__}") from None
        return strict_json.decode_object(payload or b"")


def mirrored(token: str) -> str | None:
    """Return the other compact JWS that holds where this ES256 one does, or None for Ed25519, which has one form only.

    ECDSA accepts (r, n - s) wherever it accepts (r, s): anybody may turn one into the other without the key, and it has
    another hash. ``Signer`` gives the form with the lower s. The signature is not checked here.

    Raises:
        VerificationError: not a compact JWS, or its signature is none of ES256.
    """
    if _header(token).get("alg") != "ES256":
        return None
    s = _s_of(token)
    signed, _, signature = token.rpartition(".")
    r_and_s = _unbase64(signature)[:32] + (_P256_ORDER - s).to_bytes(32, "big")
    return f"{signed}.{base64.urlsafe_b64encode(r_and_s).decode().rstrip('=')}"


def _s_of(token: str) -> int:
    signature = _unbase64(token.rpartition(".")[2])
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < s < _P256_ORDER:
        raise VerificationError("the signature is none of ES256")
    return s


def _header(token: str) -> dict[str, str]:
    """Return the protected header; only members that this project writes may stand in it, so none surprises JOSE."""
    header = strict_json.decode_object(_unbase64(token.split(".", 1)[0]))
    if not header.keys() <= _HEADER_MEMBERS or not all(isinstance(value, str) for value in header.values()):
        raise VerificationError("the header holds what no message of ours does")
    return header


def _unbase64(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
    except ValueError:
        raise VerificationError("not a compact JWS: not base64url") from None
