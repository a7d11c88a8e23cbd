"""READ ME FIRST: one person's visit, from the card going in to the card coming out.

    insert -> connect -> select -> read only the bytes the service may read -> check -> ask (buttons) -> decide
    -> record (seal, sign, chain, commit with fsync) -> show and sound -> remove

``serve`` is that line, and the only place that knows its order. The beep means *stored*, never merely *read*: the
screen of a verdict is shown after the event is on the disk, and carries its sequence number. A crash before the
commit leaves nothing, and the card can go in again; a crash after it leaves the event, and the card going in again
is "already recorded".

Two errors pass through: ``ReaderUnavailable`` (there is no reader; try again) and ``StoreError`` (nothing can be
made durable; take no more cards).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from appliance.cards.dates import Precision
from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.checks import checksum, duplicate, expiry, roster
from appliance.checks.duplicate import Stamp
from appliance.checks.result import PASS, Check, Result
from appliance.checks.verdict import Decision, Verdict, decide
from appliance.errors import CardError, NotAThaiIdCard
from appliance.events.chain import Position
from appliance.events.roster import Scrypt, SignedRoster
from appliance.events.writer import EventWriter
from appliance.panel.screens import Button, Screen, State
from appliance.ports import Attendance, CardReader, Clock, Insertion, Moment, Outbox, Panel, Tell
from appliance.services.profile import Profile
from appliance.services.vocabulary import Default

WAIT_S = 0.5
REMIND_AFTER_S = 6.0


@dataclass(frozen=True)
class World:
    """The joints of the flow (``ports``), built in ``run.wiring``.

    Args:
        reader: the card reader.
        panel: screen, lights, buzzer, buttons.
        clock: the time and its quality.
        outbox: the durable queue.
        writer: seals and signs.
        roster: returns the roster in force, None where there is none.
    """

    reader: CardReader
    panel: Panel
    clock: Clock
    outbox: Outbox
    writer: EventWriter
    roster: Callable[[], SignedRoster | None]


@dataclass(frozen=True)
class Visit:
    """What is known of the visit when it is decided.

    Args:
        insertion: the card going in.
        reading: what it said; None where it could not be read.
        checks: by name.
        error: why it could not be read.
        subject: how the station knows the person today; None where the card gave no number.
        earlier: the same person's visit before this one, today.
        at: when it was read.
    """

    insertion: Insertion
    reading: Record | None
    checks: dict[str, Check]
    error: CardError | None
    subject: bytes | None
    earlier: Attendance | None
    at: Moment


def serve(world: World, profile: Profile, keep_waiting: Callable[[], bool]) -> None:
    """Serve one person.

    Args:
        world: the joints.
        profile: the active service.
        keep_waiting: asked every ``WAIT_S`` while no card is in or a card stays in; False ends the wait.

    Raises:
        ReaderUnavailable: there is no reader.
        StoreError: the visit could not be recorded, and nothing was shown as recorded.
    """
    choosing = _Choosing(world, profile)
    insertion = _wait_for_card(world, choosing, keep_waiting)  # insert
    if insertion is None:
        return
    choosing.show(State.READING)
    visit = _read_and_check(world, profile, insertion, lambda _: choosing.look(State.READING))  # connect, read, check
    choosing.look(State.READING)  # ask
    decision = decide(profile.checks.required, visit.checks)  # decide
    screen = _seen_before(profile, visit, decision, choosing.made)
    if screen is None:
        screen = _record(world, profile, visit, decision, choosing.made)  # record: seal, sign, chain, commit with fsync
    world.panel.show(screen)  # show and sound
    _wait_for_removal(world, visit, keep_waiting)  # remove


class _Choosing:
    """What the buttons choose for this card; the panel answers each press, also while a card is slow or silent."""

    def __init__(self, world: World, profile: Profile) -> None:
        self._world, self._profile = world, profile
        self.made: str | None = None

    def show(self, state: State) -> None:
        """Show ``state`` and what was chosen."""
        self._world.panel.show(Screen(state, choice=self.made))

    def look(self, state: State) -> None:
        """Take the presses: A and B choose, C takes the choice back. Show ``state`` anew where that changed it."""
        before = self.made
        while (button := self._world.panel.pressed()) is not None:
            offered = self._profile.choices.offered().get(button.value)
            self.made = offered.word if offered else None if button is Button.C else self.made
        if self.made != before:
            self.show(state)


def _wait_for_card(world: World, choosing: _Choosing, keep_waiting: Callable[[], bool]) -> Insertion | None:
    """Return the next insertion; None where the wait was ended."""
    insertion = world.reader.wait_card(0)  # where there is no reader, nobody must be invited
    if insertion is None:
        choosing.show(State.IDLE)
    while insertion is None:
        choosing.look(State.IDLE)
        if not keep_waiting():
            break
        insertion = world.reader.wait_card(WAIT_S)
    return insertion


def _wait_for_removal(world: World, visit: Visit, keep_waiting: Callable[[], bool]) -> None:
    is_reminded = False
    while not world.reader.wait_removed(WAIT_S) and keep_waiting():
        if not is_reminded and world.clock.now().monotonic_s - visit.at.monotonic_s > REMIND_AFTER_S:
            is_reminded = True
            world.panel.show(Screen(State.REMOVE_CARD))


def _seen_before(profile: Profile, visit: Visit, decision: Decision, asked: str | None) -> Screen | None:
    """Return what a card shows that was only put in again and ends as it did before; None for a visit to record.

    An accepted visit shows when it was recorded, another one its verdict once more (docs/adr/0009).
    """
    earlier = visit.earlier
    if earlier is None or not _is_same_visit(profile, visit, asked) or earlier.outcome != decision.outcome:
        return None
    if decision.verdict is Verdict.ACCEPTED:
        return Screen(State.ALREADY_RECORDED, earlier.at.time, earlier.choice, reference=str(earlier.sequence))
    return replace(_screen(visit, decision, None, earlier.sequence), is_repeated=True)


def _is_same_visit(profile: Profile, visit: Visit, asked: str | None) -> bool:
    """Say whether the card was only put in again; a press for the other direction makes it another visit."""
    earlier = visit.earlier
    if earlier is None or (asked is not None and asked != earlier.choice):
        return False
    return duplicate.is_again(_stamp(earlier.at), _stamp(visit.at), profile.checks.duplicate_window_s)


def _record(world: World, profile: Profile, visit: Visit, decision: Decision, asked: str | None) -> Screen:
    """Make the visit durable and return what it shows. Raises StoreError."""
    refused = decision.verdict is Verdict.REFUSED
    choice = None if refused or visit.subject is None else asked or _next_choice(profile, visit)
    memory = Attendance(visit.subject, decision.outcome, choice, visit.at) if visit.subject else None
    sequence = world.outbox.append(lambda position: _event(world, profile, visit, decision, choice, position), memory)
    return _screen(visit, decision, choice, sequence)


def _next_choice(profile: Profile, visit: Visit) -> str | None:
    """Return the choice that nobody made: the first in the morning, then in turn; the same for the same visit."""
    offered, earlier = [choice.word for choice in profile.choices.offered().values()], visit.earlier
    if profile.choices.default is not Default.ALTERNATE:
        return None
    if earlier is None or earlier.choice not in offered:
        return offered[0]
    if _is_same_visit(profile, visit, None):
        return earlier.choice
    is_new_day = earlier.at.time.date() != visit.at.time.date()  # remembered over a clock that went back
    return offered[0] if is_new_day else offered[(offered.index(earlier.choice) + 1) % len(offered)]


def _read_and_check(world: World, profile: Profile, insertion: Insertion, meanwhile: Tell) -> Visit:
    try:
        reading = world.reader.read([Field.named(name) for name in profile.card.read], meanwhile)
    except CardError as error:
        result = Result.FAIL if isinstance(error, NotAThaiIdCard) else Result.COULD_NOT_CHECK
        return Visit(insertion, None, {"applet": Check(result, why=error.why)}, error, None, None, world.clock.now())
    at = world.clock.now()
    checks = {"applet": PASS, "checksum": checksum.check(reading.is_number_valid)}
    if reading.expiry_date is not None:
        checks["expiry"] = expiry.check(
            reading.expiry_date.precision is Precision.LIFETIME,
            reading.expiry_date.last_day(),
            at.time.date(),
            at.is_sure,
        )
    signed = world.roster()
    subject = None
    if reading.citizen_id is not None:
        subject, on_roster = _digests(world, reading.citizen_id, signed, at)
        if reading.is_number_valid:
            checks["roster"] = _check_roster(signed, on_roster, at)
    earlier = world.outbox.last_visit(subject) if subject else None
    return Visit(insertion, reading, checks, None, subject, earlier, at)


def _digests(world: World, citizen_id: str, signed: SignedRoster | None, at: Moment) -> tuple[bytes, bytes]:
    """Return today's subject and the roster's digest; both are slow on purpose, so they run side by side."""
    today = Scrypt(world.outbox.day_salt(at.time.date().isoformat()))
    if signed is None:
        return today.digest(citizen_id), b""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        subject, on_roster = pool.map(lambda kdf: kdf.digest(citizen_id), (today, signed.roster.kdf))
    return subject, on_roster


def _check_roster(signed: SignedRoster | None, digest: bytes, at: Moment) -> Check:
    if signed is None:
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


def _event(
    world: World, profile: Profile, visit: Visit, decision: Decision, choice: str | None, position: Position
) -> str:
    reading = visit.reading
    data: dict[str, Any] = {
        "service": {"id": profile.id, "version": profile.version, "sha256": profile.sha256},
        "level": decision.level.value,
        "verdict": decision.verdict.value,
        "checks": {name: check.as_data() for name, check in visit.checks.items()},
        "choice": choice,
        "officer": None,
        "clock": visit.at.as_data(),
        "card": {
            "inserted_ms": max(round((visit.at.monotonic_s - visit.insertion.at_monotonic_s) * 1000), 0),
            "apdus": reading.apdus if reading else 0,
        },
    }
    return world.writer.visit(position, profile.event_type, visit.at.time, data, _secret(profile, reading))


def _secret(profile: Profile, reading: Record | None) -> dict[str, Any] | None:
    if reading is None or reading.citizen_id is None:
        return None
    said = reading.as_data()
    return {name: said[name] for name in profile.record.sealed}


_CAUSES = {
    "applet": State.NOT_A_THAI_CARD,
    "checksum": State.BAD_NUMBER,
    "expiry": State.EXPIRED,
    "roster": State.NOT_ON_ROSTER,
}


def _screen(visit: Visit, decision: Decision, choice: str | None, sequence: int) -> Screen:
    state = State.ACCEPTED
    if decision.verdict is Verdict.REFUSED:
        state = _CAUSES[decision.cause]
    elif decision.verdict is Verdict.COULD_NOT_CHECK:
        state = State.UNREADABLE if visit.error else State.COULD_NOT_CHECK
    return Screen(
        state=state,
        at=visit.at.time,
        choice=choice if state is State.ACCEPTED else None,
        as_of=visit.checks["roster"].as_of if "roster" in visit.checks else None,
        reference=str(sequence),
        code=visit.error.code if visit.error else "",
    )


def _stamp(moment: Moment) -> Stamp:
    return Stamp(moment.time.timestamp(), moment.boot, moment.monotonic_s)
