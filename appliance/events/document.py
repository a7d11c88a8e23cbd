"""Documents that the agency signs and the broker retains: roster, denylist, services, settings, keys (contract 6).

A document says what it is, its version (which never goes down), how long it holds and for which stations. Whoever
takes one up opens it here; nothing of an unverified document is ever used.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.errors import VerificationError
from appliance.events.schema import DOCUMENT
from appliance.events.sign import DOCUMENT_TYPE, KeySet, Signer

KINDS = ("roster", "denylist", "services", "settings", "keys")


@dataclass(frozen=True)
class Document:
    """One signed document.

    Args:
        kind: one of ``KINDS``.
        version: 1 or more; a station never takes a lower one than it has.
        issued_at: aware.
        expires_at: aware; after it the content is stale.
        audience: ids of the stations it is for; ``*`` means every station of the agency.
        body: the content, by the kind's own schema.
    """

    kind: str
    version: int
    issued_at: datetime
    expires_at: datetime
    audience: tuple[str, ...]
    body: dict[str, Any]

    def sign(self, signer: Signer) -> str:
        """Return the document as a compact JWS."""
        payload = {
            "kind": self.kind,
            "version": self.version,
            "issued_at": self.issued_at.isoformat(timespec="seconds"),
            "expires_at": self.expires_at.isoformat(timespec="seconds"),
            "audience": list(self.audience),
            "body": self.body,
        }
        DOCUMENT.check(payload)
        return signer.sign(payload, DOCUMENT_TYPE)

    @classmethod
    def open(cls, jws: str, keys: KeySet, kind: str, station: str) -> "Document":
        """Read a document of ``kind`` that a document key signed for ``station``.

        Raises:
            VerificationError: wrong signature, shape, kind or audience. Expiry is the caller's question.
        """
        payload = keys.verify(jws, DOCUMENT_TYPE, "document")
        DOCUMENT.check(payload)
        if payload["kind"] != kind:
            raise VerificationError(f"a {payload['kind']} document where a {kind} document belongs")
        if "*" not in payload["audience"] and station not in payload["audience"]:
            raise VerificationError("the document is for other stations")
        return cls(
            kind=kind,
            version=payload["version"],
            issued_at=_aware(payload["issued_at"]),
            expires_at=_aware(payload["expires_at"]),
            audience=tuple(payload["audience"]),
            body=payload["body"],
        )


def _aware(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise VerificationError("a time in the document is not RFC 3339") from None
    if time.tzinfo is None:
        raise VerificationError("a time in the document has no offset")
    return time
