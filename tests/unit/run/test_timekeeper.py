"""Clock jumps and the floor on a real outbox, with real signatures and the agency's own look at each event.

The machine's clock is played: T-60 (boot in 1970), T-61 (three days back, ten years on), T-65.
"""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agency.clock import thai_day
from appliance.errors import OutboxFull
from appliance.events.cloud_event import Origin
from appliance.events.receipt import Receipt
from appliance.events.roster import SignedRoster
from appliance.events.schema import EVENT
from appliance.events.sign import Signer
from appliance.events.writer import EventWriter
from appliance.hardware.clock import THAI_TIME
from appliance.hardware.steady_clock import SteadyClock
from appliance.outbox.delivery import Delivery
from appliance.panel.screens import State
from appliance.ports import Moment, World
from appliance.run.timekeeper import CLOCK_JUMPED, Floor, Timekeeper, released
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.stage import Stage, signed_roster
from tests.unit.hardware.test_steady_clock import Played

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=THAI_TIME)
EPOCH = datetime(1970, 1, 1, 7, 0, tzinfo=THAI_TIME)


class Kept(Stage):
    """A stage whose world has the station's own clock, over a machine's clock that is played."""

    machine: Played
    steady: SteadyClock
    keeper: Timekeeper

    def switch_on(self, at: datetime = NOW, quality: str = "synchronised") -> None:
        """Start the station's process, on a machine that says so."""
        self.machine = Played()
        self.machine.is_set(at, quality)
        self.begin()

    def begin(self) -> None:
        self.steady = SteadyClock(self.machine, Floor(self.outbox))
        self.keeper = Timekeeper(self.steady, self.outbox, self.writer())

    def writer(self) -> EventWriter:
        return EventWriter(
            Origin("obec", "bkk-001", "0.1.0"), self.signer, self.world_without_clock().writer.recipients
        )

    def world_without_clock(self) -> World:
        return super().world()

    def world(self) -> World:
        world = super().world()
        return World(world.reader, world.panel, self.steady, self.outbox, world.writer, world.roster)

    def come(self, serial: int = 1) -> State:
        """Somebody puts a card in; the loop looks at the clock before and after."""
        self.keeper.look()
        screen = self.visit(ThaiCard(person(serial)))
        self.keeper.look()
        return screen.state

    def jump_for_ever(self) -> None:
        while True:
            self.machine.is_set(self.machine.at.time + timedelta(hours=1))
            self.keeper.look()

    def times(self) -> list[datetime]:
        return [datetime.fromisoformat(event["time"]) for event in self.events()]

    def jumps(self) -> list[dict[str, object]]:
        return [event["data"]["jump"] for event in self.events() if event["type"] == CLOCK_JUMPED]

    def check(self) -> None:
        """Every event fits the schema, the chain holds, and the agency can read every time."""
        assert self.problems() == []
        for event, time in zip(self.events(), self.times(), strict=True):
            EVENT.check(event)
            assert thai_day(time)
            assert time >= released()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    of_any_time = SignedRoster(signed_roster().roster, NOW - timedelta(days=999), NOW + timedelta(days=9999))
    return Kept(tmp_path, roster=of_any_time)


def test_a_clock_that_only_goes_on_signs_nothing(kept: Kept) -> None:
    kept.switch_on()
    for _ in range(50):
        kept.machine.passes(hours=1)
        kept.keeper.look()
    assert kept.rows() == []


def test_a_boot_in_1970_takes_cards_in_order_and_says_that_it_does_not_know_the_time(kept: Kept) -> None:
    kept.switch_on(EPOCH, "unsure")
    for serial in (1, 2, 3):
        kept.machine.passes(seconds=20)
        kept.come(serial)
    assert kept.times() == [released()] * 3
    assert {event["data"]["clock"]["quality"] for event in kept.events()} == {"unsure"}
    monotonic = [event["data"]["clock"]["monotonic_s"] for event in kept.events()]
    assert monotonic == sorted(monotonic)
    kept.check()


def test_when_the_time_comes_after_such_a_boot_it_is_an_event_and_the_next_card_has_it(kept: Kept) -> None:
    kept.switch_on(EPOCH, "unsure")
    kept.keeper.look()
    kept.machine.passes(seconds=40)
    kept.machine.is_set(NOW)
    kept.come()
    jumped, visit = kept.events()
    assert jumped["type"] == CLOCK_JUMPED
    assert jumped["data"]["jump"]["from"] == "1970-01-01T07:00:40.000+07:00"
    assert jumped["data"]["clock"]["quality"] == "synchronised"
    assert visit["data"]["clock"]["quality"] == "synchronised"
    assert kept.times() == [NOW, NOW]
    kept.check()


def test_three_days_back_by_hand_keep_the_floor_and_are_an_event(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    kept.machine.passes(minutes=10)
    kept.machine.is_set(NOW - timedelta(days=3), "unsure")
    kept.come(2)
    assert kept.times() == [NOW] * 3
    assert [event["data"]["clock"]["quality"] for event in kept.events()] == ["synchronised", "unsure", "unsure"]
    (jump,) = kept.jumps()
    assert jump["seconds"] == -(3 * 86_400 + 600)
    kept.machine.is_set(NOW + timedelta(minutes=20))
    kept.come(3)
    assert len(kept.jumps()) == 2
    assert kept.times()[-1] == NOW + timedelta(minutes=20)
    kept.check()


def test_ten_years_on_are_an_event_and_the_way_back_is_one_before_any_earlier_time(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    future = NOW + timedelta(days=3650)
    kept.machine.is_set(future, "unsure")
    kept.come(2)
    kept.machine.passes(minutes=1)
    kept.machine.is_set(NOW + timedelta(minutes=2))
    assert kept.steady.now().time == future  # not yet signed
    kept.come(3)
    types = [event["type"] == CLOCK_JUMPED for event in kept.events()]
    assert types == [False, True, False, True, False]
    back = NOW + timedelta(minutes=2)
    assert kept.times() == [NOW, future, future, future, back]
    assert kept.jumps()[1]["to"] == back.isoformat(timespec="milliseconds")
    kept.check()


def test_a_wrong_future_is_left_after_a_restart_too(kept: Kept) -> None:
    kept.switch_on(NOW + timedelta(days=3650))
    kept.come(1)
    kept.switch_on(NOW)
    kept.machine.at = Moment(NOW, "synchronised", 0, "c" * 36, 9.0, 1.0)
    kept.come(2)
    (jump,) = kept.jumps()
    assert jump["seconds"] == -3650 * 86_400
    assert kept.times()[-1] == NOW
    kept.check()


def test_a_wrong_future_is_not_left_by_a_clock_that_cannot_be_trusted(kept: Kept) -> None:
    future = NOW + timedelta(days=3650)
    kept.switch_on(future)
    kept.come(1)
    kept.machine.is_set(NOW, "unsure")
    kept.come(2)
    assert kept.times() == [future] * 3
    kept.begin()
    kept.come(3)
    assert kept.times() == [future] * 4
    kept.machine.is_set(NOW, "synchronised")  # now a time server agrees, and nothing else changed
    kept.come(3)
    assert kept.jumps()[-1]["to"] == NOW.isoformat(timespec="milliseconds")
    kept.check()


def test_a_clock_that_was_set_while_the_process_was_down_is_noticed(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    kept.machine.passes(minutes=5)
    kept.machine.is_set(NOW + timedelta(hours=5))
    kept.begin()
    kept.keeper.look()
    (jump,) = kept.jumps()
    assert jump["seconds"] == 5 * 3600 - 300


def test_a_jump_that_could_not_be_stored_is_signed_later(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    kept.machine.is_set(NOW + timedelta(hours=5))
    (pages,) = kept.outbox._db.execute("PRAGMA page_count").fetchone()
    kept.outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxFull):
        kept.jump_for_ever()
    before = len(kept.jumps())
    kept.outbox._db.execute("PRAGMA max_page_count = 100000")
    kept.keeper.look()
    assert len(kept.jumps()) == before + 1
    kept.check()


def test_a_clock_that_was_set_makes_no_person_come_twice_and_no_duration_negative(kept: Kept) -> None:
    kept.switch_on()
    assert kept.come(1) is State.ACCEPTED
    for hours in (-5, 9, -1):
        kept.machine.passes(seconds=20)
        kept.machine.is_set(kept.machine.at.time + timedelta(hours=hours), "synchronised")
        assert kept.come(1) is State.ALREADY_RECORDED
    visits = [event for event in kept.events() if event["type"] != CLOCK_JUMPED]
    assert len(visits) == 1
    assert len(kept.jumps()) == 3
    assert all(event["data"]["card"]["inserted_ms"] >= 0 for event in visits)


def test_midnight_back_and_forth_makes_no_person_come_twice(kept: Kept) -> None:
    before = datetime(2026, 11, 25, 23, 59, 50, tzinfo=THAI_TIME)
    kept.switch_on(before)
    kept.outbox.day_salt("2026-11-26")  # somebody's card was read after midnight, and the power went before the event
    assert kept.come(1) is State.ACCEPTED
    for minutes in (15, -15, 15, -15, 15):
        kept.machine.passes(seconds=5)
        kept.machine.is_set(kept.machine.at.time + timedelta(minutes=minutes))
        assert kept.come(1) is State.ALREADY_RECORDED
    kept.check()


def test_an_event_that_was_erased_since_leaves_the_floor_of_its_receipt(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    committed = NOW + timedelta(minutes=1)
    (row,) = kept.rows()
    receipt = Receipt("bkk-001", 1, row.chain, 1, row.hash, committed.isoformat())
    delivery = Delivery.open(kept.folder / "station.db")
    assert delivery.take_receipt(receipt, receipt.sign(Signer.generate()), committed.isoformat())
    delivery.close()
    assert kept.outbox.sweep(committed + timedelta(days=8), 7, 365) == 1
    assert kept.steady.now().time == NOW
    kept.machine.is_set(EPOCH, "unsure")
    assert kept.steady.now().time == NOW  # this process still knows
    kept.begin()
    assert kept.steady.now().time == committed
    kept.come(2)
    assert datetime.fromisoformat(kept.rows()[-1].time) == committed


def test_the_floor_is_that_of_the_chain_that_is_written(kept: Kept) -> None:
    kept.switch_on()
    kept.come(1)
    kept.machine.is_set(NOW - timedelta(hours=1), "unsure")
    assert kept.steady.now().time == NOW
    kept.outbox._db.execute("UPDATE event SET time = ?", ((NOW - timedelta(hours=2)).isoformat(),))
    kept.outbox._db.execute("UPDATE chain SET id = '01M83BXH2R7R0A5EVXPK4651AQ'")
    assert kept.steady.now().time == NOW - timedelta(hours=1)


@pytest.mark.parametrize("column", ["time", "jws"])
@pytest.mark.parametrize("garbage", ["", "x", "e30.e30.e30", "9999-99-99", "a.bnVsbA.c", "2026-11-25T08:00:00"])
@pytest.mark.parametrize("is_jump", [True, False])
def test_a_garbled_row_neither_stops_the_station_nor_moves_its_floor_below_the_release(
    kept: Kept, column: str, garbage: str, is_jump: bool
) -> None:
    kept.switch_on()
    kept.come(1)
    if is_jump:
        kept.machine.is_set(NOW + timedelta(days=1))
        kept.keeper.look()
    kept.outbox._db.execute(f"UPDATE event SET {column} = ?", (garbage,))  # noqa: S608
    kept.begin()
    kept.machine.is_set(EPOCH, "unsure")
    assert kept.steady.now().time >= released()
    kept.machine.is_set(NOW + timedelta(days=2))
    assert kept.come(2) is State.ACCEPTED


@pytest.mark.parametrize("midnight", ["2026-12-31T23:58:00", "2028-02-28T23:58:00", "2028-02-29T23:58:00"])
def test_the_day_of_attendance_begins_at_midnight_in_thailand(kept: Kept, midnight: str) -> None:
    kept.switch_on(datetime.fromisoformat(midnight).replace(tzinfo=THAI_TIME))
    choices = []
    for minutes in (0, 5, 5, 7 * 60 - 20, 20):  # the third and the fourth before, the fifth after midnight in Greenwich
        kept.machine.passes(minutes=minutes)
        kept.come(1)
        choices.append(kept.events()[-1]["data"]["choice"])
    assert choices == ["in", "in", "out", "in", "out"]
    days = [thai_day(time) for time in kept.times()]
    assert len(set(days)) == 2
    assert days == [days[0], *[days[-1]] * 4]
    kept.check()


def test_who_was_remembered_over_a_clock_that_went_back_begins_the_new_day_with_in(kept: Kept) -> None:
    kept.switch_on()
    kept.outbox.day_salt("2026-11-26")
    kept.come(1)
    kept.machine.passes(days=1)
    kept.come(1)
    assert [event["data"]["choice"] for event in kept.events()] == ["in", "in"]


def test_a_jump_shows_nothing_of_anybody(kept: Kept) -> None:
    kept.switch_on()
    kept.keeper.look()
    kept.machine.is_set(NOW + timedelta(days=1))
    kept.keeper.look()
    (event,) = kept.events()
    assert set(event["data"]) == {"clock", "jump", "station"}
