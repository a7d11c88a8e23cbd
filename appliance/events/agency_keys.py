"""The agency's keys in force: those of the enrolment, and what signed ``keys`` documents made of them since.

Each version is signed by a document key of the version before, and its number is higher, so whoever holds any version
can follow all later ones, and nobody can lead it back (after TUF's root). A ``keys`` message is one compact JWS a
line, oldest version first: a station that was away for several rotations finds each step in it.

Example::

    keys = AgencyKeys.enrolled(jwks)
    keys = keys.follow(message, "bkk-001")
    keys.signatures.verify(...), keys.sealing
"""

from dataclasses import dataclass, replace

from appliance.errors import VerificationError
from appliance.events.document import Document
from appliance.events.schema import KEYS
from appliance.events.sign import Jwk, KeySet, thumbprint, unverified_payload

PURPOSES = {"receipt": "sig", "document": "sig", "duty": "enc", "escrow": "enc", "query": "enc", "answer": "sig"}
OPTIONAL = ("query", "answer")  # an agency without them is asked nothing
_SEALING = ("duty", "escrow")


@dataclass(frozen=True)
class AgencyKeys:
    """One version of the agency's keys, and how it came about.

    Args:
        version: of the newest ``keys`` document; 0 for those of the enrolment.
        signatures: keys for receipts and documents.
        sealing: one duty and one escrow key; empty where only signatures are of interest.
        query: the key that questions are sealed to; None where the agency answers none.
        steps: the documents that led here, oldest first.
    """

    version: int
    signatures: KeySet
    sealing: tuple[Jwk, ...]
    steps: tuple[str, ...] = ()
    query: Jwk | None = None

    @classmethod
    def enrolled(cls, jwks: list[Jwk]) -> "AgencyKeys":
        """Return the keys that a grant brought."""
        encryption = [jwk for jwk in jwks if jwk.get("use") == "enc"]
        sealing = tuple(jwk for jwk in encryption if jwk.get("purpose") in _SEALING)
        query = next((jwk for jwk in encryption if jwk.get("purpose") == "query"), None)
        return cls(0, KeySet(jwks), sealing, query=query)

    @property
    def text(self) -> str:
        """Return the steps as one message."""
        return "\n".join(self.steps)

    def follow(self, message: str, station: str) -> "AgencyKeys":
        """Take every step of a message that leads on from here; these keys themselves where none does.

        Raises:
            VerificationError: the newest step cannot be reached: forged, or signed by keys that we never knew.
        """
        keys, reached, reason = self, 0, VerificationError("a keys message without a step")
        for jws in message.splitlines():
            try:
                reached = max(reached, _version(jws))
                keys = keys._step(jws, station)
            except VerificationError as error:
                reason = error
        if keys.version < reached or not reached:
            raise reason
        return keys

    @property
    def ever(self) -> list[Jwk]:
        """Return every key of every step: what was signed while it was in force must stay verifiable."""
        return [jwk for jws in self.steps for jwk in unverified_payload(jws)["body"]["keys"]]

    def _step(self, jws: str, station: str) -> "AgencyKeys":
        if _version(jws) <= self.version:
            return self
        document = Document.open(jws, self.signatures, "keys", station)
        jwks = checked(document.body)
        return replace(AgencyKeys.enrolled(jwks), version=document.version, steps=(*self.steps, jws))


def _version(jws: str) -> int:
    version = unverified_payload(jws).get("version")
    if not isinstance(version, int):
        raise VerificationError("a keys document without a version")
    return version


def checked(body: dict[str, object]) -> list[Jwk]:
    """Return the keys of a document's body.

    Raises:
        VerificationError: a purpose lacks its key, has one too many, or a key serves two.
    """
    KEYS.check(body)
    jwks: list[Jwk] = body["keys"]  # type: ignore[assignment]
    for purpose, use in PURPOSES.items():
        count = sum(jwk["purpose"] == purpose and jwk["use"] == use for jwk in jwks)
        if (count < 1 and purpose not in OPTIONAL) or (use == "enc" and count > 1):
            raise VerificationError(f"{count} {purpose} keys in a keys document")
    if sum(jwk["use"] == PURPOSES[jwk["purpose"]] for jwk in jwks) != len(jwks):
        raise VerificationError("a key's use is not that of its purpose")
    if len({jwk["x"] for jwk in jwks}) != len(jwks):
        raise VerificationError("one key stands twice: each purpose has its own")
    if any(thumbprint(jwk) != jwk["kid"] or (jwk["use"] == "enc") != (jwk["crv"] == "X25519") for jwk in jwks):
        raise VerificationError("a key is not what its kid or use says")
    return jwks
