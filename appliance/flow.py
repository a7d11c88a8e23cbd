"""READ ME FIRST: one person's visit, from the card going in to the card coming out.

    insert -> connect -> select -> read only the bytes the service may read -> check -> ask (buttons)
    -> ask the agency, where the service wants its word -> decide
    -> record (seal, sign, chain, commit with fsync) -> show and sound -> remove

``serve`` is that line, and the only place that knows its order. The beep means *stored*, never merely *read*: the
screen of a verdict is shown after the event is on the disk, and carries its sequence number. A crash before the
commit leaves nothing, and the card can go in again; a crash after it leaves the event, and the card going in again
is "already recorded".

An officer's own card opens the officer's page instead (``officers.py``): an officer is never the subject.

Two errors pass through: ``ReaderUnavailable`` (there is no reader; try again) and ``StoreError`` (nothing can be
made durable; take no more cards).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from appliance import officers
from appliance.checks import duplicate
from appliance.checks.duplicate import Stamp
from appliance.checks.online import unanswered
from appliance.checks.verdict import Decision, Level, Verdict, decide
from appliance.events.chain import Position
from appliance.front import Front
from appliance.inquiry import Corrigible
from appliance.panel.screens import Label, Screen, State
from appliance.ports import Attendance, Moment, World
from appliance.services.profile import Profile
from appliance.services.vocabulary import Default, OnTimeout
from appliance.visit import Visit, examine


def serve(world: World, profile: Profile, keep_waiting: Callable[[], bool]) -> None:
    """Serve one person.

    Args:
        world: the joints.
        profile: the active service.
        keep_waiting: asked several times a second while no card is in or a card stays in; False ends the wait.

    Raises:
        ReaderUnavailable: there is no reader.
        StoreError: the visit could not be recorded, and nothing was shown as recorded.
    """
    front = Front(world, profile, keep_waiting)
    insertion = front.wait_for_card()  # insert
    if insertion is None:
        return
    front.show(State.READING)
    card = examine(world, profile, insertion, False, front.look_while_reading)  # connect, select, read, check
    at_work = officers.at_work(world, card.at)
    if card.officer is not None and officers.attend(world, profile, front, card):
        return
    visit = Visit(profile, card, earlier=_earlier(world, profile, card.digest), officer=at_work)
    front.look_while_reading(None)
    screen = _seen_before(visit, front.chosen)
    if screen is None:
        answered = _ask(front, visit)  # ask
        if answered is None:
            return
        answered = _inquire(front, answered)  # the agency, where the service wants its word
        decision = decide(answered.required, answered.checks, answered.is_cancelled)  # decide
        screen = _record(world, answered, decision)  # record: seal, sign, chain, commit with fsync
    world.panel.show(screen)  # show and sound
    front.wait_for_removal()  # remove


def _earlier(world: World, profile: Profile, digest: bytes | None) -> Attendance | None:
    return world.outbox.last_visit(_remembered_as(profile, digest)) if digest else None


def _remembered_as(profile: Profile, digest: bytes) -> bytes:
    """Return under what a visit is remembered: what one service recorded, another one did not."""
    return digest + profile.id.encode()


def _ask(front: Front, visit: Visit) -> Visit | None:
    """Return the visit with what the person answered, and with the second card; None where the wait was ended."""
    profile, offered = visit.profile, visit.profile.choices.offered()
    decision = decide(visit.required, visit.checks, False)
    is_over = decision.verdict is Verdict.REFUSED or visit.first.digest is None
    choice = front.chosen or _next_choice(visit)
    if not is_over and offered and choice is None and profile.choices.default is Default.ASK:
        choice = front.choose()
        if front.is_ended:
            return None
        if choice is None:
            return replace(visit, is_cancelled=True)
    visit = replace(visit, choice=None if is_over else choice)
    second = profile.second
    if second is None or is_over or visit.choice in second.unless:
        return visit
    insertion = front.change_cards(second.role.value)
    if front.is_ended:
        return None
    if insertion is None:
        return replace(visit, is_cancelled=True)
    card = examine(front.world, profile, insertion, True, front.look_while_reading)
    return replace(visit, second=card)


def _inquire(front: Front, visit: Visit) -> Visit:
    """Return the visit with the agency's answer; not asked of a visit that is over without it. Raises StoreError."""
    profile, others = visit.profile, decide(_without_answer(visit), visit.checks, visit.is_cancelled)
    if profile.online is None or others.verdict in (Verdict.REFUSED, Verdict.CANCELLED) or not visit.about():
        return visit
    is_write = profile.online.on_timeout is OnTimeout.OUTCOME_UNKNOWN
    if is_write and others.verdict is not Verdict.ACCEPTED:
        return visit  # nothing is written for a visit that cannot be accepted
    inquiry, now = front.world.inquiry, front.world.clock.now()
    query = inquiry.ask(profile, visit.choice, visit.about(), now) if inquiry else None
    if inquiry is None or query is None:
        return replace(visit, online=unanswered("offline", is_write))
    return replace(visit, online=front.await_answer(inquiry), query=query)


def _without_answer(visit: Visit) -> list[str]:
    return [name for name in visit.required if name != "online"]


def _seen_before(visit: Visit, asked: str | None) -> Screen | None:
    """Return what a card shows that was only put in again and ends as it did before; None for a visit to record.

    An accepted visit shows when it was recorded, another one its verdict once more (docs/adr/0009).
    """
    earlier, decision = visit.earlier, decide(_without_answer(visit), visit.checks, False)
    if earlier is None or not _is_same_visit(visit, asked):
        return None
    if earlier.outcome == UNKNOWN_OUTCOME and decision.verdict is Verdict.ACCEPTED:
        decision = Decision(Verdict.OUTCOME_UNKNOWN, decision.level, "online")  # asked once; the agency finds out
    if earlier.outcome != decision.outcome:
        return None
    if decision.verdict is Verdict.ACCEPTED:
        labels = _labels(visit.profile)
        when, number = earlier.at.time, str(earlier.sequence)
        return Screen(State.ALREADY_RECORDED, when, earlier.choice, reference=number, labels=labels)
    return replace(_screen(visit, decision, None, earlier.sequence), is_repeated=True)


def _is_same_visit(visit: Visit, asked: str | None) -> bool:
    """Say whether the card was only put in again; a press for another choice makes it another visit."""
    earlier, window_s = visit.earlier, visit.profile.checks.duplicate_window_s
    if earlier is None or (asked is not None and asked != earlier.choice):
        return False
    return window_s > 0 and duplicate.is_again(_stamp(earlier.at), _stamp(visit.at), window_s)


def _next_choice(visit: Visit) -> str | None:
    """Return the choice that nobody made: the first in the morning, then in turn; the same for the same visit."""
    offered, earlier = [choice.word for choice in visit.profile.choices.offered().values()], visit.earlier
    if visit.profile.choices.default is not Default.ALTERNATE:
        return None
    if earlier is None or earlier.choice not in offered:
        return offered[0]
    if _is_same_visit(visit, None):
        return earlier.choice
    is_new_day = earlier.at.time.date() != visit.at.time.date()  # remembered over a clock that went back
    return offered[0] if is_new_day else offered[(offered.index(earlier.choice) + 1) % len(offered)]


def _record(world: World, visit: Visit, decision: Decision) -> Screen:
    """Make the visit durable and return what it shows. Raises StoreError."""
    is_without = decision.verdict in (Verdict.REFUSED, Verdict.CANCELLED) or visit.first.digest is None
    choice = None if is_without else visit.choice
    subject = _remembered_as(visit.profile, visit.digest) if visit.digest else None
    turn = visit.earlier.choice if choice is None and visit.earlier else choice  # in and out go on after a refusal
    memory = Attendance(subject, decision.outcome, turn, visit.at) if subject else None
    places: list[Position] = []

    def build(position: Position) -> str:
        places.append(position)
        said = visit.choice if visit.query is not None else choice  # what was asked by it stands, whatever was answered
        return _event(world, visit, decision, said, position)

    sequence = world.outbox.append(build, memory)
    if world.inquiry is not None and visit.query is not None:
        world.inquiry.recorded(Corrigible(places[-1], visit.required, visit.checks))
    if visit.officer is not None and decision.verdict is Verdict.ACCEPTED:  # which is the officer's doing
        world.session.seen_s = visit.at.monotonic_s
    return _screen(visit, decision, choice, sequence)


def _event(world: World, visit: Visit, decision: Decision, choice: str | None, position: Position) -> str:
    profile, first = visit.profile, visit.first
    cards = [card.record for card in (visit.first, visit.second) if card is not None]
    data: dict[str, Any] = {
        "service": {"id": profile.id, "version": profile.version, "sha256": profile.sha256},
        "level": decision.level.value,
        "verdict": decision.verdict.value,
        "checks": {name: check.as_data() for name, check in visit.checks.items()},
        "choice": choice,
        **({"query": visit.query} if visit.query else {}),
        "officer": visit.officer if profile.approve else None,
        "clock": visit.at.as_data(),
        "card": {
            "inserted_ms": max(round((first.at.monotonic_s - first.insertion.at_monotonic_s) * 1000), 0),
            "apdus": sum(record.apdus for record in cards if record),
        },
    }
    return world.writer.visit(position, profile.event_type, visit.at.time, data, visit.secret())


UNKNOWN_OUTCOME = Decision(Verdict.OUTCOME_UNKNOWN, Level.L1, "online").outcome

_CAUSES = {
    "applet": State.NOT_A_THAI_CARD,
    "checksum": State.BAD_NUMBER,
    "dates": State.DATA_DISAGREE,
    "consistency": State.DATA_DISAGREE,
    "expiry": State.EXPIRED,
    "age": State.CONDITIONS_NOT_MET,
    "sex": State.CONDITIONS_NOT_MET,
    "number_kind": State.CONDITIONS_NOT_MET,
    "roster": State.NOT_ON_ROSTER,
    "denylist": State.ON_DENYLIST,
    "two_persons": State.SAME_PERSON,
    "online": State.REGISTRY_NOT_NORMAL,
}
_BY_LEVEL = {"L1": State.RECORDED, "L2": State.ACCEPTED, "L3": State.REGISTRY_NORMAL}


def _screen(visit: Visit, decision: Decision, choice: str | None, sequence: int) -> Screen:
    match decision.verdict:
        case Verdict.REFUSED:
            state = _CAUSES[decision.cause]
        case Verdict.CANCELLED:
            state = State.CANCELLED
        case Verdict.OUTCOME_UNKNOWN:
            state = State.OUTCOME_UNKNOWN
        case Verdict.COULD_NOT_CHECK:
            is_read = visit.error is None and decision.level is not Level.L0
            state = State.COULD_NOT_CHECK if is_read else State.UNREADABLE
        case Verdict.ACCEPTED:
            state = _BY_LEVEL[decision.level.value]
    checks = visit.checks
    return Screen(
        state=state,
        at=visit.at.time,
        choice=choice if decision.verdict is Verdict.ACCEPTED else None,
        as_of=checks["roster"].as_of if "roster" in checks else None,
        reference=str(sequence),
        code=visit.error.code if visit.error else "",
        labels=_labels(visit.profile),
    )


def _labels(profile: Profile) -> tuple[Label, ...]:
    return tuple(Label(one.word, one.th, one.en) for one in profile.choices.offered().values())


def _stamp(moment: Moment) -> Stamp:
    return Stamp(moment.time.timestamp(), moment.boot, moment.monotonic_s)
