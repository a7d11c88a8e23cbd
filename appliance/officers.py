"""Officers: they sign on with their own card, vouch for people without one, and sign off; never their own subject.

Who is an officer says the signed roster, by digests beside those of its members. An officer's card opens a page:

    A  sign off        B  vouch for a person        C  own visit, for a member where the service needs no officer

The insertion of an officer who is not at work signs on. Whoever did nothing for ``IDLE_S``, signed on ``SHIFT_S`` ago,
or is of a roster that is not the one in force, is signed off before anything else is approved. What an officer does is
an event, with the handle that the roster gives.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from appliance.checks.result import Check, Result
from appliance.checks.verdict import Level, Verdict, decide
from appliance.events.chain import Position
from appliance.front import Front
from appliance.panel.screens import Label, Screen, State
from appliance.ports import Attendance, Moment, World
from appliance.services.profile import Profile
from appliance.visit import Examined, Visit

SIGNED_ON, SIGNED_OFF = "officer.signed_on.v1", "officer.signed_off.v1"
IDLE_S = 15 * 60.0
SHIFT_S = 12 * 3600.0

_SIGN_OFF = Label("sign_off", "เลิกงาน", "Sign off")
_VOUCH = Label("vouch", "รับรองแทนบัตร", "Vouch")
_OWN_VISIT = Label("own_visit", "ลงเวลาตนเอง", "Own visit")
_CARD_CHECKS = ("applet", "checksum")
_VOUCHES = b"vouches"  # what the station remembers of an officer's vouches today stands under the digest and this


def attend(world: World, profile: Profile, front: Front, card: Examined) -> bool:
    """Serve an officer: sign on, or the page. Raises ReaderUnavailable, StoreError.

    Returns:
        False where the officer is a member, too, and came for an own visit.
    """
    session, at, vouching, source = world.session, card.at, world.vouching(), _source(world, card.at)
    labels = (_SIGN_OFF, *_optional(vouching, profile, card))
    screen = None
    if (session.handle, session.source) != (card.officer, source):  # another roster may give the handle to another
        screen = replace(_sign_on(world, card, source), labels=labels)
    session.seen_s = at.monotonic_s
    word = front.ask(labels, screen)
    if word == _OWN_VISIT.word:
        return False
    if word == _SIGN_OFF.word:
        sequence = sign_off(world, at)
        world.panel.show(Screen(State.SIGNED_OFF, at=at.time, reference=str(sequence)))
    elif word != _VOUCH.word or vouching is None or not _vouch(world, vouching, profile, front, card):
        world.panel.show(Screen(State.REMOVE_CARD))
    front.wait_for_removal()
    return True


def _optional(vouching: Profile | None, profile: Profile, card: Examined) -> Iterator[Label]:
    if vouching is None:
        return
    yield _VOUCH
    is_member = "roster" in card.checks and card.checks["roster"].result is Result.PASS
    if is_member and profile.approve is None:
        yield _OWN_VISIT


def _source(world: World, at: Moment) -> str:
    """Return the roster that makes officers now; empty where none is in force."""
    roster = world.roster()
    return roster.roster.source if roster and roster.issued_at <= at.time < roster.expires_at else ""


def _sign_on(world: World, card: Examined, source: str) -> Screen:
    """Begin the session of an officer, and end that of another; return what that shows."""
    if world.session.handle is not None:
        sign_off(world, card.at)
    sequence = _sign(world, SIGNED_ON, card.at, {"handle": card.officer, "source": source})
    world.session.handle, world.session.source, world.session.began_s = card.officer, source, card.at.monotonic_s
    return Screen(State.SIGNED_ON, at=card.at.time, reference=str(sequence))


def sign_off_idle(world: World) -> None:
    """Sign off an officer who must not approve any more. Raises StoreError."""
    at_work(world, world.clock.now())


def at_work(world: World, at: Moment) -> str | None:
    """Return the handle of the officer at work; one who must not approve any more is signed off. Raises StoreError."""
    session = world.session
    if session.handle is not None:
        is_gone = at.monotonic_s - session.seen_s > IDLE_S or at.monotonic_s - session.began_s > SHIFT_S
        if is_gone or session.source != _source(
            world, at
        ):  # another roster may give the handle to another, or to nobody
            sign_off(world, at)
    return session.handle


def end_session(world: World) -> None:
    """Sign off whoever is at work: the station stops. Raises StoreError."""
    if world.session.handle is not None:
        sign_off(world, world.clock.now())


def sign_off(world: World, at: Moment) -> int:
    """End the session that runs; return the sequence number of the event. Raises StoreError."""
    session = world.session
    sequence = _sign(world, SIGNED_OFF, at, {"handle": session.handle, "source": session.source})
    world.session.handle, world.session.source = None, ""
    return sequence


def _sign(world: World, event_type: str, at: Moment, officer: dict[str, str | None]) -> int:
    data = {"clock": at.as_data(), "officer": officer}
    return world.outbox.append(lambda position: world.writer.station(position, event_type, at.time, data))


def _vouch(world: World, vouching: Profile, served: Profile, front: Front, card: Examined) -> bool:
    """Ask why, and record it under the officer's own card; more than the day's number is refused.

    Returns:
        Whether there was a reason, and something was recorded.
    """
    labels = [Label(one.word, one.th, one.en) for one in vouching.choices.offered().values()]
    reason = front.ask(labels)
    if reason is None or card.digest is None or vouching.vouch is None:
        return False
    done = _done_today(world, card.digest)
    is_capped = done >= vouching.vouch.per_officer_day
    own = replace(card, checks={name: card.checks[name] for name in _CARD_CHECKS})
    visit = Visit(vouching, own, choice=reason, officer=card.officer)
    checks = visit.checks | ({"cap": Check(Result.FAIL, why="cap_reached")} if is_capped else {})
    decision = decide((*visit.required, *(["cap"] if is_capped else [])), checks, False)
    data: dict[str, Any] = {
        "service": {"id": vouching.id, "version": vouching.version, "sha256": vouching.sha256},
        "level": Level.L1.value,
        "verdict": decision.verdict.value,
        "checks": {name: check.as_data() for name, check in checks.items()},
        "choice": reason,
        "vouched_for": served.id,
        "officer": card.officer,
        "clock": card.at.as_data(),
        "card": {"inserted_ms": 0, "apdus": card.record.apdus if card.record else 0},
    }

    def event(position: Position) -> str:
        return world.writer.visit(position, vouching.event_type, card.at.time, data, visit.secret())

    count = done if is_capped else done + 1
    memory = Attendance(card.digest + _VOUCHES, f"vouches:{count}", None, card.at)
    sequence = world.outbox.append(event, memory)
    is_done = decision.verdict is Verdict.ACCEPTED
    state = State.VOUCHED if is_done else State.CAP_REACHED
    world.panel.show(Screen(state, at=card.at.time, reference=str(sequence)))
    return True


def _done_today(world: World, digest: bytes) -> int:
    """Return how many the officer vouched for today, by what the station remembers of the day."""
    memory = world.outbox.last_visit(digest + _VOUCHES)
    return int(memory.outcome.partition(":")[2]) if memory else 0
