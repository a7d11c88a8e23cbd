"""The sealed part of an event: JWE (RFC 7516), general JSON, A256GCM, one X25519 key agreement per recipient.

Two recipients, duty and escrow, so the content key is wrapped (``ECDH-ES+A256KW``): plain ``ECDH-ES`` can have only
one. The additional authenticated data name the event, so a seal cannot be moved into another event. Who seals
keeps no key that opens.
"""

from collections.abc import Sequence
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode

from appliance.errors import SigningError, VerificationError
from appliance.events import strict_json
from appliance.events.sign import Jwk

_ALGORITHMS = ["ECDH-ES+A256KW", "A256GCM"]
_BARE = ("kty", "crv", "x", "d")


def generate_sealing_key() -> Jwk:
    """Make a new X25519 private key as a JWK with ``kid``."""
    key = OKPKey.generate_key("X25519")
    return {**key.as_dict(private=True), "kid": key.thumbprint()}


def public_sealing_key(private_jwk: Jwk, purpose: str) -> Jwk:
    """Return the public half of a sealing key, marked ``use: enc`` and with its purpose (duty or escrow)."""
    key = OKPKey.import_key({name: private_jwk[name] for name in _BARE})
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "enc", "purpose": purpose}


def seal(fields: dict[str, Any], recipients: Sequence[Jwk], context: str) -> dict[str, Any]:
    """Seal ``fields`` to all ``recipients``.

    Args:
        fields: what only the agency may read.
        recipients: public X25519 JWKs.
        context: what the seal belongs to (``seal_context`` of the event); authenticated, not hidden.

    Raises:
        SigningError: no recipient, or a key is not usable.
    """
    if not recipients:
        raise SigningError("no key to seal to")
    message = jwe.GeneralJSONEncryption({"enc": "A256GCM"}, strict_json.encode(fields), aad=context.encode())
    try:
        for jwk in recipients:
            key = OKPKey.import_key({name: jwk[name] for name in _BARE if name in jwk})
            message.add_recipient({"alg": "ECDH-ES+A256KW", "kid": key.thumbprint()}, key)
        return dict(jwe.encrypt_json(message, None, algorithms=_ALGORITHMS))
    except (JoseError, ValueError, KeyError) as error:
        raise SigningError(f"cannot seal: {type(error).__name__}") from None
    finally:
        message.recipients.clear()  # they point back to the message: it would stay in memory, in clear, for a while


def open_seal(sealed: dict[str, Any], private_jwk: Jwk, context: str) -> dict[str, Any]:
    """Open a seal with one recipient's private key.

    Raises:
        VerificationError: sealed to somebody else, altered, or moved here from another event.
    """
    try:
        key = OKPKey.import_key({name: private_jwk[name] for name in _BARE})
        ours = [r for r in sealed["recipients"] if r["header"]["kid"] == key.thumbprint()]
        if not ours:
            raise VerificationError("sealed to other keys than this one")
        if urlsafe_b64decode(sealed["aad"].encode()) != context.encode():
            raise VerificationError("the seal belongs to another event")
        opened = jwe.decrypt_json({**sealed, "recipients": ours[:1]}, key, algorithms=_ALGORITHMS)  # type: ignore[arg-type]
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"the seal does not open: {type(error).__name__}") from None
    return strict_json.decode_object(opened.plaintext or b"")
