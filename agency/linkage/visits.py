"""Health visits: opened with a claim code, closed or disputed by the citizen's own card.

| asked | held | answer |
|---|---|---|
| open | none, or an ended one | opened: normal |
| open | one that was opened here within five minutes | normal, and the claim service is not asked again |
| close: confirm | an open one | closed: normal |
| close: dispute | an open or a closed one | disputed: normal; a dispute stands |
| close | one that ended in the same way | normal, nothing is written |
| close | none, or a disputed one | not normal |
| close: anything else | whatever | unavailable: nothing is written |
"""

import base64
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from agency.clock import now_text
from agency.linkage.claims import Claims, Refused
from agency.linkage.http import NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome, Said
from agency.store.database import Database
from agency.store.health_visits import CLOSED, DISPUTED, OPEN, HealthVisit, end_visit, newest_visit, put_visit
from appliance.events.seal import seal
from appliance.events.sign import Jwk

NAME = "visits"
REOPENED_WITHIN = timedelta(minutes=5)
_ENDINGS = {"confirm": CLOSED, "dispute": DISPUTED}
_LOCKS = 64

_log = logging.getLogger(__name__)


def visit_context(opened_by: str) -> str:
    """Return what binds a visit's seal to its row."""
    return f"health-visit|{opened_by}"


class Visits:
    """Opens and closes visits (``source.Source``).

    Args:
        database: the store.
        claims: who gives out claim codes.
        key: of the hash by which a person's visits are found again; it is not in the database.
        recipients: returns the keys that visits are sealed to.
    """

    def __init__(self, database: Database, claims: Claims, key: bytes, recipients: Callable[[], Sequence[Jwk]]) -> None:
        self._database, self._claims, self._key, self._recipients = database, claims, key, recipients
        self._locks = [threading.Lock() for _ in range(_LOCKS)]  # one person's questions, one after the other

    def answer(self, asked: Asked) -> Said:
        """Open or close. Raises DatabaseError."""
        subject = self.subject(asked.text("citizen_id"))
        with self._locks[hash(subject) % _LOCKS]:
            try:
                act = self._open if asked.question == "visit_open" else self._close
                return Said(act(asked, subject), NAME)
            except Refused:
                return Said(Outcome.NOT_NORMAL, NAME)
            except NotReached as error:
                _log.warning("query %s: the claim service is not there: %s", asked.id, error)
                return Said(Outcome.UNAVAILABLE, NAME)
            except NoAnswer as error:
                _log.error("query %s: what the claim service did is unknown: %s", asked.id, error)
                return Said(Outcome.OUTCOME_UNKNOWN, NAME)

    def subject(self, citizen_id: str) -> str:
        """Return the keyed hash of a citizen number."""
        digest = hmac.new(self._key, citizen_id.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _held(self, subject: str) -> HealthVisit | None:
        with self._database.read() as connection:
            return newest_visit(connection, subject)

    def _open(self, asked: Asked, subject: str) -> Outcome:
        held = self._held(subject)
        if held is not None and held.state == OPEN and _is_fresh(held, asked):
            return Outcome.NORMAL
        code = self._claims.open(asked)
        secret = {"citizen_id": asked.text("citizen_id"), "claim_code": code}
        sealed = json.dumps(seal(secret, self._recipients(), visit_context(asked.id)))
        new = HealthVisit(asked.id, asked.station, subject, asked.choice, sealed, OPEN, now_text())
        with self._database.write() as connection:
            put_visit(connection, new)
        return Outcome.NORMAL

    def _close(self, asked: Asked, subject: str) -> Outcome:
        ending = _ENDINGS.get(asked.choice or "")
        if ending is None:
            return Outcome.UNAVAILABLE
        held = self._held(subject)
        if held is not None and held.state == ending:
            return Outcome.NORMAL
        if held is None or held.state == DISPUTED:
            return Outcome.NOT_NORMAL
        self._claims.close(asked, held.opened_by, ending)
        with self._database.write() as connection:
            end_visit(connection, held.opened_by, ending, asked.id, now_text())
        return Outcome.NORMAL


def _is_fresh(held: HealthVisit, asked: Asked) -> bool:
    """Say whether a visit was opened a moment ago for the same: the station may have lost its answer."""
    age = datetime.now(UTC) - datetime.fromisoformat(held.opened_at)
    is_same = (held.station, held.choice) == (asked.station, asked.choice)
    return is_same and timedelta(0) <= age < REOPENED_WITHIN
