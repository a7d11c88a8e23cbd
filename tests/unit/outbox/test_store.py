"""The outbox on a real SQLite file: order, limits, damage, days, documents."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.errors import NotEnrolled, OutboxDamaged, OutboxFull, SigningError, StoreError
from appliance.events.chain import Position, jws_hash
from appliance.events.sign import EVENT_TYPE, KeySet, Signer
from appliance.outbox.store import Outbox
from appliance.outbox.verify import verify
from appliance.ports import Attendance, Moment

AT = Moment(datetime(2026, 11, 23, 8, 0, tzinfo=UTC), "simulated", None, "b" * 36, 100.0)


class Station:
    def __init__(self, folder: Path, max_bytes: int = 0) -> None:
        self.path = folder / "station.db"
        self.signer = Signer.generate()
        self.nudges = 0
        self.outbox = Outbox.open(self.path, create=True, max_bytes=max_bytes, on_append=self.nudge)
        self.outbox.start_chain(self.signer.kid, AT.time)

    def nudge(self) -> None:
        self.nudges += 1

    def build(self, position: Position, padding: int = 0) -> str:
        event = {
            "specversion": "1.0",
            "id": "01M83BXH2R7R0A5EVXPK4651AQ",
            "source": "urn:card-station:obec:bkk-001",
            "type": "station.enrolled.v1",
            "time": "2026-11-23T08:00:00.000+07:00",
            "datacontenttype": "application/json",
            "dataschema": "urn:card-station:schema:event:1",
            "sequence": f"{position.sequence:010d}",
            "chain": position.chain,
            "previous": position.previous,
            "data": {"clock": AT.as_data(), "station": {"software": "0.1.0", "trust": "soft"}},
        }
        return self.signer.sign(event, EVENT_TYPE) + "A" * padding

    def append(self, subject: bytes | None = None) -> int:
        return self.outbox.append(self.build, Attendance(subject, "accepted:", "in", AT) if subject else None)

    def problems(self) -> list[str]:
        return verify(self.outbox.rows(), KeySet([self.signer.public("event")]), self.signer.kid)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def test_events_are_numbered_and_linked(station: Station) -> None:
    assert [station.append() for _ in range(3)] == [1, 2, 3]
    rows = list(station.outbox.rows())
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert all(row.hash == jws_hash(row.jws) for row in rows)
    assert station.problems() == []
    assert station.nudges == 3


def test_the_first_event_names_the_key(station: Station) -> None:
    assert station.outbox.head().previous == station.signer.kid


def test_the_disk_is_synchronised_at_every_commit(station: Station) -> None:
    settings = {
        name: station.outbox._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2}


def test_what_cannot_be_signed_leaves_no_trace(station: Station) -> None:
    def fail(position: Position) -> str:
        raise SigningError("no key")

    station.append()
    with pytest.raises(SigningError):
        station.outbox.append(fail, Attendance(b"s" * 12, "accepted:", "in", AT))
    assert len(list(station.outbox.rows())) == 1
    assert station.outbox.last_visit(b"s" * 12) is None
    assert station.append() == 2
    assert station.problems() == []


def test_a_visit_is_remembered_with_its_event(station: Station) -> None:
    station.append(subject=b"s" * 12)
    visit = station.outbox.last_visit(b"s" * 12)
    assert visit is not None
    assert (visit.outcome, visit.choice, visit.sequence) == ("accepted:", "in", 1)
    assert (visit.at.time, visit.at.boot) == (AT.time, AT.boot)


def test_another_day_wipes_the_visits(station: Station) -> None:
    salt = station.outbox.day_salt("2026-11-23")
    station.append(subject=b"s" * 12)
    assert station.outbox.day_salt("2026-11-23") == salt
    assert station.outbox.day_salt("2026-11-24") != salt
    assert station.outbox.last_visit(b"s" * 12) is None


def test_a_clock_that_goes_back_over_midnight_wipes_nothing(station: Station) -> None:
    salt = station.outbox.day_salt("2026-11-23")
    station.append(subject=b"s" * 12)
    for day in ("2026-11-22", "2026-11-23", "2026-11-22"):
        assert station.outbox.day_salt(day) == salt
        assert station.outbox.last_visit(b"s" * 12) is not None
    assert station.outbox.day_salt("2026-11-24") != salt


@pytest.mark.parametrize(("today", "before"), [("2028-03-01", "2028-02-29"), ("2027-01-01", "2026-12-31")])
def test_the_day_before_is_that_of_the_calendar(station: Station, today: str, before: str) -> None:
    assert station.outbox.day_salt(today) == station.outbox.day_salt(before)


@pytest.mark.parametrize("day", ["2026-11-21", "2016-11-23"])
def test_a_clock_that_was_days_ahead_leaves_nothing_for_the_days_in_between(station: Station, day: str) -> None:
    salt = station.outbox.day_salt("2026-11-23")
    station.append(subject=b"s" * 12)
    assert station.outbox.day_salt(day) != salt
    assert station.outbox.last_visit(b"s" * 12) is None


def test_a_second_process_sees_the_events(station: Station) -> None:
    station.append()
    other = Outbox.open(station.path, read_only=True)
    assert len(list(other.rows())) == 1
    other.close()


def fill(station: Station) -> None:
    for _ in range(1000):
        station.append()


def test_the_limit_ends_in_a_clean_refusal(tmp_path: Path) -> None:
    station = Station(tmp_path, max_bytes=64 * 4096)
    with pytest.raises(OutboxFull):
        fill(station)
    count = len(list(station.outbox.rows()))
    assert count > 10
    assert station.problems() == []
    station.outbox.close()
    again = Outbox.open(station.path)
    assert len(list(again.rows())) == count


def test_a_missing_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="card-station enrol"):
        Outbox.open(tmp_path / "none.db")


def test_a_garbled_database_is_damaged_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "station.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(OutboxDamaged):
        Outbox.open(path, create=True)
    assert path.read_bytes() == b"garbage" * 1000


def test_a_newer_database_is_not_touched(station: Station) -> None:
    station.outbox._db.execute("PRAGMA user_version = 2")
    station.outbox.close()
    with pytest.raises(StoreError, match="version 2"):
        Outbox.open(station.path)


def test_the_chain_of_another_key_is_refused(station: Station) -> None:
    with pytest.raises(StoreError, match="another event key"):
        station.outbox.start_chain(Signer.generate().kid, AT.time)
    assert station.outbox.start_chain(station.signer.kid, AT.time) is False


def test_without_a_chain_nothing_is_appended(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "station.db", create=True)
    with pytest.raises(NotEnrolled):
        outbox.append(lambda position: "")


def test_documents_only_go_up(station: Station) -> None:
    assert station.outbox.take_document("roster", 2, "two")
    assert not station.outbox.take_document("roster", 2, "two again")
    assert not station.outbox.take_document("roster", 1, "one")
    assert station.outbox.document("roster") == "two"
    assert station.outbox.document("denylist") is None


def tampered(station: Station, change: str, *values: object) -> list[str]:
    for _ in range(4):
        station.append()
    station.outbox.close()
    database = sqlite3.connect(station.path)
    database.execute(change, values)
    database.commit()
    database.close()
    station.outbox = Outbox.open(station.path)
    return station.problems()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM event WHERE sequence = 2", "events 2 to 2 are missing"),
        ("UPDATE event SET time = '2020' WHERE sequence = 3", "event 3: its time"),
        ("UPDATE event SET type = 'x' WHERE sequence = 3", "event 3: its type"),
        ("UPDATE event SET hash = 'x' WHERE sequence = 3", "event 3: its stored hash"),
        ("UPDATE event SET jws = replace(jws, '.', 'A.') WHERE sequence = 3", "event 3: "),
        (
            "UPDATE event SET jws = (SELECT jws FROM event WHERE sequence = 2) WHERE sequence = 3",
            "event 3: its sequence",
        ),
    ],
)
def test_verify_names_what_was_changed(station: Station, change: str, said: str) -> None:
    assert any(problem.startswith(said) for problem in tampered(station, change))


def test_status_tells_the_backlog(station: Station) -> None:
    station.append()
    station.outbox.say({"state": "ready"})
    status = station.outbox.status()
    assert status["state"] == "ready"
    assert status["backlog"] == {"count": 1, "oldest": "2026-11-23T08:00:00.000+07:00"}
    assert status["last_receipt"] is None


def test_moments_keep_their_zone(station: Station) -> None:
    later = AT.time + timedelta(hours=1)
    moment = Moment(later, "unsure", None, "c" * 36, 5.0)
    station.outbox.append(station.build, Attendance(b"s" * 12, "refused:roster", None, moment))
    visit = station.outbox.last_visit(b"s" * 12)
    assert visit is not None
    assert visit.at.time == later


def test_yesterday_s_secret_is_in_no_file(station: Station) -> None:
    salt = station.outbox.day_salt("2026-11-23")
    station.append(subject=b"a subject of yesterday")
    station.outbox.day_salt("2026-11-24")
    for file in station.path.parent.iterdir():
        content = file.read_bytes()
        assert salt not in content, file.name
        assert b"a subject of yesterday" not in content, file.name


def test_a_reader_that_pauses_does_not_hold_the_log_back(station: Station) -> None:
    for _ in range(300):
        station.append()
    reader = Outbox.open(station.path, read_only=True)
    rows = reader.rows()
    next(rows)
    (busy, *_) = station.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    assert len(list(rows)) == 299
