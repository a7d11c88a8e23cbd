"""What a query must be before anybody is asked. Pure: bytes, keys and profiles in, a question out.

Whoever has a station's key could ask about any citizen, so a station may ask only what its service asks, about what
its service reads, a person at a time, and now.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agency import citizen_number
from agency.linkage.source import Asked
from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events.query import MAX_QUERY_BYTES, Query
from appliance.events.sign import Jwk, KeySet
from appliance.services.profile import Profile
from appliance.services.vocabulary import Question

MAX_AGE = timedelta(minutes=2)
_WRITES = (Question.VISIT_OPEN, Question.VISIT_CLOSE)
_LONGEST_TEXT = 100  # of what a card holds of its chip and its request it is more than twice the longest
_MINUTE_S = 60.0


class Stale(Exception):
    """The query was asked too long ago, or by a clock that is wrong; nothing may be written for it."""


@dataclass(frozen=True)
class Services:
    """By which services each station may ask.

    Args:
        given: each profile, with the stations that it was given to; ``*`` for every one.
        chosen: ids of services by station, ``*`` for the stations that are not named; empty where all may be used.
    """

    given: Sequence[tuple[Profile, Sequence[str]]]
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def profile(self, station: str, sha256: str) -> Profile:
        """Return the profile by which a station asks.

        Raises:
            VerificationError: the station was not given it, or may not use it.
        """
        for profile, stations in self.given:
            if profile.sha256 == sha256 and ("*" in stations or station in stations):
                break
        else:
            raise VerificationError("the service is not known here, or was given to other stations")
        if self.chosen and profile.id not in self.chosen.get(station, self.chosen.get("*", ())):
            raise VerificationError("the service is none that [services] lets the station use")
        return profile


def open_query(payload: bytes, agency: str, station: str, keys: Iterable[EventKey]) -> tuple[Query, str]:
    """Return the query that a station's good key signed, and that key.

    Raises:
        VerificationError: it is none.
    """
    if len(payload) > MAX_QUERY_BYTES:
        raise VerificationError("the query is too large")
    try:
        jws = payload.decode("ascii")
    except UnicodeDecodeError:
        raise VerificationError("the query is not ASCII") from None
    good = [key for key in keys if key.revoked_at is None and key.station == station]
    for key in good:
        try:
            return Query.open(jws, KeySet([key.jwk]), agency, station), key.kid
        except VerificationError:
            if key is good[-1]:
                raise
    raise VerificationError("the station has no good key")


def allowed(query: Query, services: Services, now: datetime) -> Profile:
    """Return the profile by which a query may be asked.

    Args:
        query: signed by its station.
        services: by which its station may ask.
        now: our time.

    Raises:
        Stale: by its time.
        VerificationError: the station may not ask that.
    """
    profile = services.profile(query.station, query.service["sha256"])
    if (profile.id, profile.version) != (query.service["id"], query.service["version"]):
        raise VerificationError("the service is another one")
    if profile.online is None or profile.online.question.value != query.question:
        raise VerificationError("the service does not ask that")
    offered: list[str | None] = [choice.word for choice in profile.choices.offered().values()]
    if query.choice not in (offered or [None]):
        raise VerificationError("the service does not offer that choice")
    try:
        age = abs(now - datetime.fromisoformat(query.asked_at))
    except (ValueError, OverflowError):
        raise VerificationError("the query bears no time") from None
    if age > MAX_AGE:
        raise Stale("the query is old, or the station's clock is wrong")
    return profile


def is_write(question: str) -> bool:
    """Say whether a question writes something, so that it is never asked twice; no profile says otherwise."""
    return question in _WRITES


def asked_of(query: Query, profile: Profile, private_keys: Mapping[str, Jwk], received_s: float) -> Asked:
    """Return the question with its seal opened; it is awaited for its time from when it was received, by our own clock.

    Raises:
        VerificationError: no key of ours opens it, it holds more or less than the service reads, or no short texts.
    """
    key = private_keys.get(query.sealed_to)
    if key is None:
        raise VerificationError("sealed to none of our query keys")
    about: dict[str, Any] = query.about(key)
    read = {*profile.card.read, *(profile.second.read if profile.second else ())}
    number = about.get("citizen_id")
    if not set(about) <= read or not isinstance(number, str) or not citizen_number.is_valid(number):
        raise VerificationError("the seal holds what the service does not read, or no citizen number")
    if not all(map(_is_text, about.values())):
        raise VerificationError("the seal holds what is no text of a card")
    ends_s = received_s + query.deadline_ms / 1000
    return Asked(query.id, query.station, query.question, profile.id, query.choice, about, ends_s)


def _is_text(value: object) -> bool:
    """Say whether a value is short and printable: a lone surrogate is not, nor what XML cannot hold."""
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()


class Meter:
    """Counts what each station asks.

    Args:
        per_minute: how many messages one may send in a minute.
        per_day: how many questions one may ask on a Thai calendar day.
        day: today.
        asked: what each station asked today already.
    """

    def __init__(self, per_minute: int, per_day: int, day: str, asked: Mapping[str, int]) -> None:
        self._per_minute, self._per_day = per_minute, per_day
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._day, self._asked = day, Counter(asked)

    def takes(self, station: str, now_s: float) -> bool:
        """Count a message; say whether the station may send it."""
        sent = self._sent[station]
        while sent and now_s - sent[0] >= _MINUTE_S:
            sent.popleft()
        if len(sent) >= self._per_minute:
            return False
        sent.append(now_s)
        return True

    def takes_today(self, station: str, day: str) -> bool:
        """Count a question that is new; say whether the station may ask it."""
        if day != self._day:
            self._day, self._asked = day, Counter()
        self._asked[station] += 1
        return self._asked[station] <= self._per_day
