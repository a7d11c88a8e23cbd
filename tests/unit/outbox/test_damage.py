"""A damaged state database: found at the start, set aside, and what was in it saved, named and carried on."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import OutboxDamaged, OutboxFull
from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import jws_hash
from appliance.events.cloud_event import Origin
from appliance.events.receipt import Receipt
from appliance.events.sign import EVENT_TYPE, KeySet
from appliance.events.writer import EventWriter
from appliance.hardware.clock import SystemClock
from appliance.outbox import mend
from appliance.outbox.check import check, suspect
from appliance.outbox.database import PAGE_BYTES
from appliance.outbox.delivery import Delivery
from appliance.outbox.salvage import Wreck, salvage
from appliance.outbox.store import Outbox
from appliance.outbox.verify import verify
from appliance.ports import Attendance
from appliance.run.repair import make_sound
from appliance.simulate.clock import SimulatedClock
from tests.unit.outbox.test_retention import COMMITTED, Kept
from tests.unit.outbox.test_store import AT


class Breakable(Kept):
    """A station whose file can be broken, and that starts anew."""

    def __init__(self, folder: Path, events: int = 60) -> None:
        super().__init__(folder, events)
        self.state = folder
        self.before = {row.sequence: row.jws for row in self.outbox.rows()}
        self.chain = self.outbox.head().chain
        self.keys = KeySet([self.signer.public("event")])
        self.agency_keys = AgencyKeys.enrolled([self.agency.public("receipt")])

    def stop(self) -> None:
        self.outbox.close()
        self.delivery.close()

    def smash(self, page: int, count: int = 1) -> None:
        """Overwrite pages, from 1."""
        with self.path.open("r+b") as file:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(os.urandom(PAGE_BYTES * count))

    def flip(self, what: bytes) -> None:
        """Change one bit of a text in the file."""
        content = bytearray(self.path.read_bytes())
        place = content.index(what) + len(what) // 2
        content[place] ^= 1
        self.path.write_bytes(content)

    def flip_with_log(self, sequence: int) -> None:
        """Flip a bit in an event in the file, with three more events in the log, as after a power cut."""
        self.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for _ in range(3):
            self.append()
        self.before = {row.sequence: row.jws for row in self.outbox.rows()}
        kept = {end: Path(f"{self.path}{end}").read_bytes() for end in ("", "-wal")}
        self.stop()
        for end, content in kept.items():
            Path(f"{self.path}{end}").write_bytes(content)
        self.flip(self.before[sequence].encode())

    def start(self) -> None:
        writer = EventWriter(Origin("obec", "bkk-001", "0.1.0"), self.signer, ())
        make_sound(self.state, writer, SystemClock(), self.agency_keys)
        self.outbox = Outbox.open(self.path)
        self.delivery = Delivery.open(self.path)

    def broken(self) -> list[dict[str, Any]]:
        events = [self.keys.verify(row.jws, EVENT_TYPE, "event") for row in self.outbox.rows()]
        assert all(event["type"] == "chain.broken.v1" for event in events)
        return [event["data"]["broken"] for event in events]

    def saved(self) -> dict[int, str]:
        return {place[1]: jws for place, jws in self.delivery.salvaged(("", 0), 10_000) if place[0] == self.chain}

    def is_sound(self) -> bool:
        try:
            check(self.path)
        except OutboxDamaged:
            return False
        return True


@pytest.fixture
def station(tmp_path: Path) -> Breakable:
    return Breakable(tmp_path)


def spread(ranges: list[list[int]]) -> set[int]:
    return {sequence for first, last in ranges for sequence in range(first, last + 1)}


def account(station: Breakable, through: int) -> dict[str, Any]:
    """Every event that no receipt covers was saved as it was, or is named as lost, and none is both."""
    told = station.broken()
    lost = set[int]().union(*(spread(one["lost"]) for one in told))
    saved = station.saved()
    known = told[0]["sequence"] or 0
    assert all(station.before[sequence] == jws for sequence, jws in saved.items())
    assert not lost & saved.keys()
    assert lost | saved.keys() == set(range(through + 1, known + 1))
    assert told[0]["salvaged"] == len(saved)
    return told[0]


def test_a_sound_file_is_left_alone(station: Breakable) -> None:
    station.receive(20)
    station.stop()
    station.start()
    assert len(list(station.outbox.rows())) == 60
    assert not (station.state / "damaged").exists()


def test_broken_pages_cost_what_was_on_them_and_no_more(station: Breakable) -> None:
    station.receive(20)
    station.stop()
    pages = station.path.stat().st_size // PAGE_BYTES
    station.smash(pages - 3)
    assert not station.is_sound()
    station.start()
    told = account(station, 20)
    assert told["chain"] == station.chain
    assert (told["sequence"], told["hash"]) == (60, jws_hash(station.before[60]))
    assert told["receipt"] == {"through": 20, "hash": jws_hash(station.before[20]), "epoch": 1}
    assert 30 <= told["salvaged"] < 40, "a page holds few events"


def test_the_new_chain_is_another_one_by_the_same_key(station: Breakable) -> None:
    station.stop()
    station.smash(2, 3)
    station.start()
    head = station.outbox.head()
    assert (head.chain != station.chain, head.sequence) == (True, 2)
    assert verify(station.outbox.rows(), station.keys, station.signer.kid) == []
    assert station.append() == 2
    assert station.is_sound()


def test_the_new_chain_begins_no_earlier_than_the_old_one_ended(station: Breakable) -> None:
    station.stop()
    station.flip(station.before[30].encode())
    clock = SimulatedClock(SystemClock(), "unsure")
    clock.shift = timedelta(days=-20_000)
    writer = EventWriter(Origin("obec", "bkk-001", "0.1.0"), station.signer, ())
    make_sound(station.state, writer, clock, station.agency_keys)
    with closing(Outbox.open(station.path)) as outbox:
        (row,) = outbox.rows()
    assert datetime.fromisoformat(row.time) >= datetime.fromisoformat("2026-11-23T08:00:00.000+07:00")
    event = station.keys.verify(row.jws, EVENT_TYPE, "event")
    assert event["data"]["clock"]["quality"] == "unsure"


def test_a_lost_first_page_leaves_the_rest(station: Breakable) -> None:
    station.receive(10)
    station.stop()
    station.smash(1)
    station.start()
    told = account(station, 10)
    assert told["chain"] == station.chain, "known by what was signed"
    assert told["sequence"] == 60
    assert told["salvaged"] > 40


def test_of_garbage_nothing_is_known_and_the_station_goes_on(station: Breakable) -> None:
    station.stop()
    station.path.write_bytes(os.urandom(100_000))
    station.start()
    (told,) = station.broken()
    unknown = {"chain": None, "sequence": None, "hash": None, "receipt": None}
    assert told == {**unknown, "lost": [], "salvaged": 0}
    assert station.append() == 2


@pytest.mark.parametrize("content", [b"", b"\0" * 8192])
def test_an_empty_file_is_damage(station: Breakable, content: bytes) -> None:
    station.stop()
    station.path.write_bytes(content)
    assert not station.is_sound()
    station.start()
    assert len(station.broken()) == 1


def test_one_flipped_bit_in_a_waiting_event_costs_that_event(station: Breakable) -> None:
    station.receive(20)
    station.stop()
    station.flip(station.before[33].encode())
    assert not station.is_sound(), "SQLite itself sees nothing wrong"
    station.start()
    told = account(station, 20)
    assert (told["lost"], told["sequence"]) == ([[33, 33]], 60)


def test_a_flipped_bit_in_a_confirmed_event_breaks_nothing(station: Breakable) -> None:
    station.receive(40)
    station.stop()
    station.flip(station.before[33].encode())
    assert station.is_sound()


def changed(station: Breakable, statement: str) -> None:
    station.stop()
    with closing(sqlite3.connect(station.path)) as other, other:
        other.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event WHERE sequence = 30",
        "DELETE FROM event WHERE sequence < 5",
        "DELETE FROM event WHERE sequence > 10",
        "DELETE FROM delivery",
        "DELETE FROM chain",
        "DROP TABLE visit",
        "UPDATE event SET hash = 'x' WHERE sequence = 40",
    ],
)
def test_what_somebody_took_out_or_changed_is_damage_too(station: Breakable, statement: str) -> None:
    if "> 10" in statement:
        station.receive(20)
    assert station.is_sound()
    changed(station, statement)
    assert not station.is_sound()
    station.start()
    assert station.is_sound()


def test_events_that_are_only_in_the_log_are_saved(station: Breakable, tmp_path: Path) -> None:
    station.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for _ in range(5):
        station.append()
    copy = tmp_path / "copy"
    copy.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{station.path}{end}", copy / f"station.db{end}")
    with (copy / "station.db").open("r+b") as file:
        file.write(os.urandom(PAGE_BYTES))
    wreck = salvage(copy / "station.db", station.keys, station.agency_keys, "bkk-001")
    assert {sequence for _, sequence in wreck.events} == set(range(1, 66))


def test_an_event_that_was_signed_and_never_committed_does_not_come_to_life(station: Breakable, tmp_path: Path) -> None:
    station.append()
    database = station.outbox._db
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN IMMEDIATE")
    position = station.outbox.head()
    station.outbox._insert(position, station.build(position))
    for number in range(100, 160):  # until pages spill into the log
        row = (number, "", "", "", None, "", "x" * 3000)
        database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    copy = tmp_path / "copy"
    copy.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{station.path}{end}", copy / f"station.db{end}")
    database.execute("ROLLBACK")
    log = (copy / "station.db-wal").read_bytes()
    assert log.count(b"x" * 3000) > 10, "the log does hold what was not committed"
    wreck = salvage(copy / "station.db", station.keys, station.agency_keys, "bkk-001")
    assert wreck.newest[station.chain].sequence == 61


def test_only_the_agency_s_receipts_and_our_own_events_count(station: Breakable, tmp_path: Path) -> None:
    station.receive(20)
    station.stop()
    other = Breakable(tmp_path_below(tmp_path))
    wreck = salvage(station.path, other.keys, other.agency_keys, "bkk-001")
    assert (wreck.events, wreck.newest, wreck.receipts) == ({}, {}, {})


def test_an_event_that_nobody_signed_is_not_believed_beside_one_that_our_key_did(station: Breakable) -> None:
    header, _, signature = station.before[30].split(".")
    payload = station.before[29].split(".")[1]
    station.outbox._db.execute("UPDATE event SET jws = ? WHERE sequence = 29", (f"{header}.{payload}.{signature}",))
    station.stop()
    wreck = salvage(station.path, station.keys, station.agency_keys, "bkk-001")
    assert wreck.lost() == [[29, 29]]


def tmp_path_below(folder: Path) -> Path:
    below = folder / "other"
    below.mkdir()
    return below


def test_who_was_here_today_is_still_known_and_so_are_the_documents(station: Breakable) -> None:
    salt = station.outbox.day_salt("2026-11-23")
    station.outbox.append(station.build, Attendance(b"s" * 12, "accepted:", "in", AT))
    station.before[61] = next(row.jws for row in station.outbox.rows() if row.sequence == 61)
    station.outbox.take_document("roster", 7, "a roster")
    station.stop()
    pages = station.path.stat().st_size // PAGE_BYTES
    station.flip(station.before[30].encode())
    assert pages > 10
    station.start()
    assert station.outbox.day_salt("2026-11-23") == salt
    visit = station.outbox.last_visit(b"s" * 12)
    assert visit is not None
    assert visit.choice == "in"
    assert station.outbox.document("roster") == "a roster"


def test_the_count_of_starts_never_falls(station: Breakable) -> None:
    for _ in range(3):
        station.delivery.next_boot()
    station.stop()
    station.flip(station.before[30].encode())
    station.start()
    assert station.delivery.next_boot() == 4
    station.stop()
    station.path.write_bytes(b"garbage" * 2000)
    station.start()
    assert station.delivery.next_boot() > 100_000


def test_a_receipt_of_before_the_agency_was_put_back_confirms_nothing_that_was_saved(station: Breakable) -> None:
    newest = station.outbox.row(60)
    assert newest is not None
    station.receive(5, epoch=3)
    station.stop()
    station.smash(4)
    station.start()
    held = set(station.saved())
    assert held
    replayed = Receipt("bkk-001", 2, station.chain, 60, newest.hash, COMMITTED.isoformat())
    station.delivery.take_receipt(replayed, replayed.sign(station.agency), COMMITTED.isoformat())
    assert set(station.saved()) == held
    now = replace(replayed, epoch=3)
    station.delivery.take_receipt(now, now.sign(station.agency), COMMITTED.isoformat())
    assert station.saved() == {}


def test_what_is_set_aside_is_for_the_owner_only(station: Breakable) -> None:
    station.stop()
    station.smash(2)
    damaged = station.path.read_bytes()
    station.start()
    (folder,) = mend.folders(station.state)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert (folder / "station.db").read_bytes() == damaged


def test_damage_again_carries_on_what_was_saved_before(station: Breakable) -> None:
    station.receive(50)
    station.stop()
    station.flip(station.before[55].encode())
    station.start()
    first = station.saved()
    second_chain = station.outbox.head().chain
    for _ in range(3):
        station.append()
    second = {row.sequence: row.jws for row in station.outbox.rows()}
    station.stop()
    station.flip(second[3].encode())
    station.start()
    assert station.saved() == first
    assert station.broken()[0]["chain"] == second_chain
    assert station.broken()[0]["lost"] == [[3, 3]]
    assert len(mend.folders(station.state)) == 2


def test_more_holes_than_one_event_can_name_make_more_events(station: Breakable) -> None:
    wreck = Wreck(chain=station.chain)
    saved = salvage(station.path, station.keys, station.agency_keys, "bkk-001")
    wreck.newest = saved.newest
    wreck.events = {place: one for place, one in saved.events.items() if place[1] % 2}
    wreck.newest[station.chain] = saved.events[station.chain, 59]
    assert len(wreck.lost()) == 29
    said = mend._said(wreck)
    assert [len(one["lost"]) for one in said] == [29]
    before, mend.MAX_RANGES = mend.MAX_RANGES, 10
    try:
        assert [len(one["lost"]) for one in mend._said(wreck)] == [10, 10, 9]
    finally:
        mend.MAX_RANGES = before


def test_a_disk_that_eats_databases_is_not_fed_for_ever(station: Breakable) -> None:
    station.stop()
    for number in range(mend.MAX_FOLDERS):
        folder = station.state / "damaged" / str(number)
        folder.mkdir(parents=True)
        (folder / "station.db").touch()
    station.smash(2)
    with pytest.raises(OutboxDamaged, match="replace the disk"):
        station.start()


def test_the_link_tells_the_station_and_a_false_alarm_is_forgotten(station: Breakable) -> None:
    suspect(station.state).touch()
    station.stop()
    station.start()
    assert not suspect(station.state).exists()
    assert len(list(station.outbox.rows())) == 60


@pytest.mark.parametrize("call", range(1, 12))
def test_the_power_may_go_at_any_step_of_it(station: Breakable, call: int) -> None:
    station.receive(20)
    station.flip_with_log(33)
    child = os.fork()
    if child == 0:
        try:  # a child that raised would go on with the other tests
            die_at(call)
            station.start()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    station.start()
    told = account(station, 20)
    assert (told["sequence"], told["lost"], told["salvaged"]) == (63, [[33, 33]], 42), "the log was not left behind"
    assert len(mend.folders(station.state)) == 1
    assert station.is_sound()


def die_at(call: int) -> None:
    """End this process at call number ``call`` of what changes the disk, without any clean-up."""
    left = [call]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os._exit(1)
            return function(*arguments, **options)

        return act

    for name in ("rename", "mkdir", "unlink"):
        setattr(Path, name, dying(getattr(Path, name)))
    Outbox.append = dying(Outbox.append)  # type: ignore[method-assign]
    Outbox.adopt = dying(Outbox.adopt)  # type: ignore[method-assign]


def test_a_full_disk_in_the_middle_is_no_second_damage(station: Breakable, monkeypatch: pytest.MonkeyPatch) -> None:
    station.stop()
    station.flip(station.before[33].encode())

    def fail(*arguments: object) -> None:
        raise OutboxFull("no room")

    with monkeypatch.context() as full:
        full.setattr(Outbox, "adopt", fail)
        with pytest.raises(OutboxFull):
            station.start()
    assert mend.is_between(station.state)
    station.start()
    account(station, 0)


@pytest.mark.parametrize("seed", range(16))
def test_whatever_is_overwritten_everything_is_accounted_for(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    station = Breakable(tmp_path)
    through = dice.choice([0, 15, 40])
    if through:
        station.receive(through)
    if dice.random() < 0.5:
        station.outbox.sweep(COMMITTED.replace(year=2027), 7, 3650)
    if dice.random() < 0.7:
        station.stop()
    for _ in range(dice.choice([1, 1, 3, 10])):
        name = dice.choice([path for path in tmp_path.glob("station.db*") if path.suffix != ".db-shm"])
        size = name.stat().st_size
        with name.open("r+b") as file:
            file.seek(dice.randrange(max(size, 1)))
            file.write(dice.randbytes(dice.choice([1, 50, 5000])))
    station.stop()
    station.start()
    if mend.folders(station.state):
        told = station.broken()[0]
        receipt = told["receipt"]["through"] if told["receipt"] else 0
        account(station, receipt if told["sequence"] else 0)
    assert station.is_sound()
    station.append()
