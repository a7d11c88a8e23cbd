"""The station's loop on a real outbox, a real panel thread and real signals; only the reader is in memory.

``Person`` is who stands before it: a reader that plays what happens, step by step, and at the end sends SIGTERM.
"""

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.errors import CardServiceDown, NoReader, OutboxFull, OutboxUnavailable, ReaderUnavailable, SigningError
from appliance.events.sign import MessageType, Signer
from appliance.hardware.steady_clock import SteadyClock
from appliance.outbox.reserve import Reserve
from appliance.outbox.store import Outbox
from appliance.panel.screens import Screen, State
from appliance.panel.words import Light, Tone
from appliance.ports import Insertion, Tell, silence
from appliance.run import station as subject
from appliance.run.documents import ServiceSource
from appliance.run.notify import SystemdNotifier
from appliance.run.panel import PanelThread
from appliance.run.slot_reader import SlotReader
from appliance.run.station import RETRY_S, SAY_EVERY_S, Station
from appliance.run.stop import StopSignal
from appliance.run.timekeeper import Floor, Timekeeper
from appliance.run.wiring import Parts
from appliance.simulate.card import ThaiCard, VirtualCard
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot
from tests.flow.stage import ATTENDANCE, Stage

Act = Callable[[], None]
Step = Act | Exception | VirtualCard


@dataclass
class Person:
    """A ``ports.CardReader``: each wait plays the next step; after the last one the station is told to stop.

    Args:
        steps: an error that the reader meets, a card that is put in, or something that happens meanwhile.
    """

    steps: list[Step]
    waits: int = 0
    slot: InMemorySlot = field(default_factory=InMemorySlot)
    allowed: list[Field] = field(default_factory=list)

    def wait_card(self, timeout_s: float) -> Insertion | None:
        self.waits += 1
        if not self.steps:
            os.kill(os.getpid(), signal.SIGTERM)
            return None
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step()
        else:
            self.slot.insert(step)
        return self.slot.wait_card(0)

    def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
        return SlotReader(self.slot, list(Field)).read(fields, tell)

    def wait_removed(self, timeout_s: float) -> bool:
        self.slot.remove()
        return self.slot.wait_removed(0)

    def allow(self, may_read: Collection[Field]) -> None:
        self.allowed = list(may_read)

    def close(self) -> None:
        self.slot.remove()


class CountedOutbox(Outbox):
    """The real outbox, keeping what was said to it."""

    def say(self, state: dict[str, Any]) -> None:
        super().say(state)
        self.__dict__.setdefault("told", []).append(state)


@dataclass
class Bench:
    """A station that is ready to run."""

    stage: Stage
    waited_s: list[float] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    timekeeper: Timekeeper | None = None

    def run(self, *steps: Step) -> Person:
        """Run the station until ``steps`` are played; return who played them."""
        who, stop = Person(list(steps)), StopSignal()
        panel = PanelThread(None, None, lambda: datetime.now(UTC), on_show=self._on_show)
        world = self.stage.world()
        world = type(world)(who, panel, world.clock, self.stage.outbox, world.writer, world.roster)
        services = ServiceSource(ATTENDANCE.id, self.stage.outbox, lambda: self.stage.keys, "bkk-001")
        parts = Parts(world, services, self.stage.outbox, panel, who, timekeeper=self.timekeeper)  # type: ignore[arg-type]
        Station(parts, stop).run()
        assert stop.is_set
        panel.close()
        return who

    def give_up_after(self, waits: int) -> None:
        """Stop the station at the ``waits``-th pause."""

        def give_up(wait_s: float, stop: object, notifier: object) -> None:
            self.waited_s.append(wait_s)
            if len(self.waited_s) == waits:
                os.kill(os.getpid(), signal.SIGTERM)

        subject._sleep = give_up

    def _on_show(self, screen: Screen, light: Light, tone: Tone) -> None:
        self.screens.append(screen)

    @property
    def states(self) -> list[State]:
        return [screen.state for screen in self.screens]

    @property
    def said(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stage.outbox.__dict__.get("told", [])
        return found

    def database(self, statement: str) -> Act:
        """Return what changes the database from outside, as a failing disk would."""

        def change() -> None:
            other = sqlite3.connect(self.stage.folder / "station.db")
            other.execute(statement)
            other.commit()
            other.close()

        return change


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    made = Bench(Stage(tmp_path))
    made.stage.outbox.close()
    made.stage.outbox = CountedOutbox.open(tmp_path / "station.db")

    def note(wait_s: float, stop: object, notifier: object) -> None:
        made.waited_s.append(wait_s)

    monkeypatch.setattr(subject, "_sleep", note)
    yield made
    made.stage.outbox.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def card(serial: int = 1) -> ThaiCard:
    return ThaiCard(person(serial))


@pytest.mark.parametrize(("error", "code"), [(NoReader("x"), "R01"), (CardServiceDown("x"), "R02")])
def test_a_missing_reader_is_shown_with_its_code_and_tried_again(
    bench: Bench, error: ReaderUnavailable, code: str
) -> None:
    bench.run(error, error, lambda: None, card())
    assert bench.states == [State.NO_READER, State.IDLE, State.READING, State.ACCEPTED, State.IDLE]
    assert bench.screens[0].code == code


def test_a_reader_that_stays_away_is_tried_ever_more_slowly(bench: Bench) -> None:
    bench.run(*(NoReader("x") for _ in range(len(RETRY_S) + 3)))
    assert bench.waited_s == [*RETRY_S, *[RETRY_S[-1]] * 3]


def test_after_a_visit_the_first_wait_is_short_again(bench: Bench) -> None:
    bench.run(NoReader("x"), NoReader("x"), card(), NoReader("x"))
    assert bench.waited_s == [RETRY_S[0], RETRY_S[1], RETRY_S[0]]


def test_after_an_idle_time_with_a_reader_the_first_wait_is_short_again(bench: Bench) -> None:
    bench.run(*(NoReader("x") for _ in range(4)), *(lambda: None,) * 50, NoReader("x"))
    assert bench.waited_s[-1] == RETRY_S[0]


def test_a_reader_that_goes_after_the_verdict_takes_nothing_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(who: Person, timeout_s: float) -> bool:
        raise NoReader("x")

    monkeypatch.setattr(Person, "wait_removed", leave)
    bench.run(card())
    assert bench.states == [State.READING, State.ACCEPTED, State.NO_READER, State.IDLE]
    assert len(bench.stage.rows()) == 1


def test_the_signal_ends_it_between_two_people_and_not_within_one(bench: Bench) -> None:
    class Told(ThaiCard):
        def answer(self, command: bytes) -> bytes | None:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().answer(command)

    who = bench.run(Told(person(1)), card(2))
    assert len(bench.stage.rows()) == 1, "who was served is recorded"
    assert bench.states[-1] is State.ACCEPTED
    assert len(who.steps) == 1, "and nobody after"


def test_sigint_ends_it_too(bench: Bench) -> None:
    who = bench.run(lambda: os.kill(os.getpid(), signal.SIGINT), card())
    assert (who.waits, len(who.steps), bench.states) == (1, 1, [State.IDLE])


def test_a_database_that_fails_takes_no_card_until_it_takes_a_commit_again(bench: Bench) -> None:
    mended: list[int] = []

    def mend_after_three(wait_s: float, stop: object, notifier: object) -> None:
        bench.waited_s.append(wait_s)
        if len(bench.waited_s) == 3:
            bench.database("ALTER TABLE hidden RENAME TO station")()
            mended.append(len(bench.screens))

    subject._sleep = mend_after_three
    bench.database("ALTER TABLE station RENAME TO hidden")()
    who = bench.run(lambda: None, card())
    assert bench.states == [State.CANNOT_STORE, State.IDLE, State.READING, State.ACCEPTED, State.IDLE]
    assert bench.screens[0].code == OutboxUnavailable.code
    assert bench.waited_s == [RETRY_S[-1]] * 3
    assert mended == [1]
    assert who.waits == 3, "no card was taken before"


def test_an_event_that_cannot_be_stored_is_never_shown_as_stored(bench: Bench) -> None:
    def mend(wait_s: float, stop: object, notifier: object) -> None:
        bench.database("ALTER TABLE hidden RENAME TO event")()

    subject._sleep = mend
    bench.run(bench.database("ALTER TABLE event RENAME TO hidden"), card())
    assert bench.states == [State.IDLE, State.READING, State.CANNOT_STORE, State.IDLE]
    assert bench.stage.rows() == []
    bench.run(card())
    assert bench.states[-2:] == [State.ACCEPTED, State.IDLE]
    assert [screen.reference for screen in bench.screens if screen.reference] == ["1"]
    assert bench.stage.problems() == []


def fill(bench: Bench) -> None:
    """Let the file grow no more, and leave no room in it for another event, at a station that has its reserve."""
    Reserve(bench.stage.folder).keep()
    database = bench.stage.outbox._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    writer, at = bench.stage.world().writer, bench.stage.clock.now()
    data = {"clock": at.as_data(), "key": bench.stage.signer.kid}
    with suppress(OutboxFull):
        for _ in range(100):
            bench.stage.outbox.append(lambda place: writer.station(place, "station.enrolled.v1", at.time, data))
    with pytest.raises(OutboxFull):
        bench.stage.outbox.probe()


class Unsigning(Signer):
    """A key that stopped working."""

    def __init__(self) -> None:
        super().__init__(Signer.generate().private())

    def sign(self, payload: dict[str, Any], message: MessageType) -> str:
        raise SigningError("the chip does not answer")


def test_a_full_outbox_is_said_with_its_own_code(bench: Bench) -> None:
    fill(bench)
    bench.give_up_after(1)
    before = len(bench.stage.rows())
    bench.run(card())
    shown = next(screen for screen in bench.screens if screen.state is State.CANNOT_STORE)
    assert shown.code == "S01"
    *earlier, last = bench.stage.rows()
    assert len(earlier) == before
    assert last.type == "station.storage_full.v1"
    assert bench.stage.problems() == []


def test_that_it_is_full_is_one_event_however_often_it_is_tried_and_started(bench: Bench) -> None:
    fill(bench)
    bench.give_up_after(3)
    bench.run(card())
    bench.waited_s.clear()
    bench.run(card())
    (event,) = [event for event in bench.stage.events() if event["type"] == "station.storage_full.v1"]
    assert event["data"]["storage"]["short_of"] == "limit"
    assert event["data"]["storage"]["used_bytes"] > 0
    assert not (bench.stage.folder / "reserve").exists(), "its room was given back"


def test_a_full_outbox_asks_for_no_more_cards(bench: Bench) -> None:
    bench.stage.outbox.say({"state": "ready"})
    fill(bench)
    bench.give_up_after(3)
    bench.run(card(1), card(2), card(3))
    assert bench.states == [State.READING, State.CANNOT_STORE]
    assert len(bench.waited_s) == 3


def test_room_that_came_back_opens_the_station_again(bench: Bench) -> None:
    fill(bench)

    def make_room(wait_s: float, stop: object, notifier: object) -> None:
        bench.stage.outbox._db.execute("PRAGMA max_page_count = 100000")

    subject._sleep = make_room
    bench.run(card(1), card(2))
    assert bench.states == [State.READING, State.CANNOT_STORE, State.READING, State.ACCEPTED, State.IDLE]


def test_the_second_card_that_cannot_be_stored_is_told_so_too(bench: Bench) -> None:
    bench.stage.signer = Unsigning()
    bench.run(card(1), card(2))
    assert bench.states == [State.READING, State.CANNOT_STORE] * 2 + [State.IDLE]


def test_a_database_that_fails_while_the_reader_is_away_is_shown_too(bench: Bench) -> None:
    def mend(wait_s: float, stop: object, notifier: object) -> None:
        bench.waited_s.append(wait_s)
        if len(bench.waited_s) == 1:
            bench.database("ALTER TABLE hidden RENAME TO station")()

    def break_it() -> None:
        bench.database("ALTER TABLE station RENAME TO hidden")()
        raise NoReader("x")

    subject._sleep = mend
    bench.run(break_it)
    assert State.CANNOT_STORE in bench.states


def test_the_state_is_said_on_every_change_and_else_not(bench: Bench) -> None:
    bench.run(*(lambda: None,) * 30, NoReader("x"), *(lambda: None,) * 30, CardServiceDown("x"))
    assert [said["reader"] for said in bench.said] == ["ok", "NoReader", "ok", "CardServiceDown", "ok"]
    assert [said["state"] for said in bench.said] == ["ready", "degraded", "ready", "degraded", "ready"]
    assert SAY_EVERY_S == 60.0


def test_without_a_change_it_is_said_once_a_minute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SAY_EVERY_S", 0.2)
    bench.run(*(lambda: time.sleep(0.025),) * 26)
    assert 3 <= len(bench.said) <= 4
    assert {said["since"] for said in bench.said} == {bench.said[0]["since"]}
    times = [said["monotonic_s"] for said in bench.said]
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(times))


def test_since_says_when_the_state_began_and_not_when_it_was_said(bench: Bench) -> None:
    bench.run(NoReader("x"), lambda: bench.stage.later(hours=1), CardServiceDown("x"), CardServiceDown("x"))
    ready, *_ = bench.said
    degraded = [said for said in bench.said if said["state"] == "degraded"]
    assert datetime.fromisoformat(degraded[-1]["since"]) > datetime.fromisoformat(ready["since"])
    assert bench.stage.outbox.status()["reader"] == "ok"


def test_systemd_hears_ready_alive_and_stopping(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(tmp_path / "notify"))
    ear.setblocking(False)
    monkeypatch.setattr(SystemdNotifier.__init__, "__defaults__", ({"NOTIFY_SOCKET": str(tmp_path / "notify")},))
    bench.run(lambda: None, lambda: None)
    heard = []
    while True:
        try:
            heard.append(ear.recv(200).decode())
        except BlockingIOError:
            break
    ear.close()
    assert heard == ["READY=1\nSTATUS=serving school.attendance", *["WATCHDOG=1"] * 3, "STOPPING=1"]


def test_a_station_that_stops_signs_the_officer_off(bench: Bench) -> None:
    bench.run(card(51))
    assert [event["type"] for event in bench.stage.events()] == ["officer.signed_on.v1", "officer.signed_off.v1"]
    assert bench.states[:2] == [State.READING, State.SIGNED_ON]


def test_an_officer_is_signed_off_while_nobody_is_there(bench: Bench) -> None:
    bench.run(card(51), lambda: bench.stage.later(minutes=16), lambda: None, lambda: None)
    times = [event["time"] for event in bench.stage.events()]
    assert len(times) == 2, "once, and not again at the stop"


def watched(bench: Bench) -> None:
    """Give the station its eye on the clock."""
    stage = bench.stage
    clock = SteadyClock(stage.clock, Floor(stage.outbox))
    bench.timekeeper = Timekeeper(clock, stage.outbox, stage.world().writer)


def set_clock(bench: Bench, **time: float) -> Act:
    def act() -> None:
        bench.stage.clock.jump += timedelta(**time)

    return act


def test_a_clock_that_is_set_while_the_station_waits_is_one_event(bench: Bench) -> None:
    watched(bench)
    bench.run(lambda: None, set_clock(bench, days=3), lambda: None, lambda: None)
    assert [row.type for row in bench.stage.rows()] == ["clock.jumped.v1"]
    assert bench.stage.problems() == []


def test_a_clock_that_is_set_while_a_card_stays_in_is_one_event(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    watched(bench)
    rounds: list[Act] = [lambda: None, set_clock(bench, days=-3), lambda: None]
    gone = Person.wait_removed

    def wait_removed(self: Person, timeout_s: float) -> bool:
        if not rounds:
            return gone(self, timeout_s)
        rounds.pop(0)()
        return False

    monkeypatch.setattr(Person, "wait_removed", wait_removed)
    bench.run(card())
    assert [row.type for row in bench.stage.rows()] == ["school.attendance.v1", "clock.jumped.v1"]


def test_a_jump_that_cannot_be_stored_stops_the_taking_of_cards(bench: Bench) -> None:
    watched(bench)
    fill(bench)
    bench.give_up_after(1)
    bench.run(lambda: None, set_clock(bench, days=3), lambda: None)
    assert State.CANNOT_STORE in bench.states
