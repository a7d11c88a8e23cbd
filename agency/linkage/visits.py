"""Health visits: opened with a claim code, closed or disputed by the citizen's own card.

| asked | held | answer |
|---|---|---|
| open | none, or an ended one | opened: normal |
| open | one that may have been opened today | the same one is asked for again: normal |
| open | one that was opened here within five minutes | normal, and the claim service is not asked again |
| close: confirm | an open one | closed: normal |
| close: dispute | an open or a closed one | disputed: normal; a dispute stands |
| close | one that ended in the same way | normal, nothing is written |
| close | none, or a disputed one | not normal |
| close: anything else | whatever | unavailable: nothing is written |

A visit is on the disk, sealed, as ``opening`` before a claim code is asked for: an answer that is lost then costs no
second claim when the card comes again, for it is asked for by the same correlation id.
"""

import base64
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agency.clock import now_text, thai_day, today
from agency.linkage.claims import Claims, Refused
from agency.linkage.http import NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome, Said
from agency.store.database import Database, DatabaseError
from agency.store.health_visits import (
    CLOSED,
    DISPUTED,
    OPEN,
    OPENING,
    HealthVisit,
    drop_visit,
    end_visit,
    newest_visit,
    open_visit,
    put_visit,
    visit_in_doubt,
)
from appliance.errors import ConfigError, SigningError
from appliance.events.seal import seal
from appliance.events.sign import Jwk

NAME = "visits"
REOPENED_WITHIN = timedelta(minutes=5)
_DAY = timedelta(days=1)
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
                _log.warning("query %s: the claim service was not asked: %s", asked.id, error)
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
        try:
            recipients = self._recipients()
            visit = self._opening(asked, subject, recipients)
        except (ConfigError, SigningError, DatabaseError) as error:
            _log.error("query %s: no visit is opened, for it cannot be noted: %s: %s", asked.id, error.code, error)
            return Outcome.UNAVAILABLE
        try:
            if not asked.is_awaited:  # to be noted, or to have its turn, took too long
                raise NotReached("nobody waits for it any more")
            code = self._claims.open(replace(asked, id=visit.opened_by))
        except (Refused, NotReached):
            if visit.opened_by == asked.id:  # of one that was in doubt before, this says nothing
                with suppress(DatabaseError):
                    self._database.commit(lambda connection: drop_visit(connection, visit.opened_by))
            raise
        opened = replace(
            visit,
            station=asked.station,
            choice=asked.choice,
            sealed=_sealed(asked, code, recipients, visit.opened_by),
            state=OPEN,
            opened_at=_now_after(held),
        )
        self._database.commit(lambda connection: open_visit(connection, opened))
        return Outcome.NORMAL

    def _opening(self, asked: Asked, subject: str, recipients: Sequence[Jwk]) -> HealthVisit:
        """Return the visit that may have been opened today, else a new one; it is on the disk."""
        sealed = _sealed(asked, None, recipients, asked.id)
        new = HealthVisit(asked.id, asked.station, subject, asked.choice, sealed, OPENING, now_text())
        with self._database.write() as connection:
            doubt = visit_in_doubt(connection, subject)
            if doubt is not None and _is_of_now(doubt):
                return doubt
            put_visit(connection, new)
        return new

    def _close(self, asked: Asked, subject: str) -> Outcome:
        ending = _ENDINGS.get(asked.choice or "")
        if ending is None:
            return Outcome.UNAVAILABLE
        held = self._held(subject)
        if held is None or _is_long_over(held):
            return Outcome.NOT_NORMAL
        if held.state == ending:
            return Outcome.NORMAL
        if held.state == DISPUTED:
            return Outcome.NOT_NORMAL
        if not asked.is_awaited:
            return Outcome.UNAVAILABLE
        self._claims.close(asked, held.opened_by, ending)
        self._database.commit(lambda found: end_visit(found, held.opened_by, ending, asked.id, now_text()))
        return Outcome.NORMAL


def _sealed(asked: Asked, code: str | None, recipients: Sequence[Jwk], opened_by: str) -> str:
    """Return the seal of a visit; without the code while there is none. Raises SigningError."""
    secret = {"citizen_id": asked.text("citizen_id"), **({"claim_code": code} if code is not None else {})}
    return json.dumps(seal(secret, recipients, visit_context(opened_by)))


def _is_of_now(doubt: HealthVisit) -> bool:
    """Say whether a visit in doubt is of today, or was of yesterday a moment ago: midnight makes no second claim."""
    opened_at = datetime.fromisoformat(doubt.opened_at)
    return thai_day(opened_at) == today() or datetime.now(UTC) - opened_at < REOPENED_WITHIN


def _is_long_over(held: HealthVisit) -> bool:
    """Say whether a visit was ended more than a day ago: what is said now is not said of that one."""
    return held.closed_at is not None and datetime.now(UTC) - datetime.fromisoformat(held.closed_at) > _DAY


def _is_fresh(held: HealthVisit, asked: Asked) -> bool:
    """Say whether a visit was opened a moment ago for the same: the station may have lost its answer.

    One of later today was opened before our clock was set back.
    """
    age = datetime.now(UTC) - datetime.fromisoformat(held.opened_at)
    is_same = (held.station, held.choice) == (asked.station, asked.choice)
    return is_same and -_DAY < age < REOPENED_WITHIN


def _now_after(held: HealthVisit | None) -> str:
    """Return this moment; where our clock was set back, the one after the visit before: the newest stays the newest."""
    now = datetime.now(UTC)
    if held is not None:
        now = max(now, datetime.fromisoformat(held.opened_at) + timedelta(milliseconds=1))
    return now.isoformat(timespec="milliseconds")
