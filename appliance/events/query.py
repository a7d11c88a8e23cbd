"""The online question (contract 6): a query that the station signs and seals, and the agency's signed answer.

A query holds 256 random bits, and its answer repeats them: an answer of before, or to somebody else, answers nothing.
What is of the citizen is sealed to the agency's query key, which opens no event. The answer says one word and nothing
of a citizen.

Example::

    query = Query.ask(origin, service, "registry_status", about={"citizen_id": ...}, key=query_key, ...)
    jws = query.sign(signer)                                       # to the agency
    Answer.open(jws, keys, "bkk-001").belongs_to(query)            # from the agency
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from appliance.errors import VerificationError
from appliance.events.cloud_event import Origin
from appliance.events.schema import ANSWER, QUERY
from appliance.events.seal import open_seal, seal
from appliance.events.sign import Jwk, KeySet, MessageType, Signer
from appliance.events.ulid import new_ulid

QUERY_TYPE = MessageType("card-query+jws")
ANSWER_TYPE = MessageType("card-answer+jws")
MAX_QUERY_BYTES = 8192
MAX_ANSWER_BYTES = 2048
_NONCE_BYTES = 32


@dataclass(frozen=True)
class Query:
    """One question.

    Args:
        id: ULID.
        agency: agency id.
        station: station id.
        service: id, version and hash of the profile, as events have it.
        question: a word of ``services.vocabulary.Question``.
        choice: the word of the button that was pressed, or None.
        nonce: 256 random bits as base64url.
        asked_at: RFC 3339.
        deadline_ms: how long the station waits, from then on.
        sealed: JWE of what only the agency may read.
    """

    id: str
    agency: str
    station: str
    service: dict[str, Any]
    question: str
    choice: str | None
    nonce: str
    asked_at: str
    deadline_ms: int
    sealed: dict[str, Any]

    @classmethod
    def ask(
        cls,
        origin: Origin,
        service: dict[str, Any],
        question: str,
        *,
        choice: str | None,
        about: Mapping[str, Any],
        key: Jwk,
        at: datetime,
        deadline_ms: int,
    ) -> "Query":
        """Make a query about somebody, sealed to the agency's query ``key``. Raises SigningError."""
        query_id = new_ulid(int(at.timestamp() * 1000))
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(_NONCE_BYTES)).decode().rstrip("=")
        sealed = seal(dict(about), [key], _context(origin.agency, origin.station, query_id, nonce))
        asked_at = at.isoformat(timespec="milliseconds")
        return cls(
            query_id,
            origin.agency,
            origin.station,
            service,
            question,
            choice,
            nonce,
            asked_at,
            deadline_ms,
            sealed,
        )

    def sign(self, signer: Signer) -> str:
        """Return the query as a compact JWS. Raises SigningError, VerificationError."""
        payload = asdict(self)
        QUERY.check(payload)
        return signer.sign(payload, QUERY_TYPE)

    @classmethod
    def open(cls, jws: str, keys: KeySet, agency: str, station: str) -> "Query":
        """Read a query that ``station`` signed with an event key.

        Raises:
            VerificationError: wrong signature, shape, agency or station.
        """
        payload = keys.verify(jws, QUERY_TYPE, "event")
        QUERY.check(payload)
        if (payload["agency"], payload["station"]) != (agency, station):
            raise VerificationError("the query is of another station")
        return cls(**payload)

    def about(self, private_jwk: Jwk) -> dict[str, Any]:
        """Return what was sealed. Raises VerificationError."""
        return open_seal(self.sealed, private_jwk, _context(self.agency, self.station, self.id, self.nonce))

    @property
    def sealed_to(self) -> str:
        """Return the thumbprint of the key that opens it."""
        return str(self.sealed["recipients"][0]["header"]["kid"])


def _context(agency: str, station: str, query_id: str, nonce: str) -> str:
    return f"urn:card-station:{agency}:{station}|query|{query_id}|{nonce}"


@dataclass(frozen=True)
class Answer:
    """What the agency says to one query.

    Args:
        query: its id.
        nonce: its nonce.
        station: who asked.
        question: what was asked.
        outcome: one word; see the schema.
        source: who knows, such as ``card-status``.
        as_of: the day of what it rests on, YYYY-MM-DD.
        answered_at: RFC 3339.
    """

    query: str
    nonce: str
    station: str
    question: str
    outcome: str
    source: str
    as_of: str
    answered_at: str

    def sign(self, signer: Signer) -> str:
        """Return the answer as a compact JWS. Raises SigningError, VerificationError."""
        payload = asdict(self)
        ANSWER.check(payload)
        return signer.sign(payload, ANSWER_TYPE)

    @classmethod
    def open(cls, jws: str, keys: KeySet, station: str) -> "Answer":
        """Read an answer that an answer key signed for ``station``.

        Raises:
            VerificationError: wrong signature, shape, station, or a word that nobody knows.
        """
        if len(jws) > MAX_ANSWER_BYTES:
            raise VerificationError("the answer is too large")
        payload = keys.verify(jws, ANSWER_TYPE, "answer")
        ANSWER.check(payload)
        if payload["station"] != station:
            raise VerificationError("the answer is for another station")
        return cls(**payload)

    def belongs_to(self, query: Query) -> bool:
        """Say whether it answers this query."""
        ours = (query.id, query.nonce, query.question)
        return (self.query, self.nonce, self.question) == ours
