"""Who gives out the claim code of a health visit: a claim service, or the agency itself.

The service's shape is the one that open code of its users shows for opening (``confirm-save`` gives a ``claimCode``);
closing is ours. A refusal wrote nothing, be it of the person or of us. No answer, or one that cannot be read, may have.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Any, Protocol

from agency.linkage.http import Endpoint, NoAnswer, NotReached
from agency.linkage.source import Asked
from appliance.errors import VerificationError
from appliance.events import strict_json

_CODE = re.compile(r"[A-Za-z0-9-]{4,40}")
_OWN_ALPHABET, _OWN_LENGTH = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 10
_HTTP_OK = 200
_HTTP_NO = (400, 404, 409, 410, 422)  # no to this person, or this visit
_HTTP_NOT_US = range(400, 500)  # the others: a wrong token, a wrong path, too much asked; nothing of the person


class Refused(Exception):
    """Whoever gives out claim codes says no; nothing was written."""


class Claims(Protocol):
    """Gives out claim codes."""

    def open(self, asked: Asked) -> str:
        """Open a visit; return its claim code. Raises Refused, NotReached, NoAnswer."""
        ...

    def close(self, asked: Asked, opened_by: str, ending: str) -> None:
        """Close the visit that query ``opened_by`` opened. Raises Refused, NotReached, NoAnswer."""
        ...


class OwnClaims:
    """The agency numbers its visits itself (``Claims``)."""

    def open(self, asked: Asked) -> str:
        """Return a code that says nothing."""
        return "".join(secrets.choice(_OWN_ALPHABET) for _ in range(_OWN_LENGTH))

    def close(self, asked: Asked, opened_by: str, ending: str) -> None:
        """Nobody else needs to know."""


@dataclass(frozen=True)
class ClaimService:
    """Asks a claim service (``Claims``).

    Args:
        endpoint: of it.
        unit: code of the health unit.
        claim_type: of the visits, such as ``PG0060001``.
    """

    endpoint: Endpoint
    unit: str
    claim_type: str

    def open(self, asked: Asked) -> str:
        """Ask for a claim code."""
        content = {"pid": asked.text("citizen_id"), "claimType": self.claim_type, "hcode": self.unit}
        code = self._post("/confirm-save", {**content, "correlationId": asked.id}).get("claimCode")
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise NoAnswer("no claim code")
        return code

    def close(self, asked: Asked, opened_by: str, ending: str) -> None:
        """Tell how a visit ended."""
        content = {"pid": asked.text("citizen_id"), "hcode": self.unit, "ending": ending}
        if self._post("/close", {**content, "correlationId": opened_by}).get("closed") is not True:
            raise NoAnswer("no word of the end")

    def _post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        reply = self.endpoint.post(path, strict_json.encode(content), "application/json")
        if reply.status in _HTTP_NO:
            raise Refused(f"HTTP {reply.status}")
        if reply.status in _HTTP_NOT_US:
            raise NotReached(f"HTTP {reply.status}")
        if reply.status != _HTTP_OK:
            raise NoAnswer(f"HTTP {reply.status}")
        try:
            return strict_json.decode_object(reply.body)
        except VerificationError:
            raise NoAnswer("no JSON object") from None
