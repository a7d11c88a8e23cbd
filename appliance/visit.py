"""What is known of a visit: the cards that were read, what was checked, what was chosen.

``examine`` reads one card and checks what the service wants checked of its holder. A visit has a second card where
the service asks for one: then the checks are those of the subject, and ``applet`` and ``checksum`` must hold for both.

Nothing of a visit outlives it. What the station remembers of a person is a memory-hard digest with a secret that
changes every day.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.cards.dates import Precision
from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.checks import age, card_data, checksum, expiry, roster, subject
from appliance.checks.result import NOT_ASKED, PASS, Check, Result
from appliance.errors import CardError, NotAThaiIdCard
from appliance.events.roster import Scrypt, SignedRoster
from appliance.ports import Attendance, Insertion, Moment, Tell, World
from appliance.services.profile import Profile
from appliance.services.vocabulary import NUMBER_KINDS, Role, Sex

if TYPE_CHECKING:
    from concurrent.futures import Future

_SEVERITY = (Result.FAIL, Result.COULD_NOT_CHECK, Result.NOT_ASKED, Result.PASS)
_BOTH_CARDS = ("applet", "checksum")
_ABOUT = ("citizen_id", "chip_number", "request_number")  # what the card-status service takes


@dataclass(frozen=True)
class Examined:
    """One card.

    Args:
        insertion: the card going in.
        record: what it said; None where it could not be read.
        checks: by name.
        error: why it could not be read.
        digest: how the station knows the person today; None where the card gave no number.
        officer: the handle of the person in the roster's list of officers, or None.
        at: when it was read.
    """

    insertion: Insertion
    record: Record | None
    checks: Mapping[str, Check]
    error: CardError | None
    digest: bytes | None
    officer: str | None
    at: Moment


@dataclass(frozen=True)
class Visit:
    """What is known when it is decided.

    Args:
        profile: the service.
        first: the card that went in first.
        second: the second card; None where there was none.
        earlier: the subject's visit before this one, today.
        choice: what was chosen; None where nothing was.
        officer: handle of the officer at work, or None.
        is_cancelled: the person withdrew.
        online: what the agency answered.
        query: id of the query that it was asked by; None where it was not asked.
    """

    profile: Profile
    first: Examined
    second: Examined | None = None
    earlier: Attendance | None = None
    choice: str | None = None
    officer: str | None = None
    is_cancelled: bool = False
    online: Check = NOT_ASKED
    query: str | None = None

    @property
    def at(self) -> Moment:
        """Return when the newest card was read."""
        return (self.second or self.first).at

    @property
    def error(self) -> CardError | None:
        """Return why a card could not be read."""
        return self.first.error or (self.second.error if self.second else None)

    @property
    def digest(self) -> bytes | None:
        """Return how the station knows the subject today."""
        subject_card = self.second if _is_child_s(self.profile) else self.first
        return subject_card.digest if subject_card else None

    @property
    def required(self) -> tuple[str, ...]:
        """Return the checks that must pass."""
        return (*self.profile.checks.required, *(("officer",) if self.profile.approve else ()))

    @property
    def checks(self) -> dict[str, Check]:
        """Return every check that was made."""
        found = dict(self.first.checks)
        if self.second is not None:
            found = {**found, **self.second.checks}
            for name in _BOTH_CARDS:
                pair = [card.checks[name] for card in (self.first, self.second) if name in card.checks]
                found |= {name: min(pair, key=lambda one: _SEVERITY.index(one.result))} if pair else {}
            found |= _two_persons(self.first, self.second)
        if self.profile.online is not None:
            found["online"] = self.online
        if self.profile.approve is not None:
            found["officer"] = self._approval()
        return found

    def _approval(self) -> Check:
        """Return whether an officer is at work who may approve: nobody does so for a card of their own."""
        if self.officer is None:
            return Check(Result.COULD_NOT_CHECK, why="no_officer")
        is_own = self.officer in (self.first.officer, self.second.officer if self.second else None)
        return Check(Result.COULD_NOT_CHECK, why="own_subject") if is_own else PASS

    def about(self) -> dict[str, Any]:
        """Return what the agency must know of the subject to answer a question; empty where there is no number."""
        card = self.second if _is_child_s(self.profile) else self.first
        record = card.record if card is not None else None
        if record is None or record.citizen_id is None:
            return {}
        return {name: value for name, value in record.as_data().items() if name in _ABOUT and value is not None}

    def secret(self) -> dict[str, Any] | None:
        """Return what the agency alone may read; None where nothing may be kept."""
        if self.is_cancelled or self.first.record is None or self.first.record.citizen_id is None:
            return None
        kept = _kept(self.first.record, self.profile.record.sealed)
        if self.second is not None and self.second.record is not None and self.profile.second is not None:
            kept[self.profile.second.role.value] = _kept(self.second.record, self.profile.second.sealed)
        return kept


def _kept(record: Record, names: Sequence[str]) -> dict[str, Any]:
    said = record.as_data()
    return {name: said[name] for name in names}


def _is_child_s(profile: Profile) -> bool:
    return profile.second is not None and profile.second.role is Role.CHILD


def _two_persons(first: Examined, second: Examined) -> dict[str, Check]:
    numbers = [card.record.citizen_id for card in (first, second) if card.record and card.record.citizen_id]
    return {"two_persons": subject.check_two(numbers[0], numbers[1])} if len(numbers) == 2 else {}


def examine(world: World, profile: Profile, insertion: Insertion, is_second: bool, tell: Tell) -> Examined:
    """Read the card that is in, and check it. Raises ReaderUnavailable, StoreError.

    Args:
        world: the joints.
        profile: what is read and checked.
        insertion: the card.
        is_second: it is the second card of the visit.
        tell: hears how the read goes on.
    """
    names = profile.second.read if is_second and profile.second else profile.card.read
    lookup = _Lookup(world)
    try:
        record = world.reader.read([Field.named(name) for name in names], lookup.begun_by(tell))
    except CardError as error:
        result = Result.FAIL if isinstance(error, NotAThaiIdCard) else Result.COULD_NOT_CHECK
        return Examined(insertion, None, {"applet": Check(result, why=error.why)}, error, None, None, world.clock.now())
    at = world.clock.now()
    checks = {"applet": PASS, "checksum": checksum.check(record.is_number_valid)}
    if record.citizen_id is None:
        return Examined(insertion, record, checks, None, None, None, at)
    digest, officer, listed = lookup.result(record.citizen_id, at)
    if is_second == _is_child_s(profile) and record.is_number_valid:
        found = {**_of_card(profile, record, at), **listed}
        checks |= {name: found[name] for name in profile.asked if name in found}
        if "roster" in checks and listed["denylist"].result is Result.FAIL:  # who is on it is on no roster for us
            checks["denylist"] = listed["denylist"]
    return Examined(insertion, record, checks, None, digest, officer, at)


def _of_card(profile: Profile, record: Record, at: Moment) -> dict[str, Check]:
    """Return what the card itself says of its holder; only what the service asks is used."""
    return dict(_dates(profile, record, at)) | dict(_subject(profile, record))


def _dates(profile: Profile, record: Record, at: Moment) -> Iterator[tuple[str, Check]]:
    yield "dates", card_data.check(record.checks["dates"], "bad_date")
    yield "consistency", card_data.check(record.checks["consistency"], "dates_disagree")
    today = at.time.date()
    if record.expiry_date is not None:
        is_lifetime = record.expiry_date.precision is Precision.LIFETIME
        yield "expiry", expiry.check(is_lifetime, record.expiry_date.last_day(), today, at.is_sure)
    birth = record.values.get(Field.BIRTH_DATE)
    if birth is not None:
        ages = range(profile.subject.min_age, profile.subject.max_age + 1)
        yield "age", age.check(birth.first_day(), birth.last_day(), today, at.is_sure, ages)


def _subject(profile: Profile, record: Record) -> Iterator[tuple[str, Check]]:
    if profile.subject.sex is not Sex.ANY:
        yield "sex", subject.check_sex(record.values.get(Field.SEX), profile.subject.sex.value)
    digits = "".join(NUMBER_KINDS[kind] for kind in profile.subject.numbers)
    yield "number_kind", subject.check_number(record.citizen_id or " ", digits)


class _Lookup:
    """Looks a person up: under today's secret, in the roster and in the deny-list in force.

    Each digest is slow on purpose, so they are made side by side, and begun as soon as the card has said its number:
    a card with more to read is still being read when they are done.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._roster, self._denylist = world.roster(), world.denylist()
        self._signed = [one for one in (self._roster, self._denylist) if one is not None]
        self._begun: tuple[str, str] | None = None
        self._digests: list[Future[bytes]] = []

    def begun_by(self, tell: Tell) -> Tell:
        """Return ``tell``, which also begins the look-up with the first number that it hears."""

        def hear(so_far: Record | None) -> None:
            if so_far is not None and so_far.citizen_id is not None:
                self._begin(so_far.citizen_id, self._world.clock.now())
            tell(so_far)

        return hear

    def _begin(self, number: str, at: Moment) -> None:
        from concurrent.futures import ThreadPoolExecutor

        today = at.time.date().isoformat()
        if self._begun == (number, today):
            return
        kdfs = [Scrypt(self._world.outbox.day_salt(today)), *(one.roster.kdf for one in self._signed)]
        pool = ThreadPoolExecutor(len(kdfs))
        self._begun, self._digests = (number, today), [pool.submit(kdf.digest, number) for kdf in kdfs]
        pool.shutdown(wait=False)

    def result(self, number: str, at: Moment) -> tuple[bytes, str | None, dict[str, Check]]:
        """Return today's digest of a person, the handle as an officer, and the checks against the lists."""
        self._begin(number, at)
        digest, *others = (future.result() for future in self._digests)
        found = dict(zip(map(id, self._signed), others, strict=True))
        checks = {
            "roster": _check_list(self._roster, found.get(id(self._roster)), at),
            "denylist": _not_on(_check_list(self._denylist, found.get(id(self._denylist)), at)),
        }
        return digest, self._officer(found.get(id(self._roster)), at), checks

    def _officer(self, digest: bytes | None, at: Moment) -> str | None:
        """Return the handle of an officer, by a roster that is in force."""
        if self._roster is None or not self._roster.issued_at <= at.time < self._roster.expires_at:
            return None
        return self._roster.roster.officer(digest)


def _check_list(signed: SignedRoster | None, digest: bytes | None, at: Moment) -> Check:
    if signed is None or digest is None:
        return roster.missing()
    return roster.check(
        signed.roster.digests,
        digest,
        as_of=signed.roster.as_of,
        source=signed.roster.source,
        issued_at=signed.issued_at,
        expires_at=signed.expires_at,
        now=at.time,
    )


def _not_on(found: Check) -> Check:
    """Turn "is on it" into a fail and "is not" into a pass; what could not be checked stays so."""
    if found.result is Result.PASS:
        return Check(Result.FAIL, "on_denylist", found.as_of, found.source)
    if found.result is Result.FAIL:
        return Check(Result.PASS, None, found.as_of, found.source)
    why = "no_denylist" if found.why == "no_roster" else found.why
    return Check(found.result, why, found.as_of, found.source)
