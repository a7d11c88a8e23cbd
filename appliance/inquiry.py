"""The online question: asked while the person waits, answered in time or not, and late answers (contract 6).

Whatever comes back is believed only with the agency's signature, for this very query, and in time. Everything else
"could not be checked", and where the agency may have written something, its outcome is unknown: such a question is
never asked twice by itself. A question that writes nothing is sent once more at half its time, as the same query.

Nobody waits for an agency that is away: after three questions without an answer only one in ``PROBE_S`` is asked.
An answer that comes when its visit is recorded already becomes an event beside it, and changes no screen.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from appliance.checks import online
from appliance.checks.result import Check
from appliance.checks.verdict import decide
from appliance.errors import SigningError, VerificationError
from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import Position, jws_hash
from appliance.events.query import Answer, Query
from appliance.events.writer import EventWriter
from appliance.ports import OFFLINE, Moment, Outbox, QueryLine
from appliance.services.profile import Profile
from appliance.services.vocabulary import OnTimeout

CORRECTED = "visit.corrected.v1"
FAILURES = 3
PROBE_S = 30.0
LATE_S = 600.0
_MOST_LATE = 100

_log = logging.getLogger(__name__)


@dataclass
class _Asked:
    """A query whose answer is waited for."""

    query: Query
    jws: str
    at_s: float
    is_write: bool
    is_repeated: bool = False
    is_spoilt: bool = False
    check: Check | None = None
    late: Answer | None = None

    def is_in_time(self, now_s: float) -> bool:
        return now_s - self.at_s < self.query.deadline_ms / 1000


@dataclass(frozen=True)
class Corrigible:
    """What must be known of a visit that was recorded before its answer came; nothing of the person.

    Args:
        position: of its event.
        required: checks that must pass.
        checks: as they were.
    """

    position: Position
    required: tuple[str, ...]
    checks: Mapping[str, Check]


class Inquiry:
    """Asks the agency.

    Args:
        line: to the agency.
        keys: returns the agency's keys in force.
        writer: whose origin and event key sign the queries.
    """

    def __init__(self, line: QueryLine, keys: Callable[[], AgencyKeys], writer: EventWriter) -> None:
        self._line, self._keys, self._writer = line, keys, writer
        self._asked: _Asked | None = None
        self._open: OrderedDict[str, tuple[_Asked, Corrigible]] = OrderedDict()
        self._late: list[tuple[Corrigible, Answer]] = []
        self._failures = 0
        self._down_s = float("-inf")

    def is_down(self, now_s: float) -> bool:
        """Say whether the agency has not answered lately, so that people can be told before their card goes in."""
        return self._failures >= FAILURES or now_s - self._down_s < PROBE_S

    def ask(self, profile: Profile, choice: str | None, about: Mapping[str, Any], at: Moment) -> str | None:
        """Ask what the service wants to know; return the id of the query, None where nobody can be asked now.

        Args:
            profile: a service with an online question.
            choice: what was chosen.
            about: what the agency must know of the person; it is sealed.
            at: now.

        Raises:
            StoreError: the keys in force cannot be read.
        """
        assert profile.online is not None
        self._asked = None
        self._listen(at.monotonic_s)
        key = self._keys().query
        is_open = self._failures >= FAILURES and at.monotonic_s - self._down_s < PROBE_S
        if key is None or is_open:
            return None
        service = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
        words, deadline_ms = profile.online.question.value, profile.online.deadline_ms
        origin = self._writer.origin
        try:
            query = Query.ask(
                origin, service, words, choice=choice, about=about, key=key, at=at.time, deadline_ms=deadline_ms
            )
            jws = query.sign(self._writer.signer)
        except (SigningError, VerificationError) as error:  # the agency's key may be none: the visit goes on without
            _log.error("%s: the agency cannot be asked: %s", error.code, error)
            return None
        if not self._line.send(jws):
            self._down_s = at.monotonic_s
            return None
        is_write = profile.online.on_timeout is OnTimeout.OUTCOME_UNKNOWN
        self._asked = _Asked(query, jws, at.monotonic_s, is_write)
        return query.id

    def look(self, now_s: float) -> Check | None:
        """Return what is known of the query that was asked last; None while there is time for an answer."""
        self._listen(now_s)
        asked = self._asked
        if asked is None:
            return None
        if asked.check is None and not asked.is_in_time(now_s):
            asked.check = online.unanswered("bad_answer" if asked.is_spoilt else "timeout", asked.is_write)
            self._failures += 1
            self._down_s = now_s
        elif asked.check is None and not asked.is_write and not asked.is_repeated:
            self._repeat(asked, now_s)
        return asked.check

    def _repeat(self, asked: _Asked, now_s: float) -> None:
        if now_s - asked.at_s >= asked.query.deadline_ms / 2000:
            asked.is_repeated = True
            self._line.send(asked.jws)

    def recorded(self, visit: Corrigible) -> None:
        """Keep in mind a visit whose query may still be answered."""
        asked, self._asked = self._asked, None
        if asked is None or asked.check is None or asked.check.source is not None:  # it was answered
            return
        if asked.late is not None:
            self._late.append((visit, asked.late))
            return
        bare = replace(asked, query=replace(asked.query, sealed={}), jws="")
        self._open[asked.query.id] = bare, visit
        while len(self._open) > _MOST_LATE:
            self._open.popitem(last=False)

    def correct(self, outbox: Outbox, at: Moment) -> None:
        """Record every answer that came late. Raises StoreError."""
        self._listen(at.monotonic_s)
        while self._late:
            visit, answer = self._late[0]
            outbox.append(lambda position: self._correction(position, visit, answer, at))  # noqa: B023 - called at once
            del self._late[0]
            _log.info("a late answer to the query of event %d is recorded", visit.position.sequence)

    def _correction(self, position: Position, visit: Corrigible, answer: Answer, at: Moment) -> str:
        check = online.answered(answer.outcome, answer.as_of, answer.source)
        decision = decide(visit.required, {**visit.checks, "online": check})
        corrected = {
            "chain": visit.position.chain,
            "sequence": visit.position.sequence,
            "query": answer.query,
            "check": check.as_data(),
            "level": decision.level.value,
            "verdict": decision.verdict.value,
        }
        data = {"clock": at.as_data(), "corrected": corrected}
        return self._writer.station(position, CORRECTED, at.time, data)

    def _listen(self, now_s: float) -> None:
        """Take what came. One that is none spoils the waiting: should nothing better come, it was a bad answer."""
        for message in self._line.receive():
            asked = self._asked if self._asked is not None and self._asked.check is None else None
            if message.startswith(OFFLINE):
                if asked is not None and message[len(OFFLINE) :].decode("ascii", "replace") == jws_hash(asked.jws):
                    asked.check, self._down_s = online.unanswered("offline", asked.is_write), now_s
                continue
            try:
                answer = Answer.open(_text(message), self._keys().signatures, self._writer.origin.station)
            except VerificationError as error:
                _log.warning("an answer is not believed: %s", error)
                answer = None
            is_ours = answer is not None and self._take(answer, asked, now_s)
            if asked is not None and not is_ours:
                asked.is_spoilt = True

    def _take(self, answer: Answer, asked: _Asked | None, now_s: float) -> bool:
        """Use a signed answer; say whether it belongs to anything that was asked."""
        if asked is not None and answer.belongs_to(asked.query):
            if asked.is_in_time(now_s):
                asked.check = online.answered(answer.outcome, answer.as_of, answer.source)
                self._failures, self._down_s = 0, float("-inf")
                return True
            asked.late = answer
            return False
        found = self._open.get(answer.query)
        if found is None or not answer.belongs_to(found[0].query):
            return False
        del self._open[answer.query]
        if now_s - found[0].at_s < LATE_S:
            self._late.append((found[1], answer))
        return True


def _text(message: bytes) -> str:
    try:
        return message.decode("ascii")
    except UnicodeDecodeError:
        raise VerificationError("not ASCII") from None
