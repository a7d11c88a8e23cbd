"""The outbox at its limits: full, probed, gone and back; and what it tells of single rows and receipts."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.errors import NotEnrolled, OutboxFull, OutboxUnavailable, StoreError
from appliance.outbox import store as subject
from appliance.outbox.database import PAGE_BYTES
from appliance.outbox.store import Outbox
from appliance.ports import Attendance, Moment
from tests.unit.outbox.test_retention import Kept
from tests.unit.outbox.test_store import AT, Station

PAGES = 64


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def fill(station: Station) -> Station:
    for _ in range(1000):
        try:
            station.append()
        except OutboxFull:
            return station
    raise AssertionError("it takes everything")


@pytest.fixture
def full(tmp_path: Path) -> Station:
    return fill(Station(tmp_path, max_bytes=PAGES * PAGE_BYTES))


def test_a_file_never_grows_beyond_its_limit(full: Station) -> None:
    full.outbox.close()
    assert full.path.stat().st_size == PAGES * PAGE_BYTES


def test_a_full_outbox_takes_a_few_events_more_that_say_so_and_then_none(full: Station) -> None:
    before = len(list(full.outbox.rows()))
    sequence = full.outbox.append_beyond_limit(full.build)
    assert sequence == before + 1
    assert full.nudges == before + 1
    fill(full)
    assert full.problems() == []
    full.outbox.close()
    assert full.path.stat().st_size <= (PAGES + 16) * PAGE_BYTES


def test_a_limit_is_back_though_the_event_beyond_it_could_not_be_made(full: Station) -> None:
    def fail(position: object) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        full.outbox.append_beyond_limit(fail)
    with pytest.raises(OutboxFull):
        full.append()


def test_whether_an_event_finds_room_is_found_out_as_often_as_it_is_asked(full: Station) -> None:
    with pytest.raises(OutboxFull):
        full.outbox.probe()
    with pytest.raises(OutboxFull):
        full.outbox.probe()


def test_a_probe_leaves_no_row_and_the_next_event_has_the_next_number(station: Station) -> None:
    station.append()
    station.outbox.probe()
    station.outbox.probe()
    assert [row.sequence for row in station.outbox.rows()] == [1]
    assert station.append() == 2
    assert station.problems() == []


def test_without_a_chain_there_is_no_room_to_be_found(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "station.db", create=True)
    for _ in range(2):
        with pytest.raises(NotEnrolled):
            outbox.probe()


def test_a_probe_is_as_large_as_any_event(tmp_path: Path) -> None:
    station = Station(tmp_path, max_bytes=PAGES * PAGE_BYTES)
    for _ in range(PAGES):
        try:
            station.outbox.probe()
        except OutboxFull:
            break
        station.outbox.append(lambda position: station.build(position, padding=15_000))
    assert 5 < len(list(station.outbox.rows())) < PAGES // 4


def test_the_room_that_is_taken_grows_with_the_events_and_not_with_free_pages(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=0)
    empty = station.outbox.size_bytes()
    for _ in range(100):
        station.append()
    filled = station.outbox.size_bytes()
    assert 100 * 500 < filled - empty < 100 * 1500
    assert filled % PAGE_BYTES == 0
    station.receive(99)
    while station.sweep(timedelta(days=400)):
        pass
    assert empty <= station.outbox.size_bytes() < filled / 2


def test_what_was_opened_before_the_disk_failed_is_opened_anew(station: Station) -> None:
    station.append()
    aside = station.path.with_name("aside")
    station.outbox.close()
    station.path.rename(aside)
    for _ in range(2):
        with pytest.raises(OutboxUnavailable, match="any more"):
            station.outbox.reopen()
    with pytest.raises(StoreError):
        station.append()
    aside.rename(station.path)
    station.outbox.reopen()
    assert station.append() == 2


def test_after_each_commit_and_only_then_the_link_is_nudged(station: Station) -> None:
    said: list[int] = []
    with closing(sqlite3.connect(station.path)) as other:

        def look() -> None:
            said.extend(other.execute("SELECT count(*) FROM event").fetchone())

        station.outbox._on_append = look
        station.append()
        station.append()
    assert said == [1, 2], "what it looks for is there"


def test_a_row_tells_what_was_stored_and_whether_it_is_covered(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=4)
    station.receive(2)
    rows = [station.outbox.row(number) for number in range(6)]
    assert rows == [None, *station.outbox.rows(), None]
    assert [row.covered for row in rows if row] == [True, True, False, False]


@pytest.mark.parametrize("count", [199, 200, 201, 400])
def test_every_row_comes_once_however_many_there_are(station: Station, count: int) -> None:
    for _ in range(count):
        station.append()
    assert [row.sequence for row in station.outbox.rows()] == list(range(1, count + 1))


def test_the_first_receipt_that_covers_an_event_is_its_proof(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=5)
    station.receive(2)
    station.receive(4)
    first, second = station.outbox.receipts()
    rows = list(station.outbox.rows())
    assert [station.outbox.receipt_of(row) for row in rows] == [first, first, second, second, None]
    station.change("UPDATE receipt SET chain = 'another'")
    assert station.outbox.receipts() == []
    assert station.outbox.receipt_of(rows[0]) is None


def test_a_visit_comes_back_as_it_was_and_the_newest_counts(station: Station) -> None:
    subject_id = b"s" * 12
    for number, choice in enumerate(("in", None), 1):
        at = Moment(AT.time + timedelta(minutes=number), "sure", None, f"boot {number}", 10.5 * number)
        station.outbox.append(station.build, Attendance(subject_id, f"outcome {number}", choice, at))
    visit = station.outbox.last_visit(subject_id)
    assert visit == Attendance(
        subject_id, "outcome 2", None, Moment(AT.time + timedelta(minutes=2), "", None, "boot 2", 21.0), 2
    )
    assert station.outbox.last_visit(b"t" * 12) is None


def test_each_day_has_a_secret_of_its_own_that_nobody_guesses(tmp_path: Path) -> None:
    salts = set()
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        station = Station(tmp_path / str(number))
        salts |= {station.outbox.day_salt("2026-11-23"), station.outbox.day_salt("2026-11-24")}
    assert {len(salt) for salt in salts} == {32}
    assert len(salts) == 6


def test_a_chain_begins_with_the_time_and_with_its_key_once(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "station.db", create=True)
    assert outbox.start_chain("key", AT.time)
    assert not outbox.start_chain("key", AT.time + timedelta(days=1))
    head = outbox.head()
    assert (head.sequence, head.previous) == (1, "key")
    (tmp_path / "later").mkdir()
    later = Outbox.open(tmp_path / "later" / "station.db", create=True)
    later.start_chain("key", AT.time + timedelta(milliseconds=1))
    assert head.chain[:10] < later.head().chain[:10], "the youngest is the largest"


def test_what_the_station_said_is_kept_and_only_the_last(station: Station) -> None:
    assert station.outbox.said() is None
    station.outbox.say({"state": "starting"})
    station.outbox.say({"state": "ready"})
    assert station.outbox.said() == {"state": "ready"}


def test_somebody_who_waits_at_the_station_does_not_wait_long_for_the_link(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PATIENCE_S", 0.05)
    hurried = Outbox.open(station.path)
    assert hurried._db.execute("PRAGMA busy_timeout").fetchone() == (50,)
    with closing(sqlite3.connect(station.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxUnavailable):
            hurried.append(station.build)
        other.execute("ROLLBACK")
    assert hurried.append(station.build) == 1


def test_who_only_looks_cannot_write(station: Station) -> None:
    station.append()
    looking = Outbox.open(station.path, read_only=True)
    with pytest.raises(StoreError):
        looking.append(station.build)
    assert [row.sequence for row in looking.rows()] == [1]
