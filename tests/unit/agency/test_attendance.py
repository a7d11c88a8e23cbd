"""The attendance report: who, when, and nothing that a spreadsheet would run or a reader need not know."""

import csv
import io
import json
import sqlite3
from datetime import date, timedelta

import pytest

from agency.clock import today
from agency.reports.attendance import Line, as_csv, as_json
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, MORNING, Pupil, Ran, roster_csv

PUPILS = [Pupil.make(number) for number in range(3)]
STRANGER = Pupil.make(50)
AFTERNOON = MORNING + timedelta(hours=8)


def rows(ran: Ran) -> list[dict[str, str]]:
    assert ran.code == 0, ran.err
    return list(csv.DictReader(io.StringIO(ran.out)))


@pytest.fixture
def school(office: Office) -> Office:
    """A school day: two pupils of the set, one of whom leaves, and one person on no roster."""
    office.desk.import_roster(PUPILS, office.folder)
    station = office.station
    office.take(
        station.started(),
        station.visit(PUPILS[1], "in", MORNING + timedelta(minutes=3)),
        station.visit(PUPILS[0], "in", MORNING + timedelta(minutes=5)),
        station.visit(PUPILS[0], "in", MORNING),
        station.visit(PUPILS[0], "out", AFTERNOON),
        station.visit(STRANGER, "in", MORNING),
        station.visit(PUPILS[2], "in", MORNING, verdict="refused"),
    )
    return office


def test_the_report_of_a_day(school: Office) -> None:
    ran = school.desk.run("attendance", "--date", DAY)
    assert ran.out.splitlines()[0] == "date,set,member,name,station,first_in,last_out,events"
    first, second, stranger = rows(ran)
    assert first == {
        "date": DAY,
        "set": "school-1",
        "member": "P0000",
        "name": PUPILS[0].name,
        "station": "bkk-001",
        "first_in": "07:42:10",
        "last_out": "15:42:10",
        "events": "3",
    }
    assert (second["member"], second["first_in"], second["last_out"]) == ("P0001", "07:45:10", "")
    number = STRANGER.citizen_id
    assert (stranger["set"], stranger["member"]) == ("", "")
    assert stranger["name"] == f"{number[0]}-0000-xxxxx-xx-{number[12]}"


def test_who_only_left_did_not_arrive(office: Office) -> None:
    office.take(office.station.started(), office.station.visit(STRANGER, "out", AFTERNOON))
    (row,) = rows(office.desk.run("attendance", "--date", DAY))
    assert (row["first_in"], row["last_out"]) == ("", "15:42:10")


def test_no_whole_number_is_in_the_report(school: Office) -> None:
    ran = school.desk.run("attendance", "--date", DAY)
    assert not any(pupil.citizen_id in ran.out + ran.err for pupil in (*PUPILS, STRANGER))


def test_json_says_the_same(school: Office) -> None:
    table = rows(school.desk.run("attendance", "--date", DAY))
    parsed = school.desk.run("attendance", "--date", DAY, "--format", "json").json()
    assert [{name: str(cell) for name, cell in line.items()} for line in parsed] == table


def test_one_set_leaves_out_who_is_not_in_it(school: Office) -> None:
    other = school.folder / "s2.csv"
    other.write_text(roster_csv([STRANGER]), "utf-8")
    school.desk.run("roster", "import", other, "--set", "school-2")
    assert [row["member"] for row in rows(school.desk.run("attendance", "--date", DAY, "--set", "school-2"))] == [
        STRANGER.member
    ]
    assert school.desk.run("attendance", "--date", DAY, "--set", "school-3").code == 2


def test_the_day_is_the_thai_one(office: Office) -> None:
    station = office.station
    late = MORNING.astimezone(tz=None).replace(hour=23, minute=30)  # whatever this machine's zone is
    office.take(station.started(), station.visit(PUPILS[0], "in", late))
    thai = late.astimezone(MORNING.tzinfo)
    (row,) = rows(office.desk.run("attendance", "--date", thai.date().isoformat()))
    assert row["first_in"] == thai.strftime("%H:%M:%S")
    assert rows(office.desk.run("attendance", "--date", "2026-11-16")) == []


def test_only_the_newest_roster_of_a_set_counts(school: Office) -> None:
    school.desk.import_roster([Pupil(PUPILS[0].citizen_id, "NEW", "ใหม่")], school.folder)
    lines = rows(school.desk.run("attendance", "--date", DAY))
    assert [line["member"] for line in lines if line["set"]] == ["NEW"]
    assert len(lines) == 3


def test_quarantined_events_do_not_count(office: Office) -> None:
    station = office.station
    office.take(station.started(), station.poison())
    assert rows(office.desk.run("attendance", "--date", DAY)) == []


def test_an_edited_event_is_left_out_and_told(school: Office) -> None:
    with sqlite3.connect(school.desk.home.database) as connection:
        connection.execute("UPDATE event SET jws = jws || 'A' WHERE sequence = 2")
    ran = school.desk.run("attendance", "--date", DAY)
    assert ran.code == 1
    assert "1 events are left out" in ran.err
    assert "P0001" not in ran.out


@pytest.mark.parametrize("column", ["verdict = 'refused'", "type = 'police.x.v1'", "station = 'cnx-002'"])
def test_who_writes_into_a_column_takes_nobody_from_the_report_unseen(school: Office, column: str) -> None:
    with sqlite3.connect(school.desk.home.database) as connection:
        connection.execute(f"UPDATE event SET {column} WHERE sequence = 2")  # noqa: S608
    ran = school.desk.run("attendance", "--date", DAY)
    assert (ran.code, "1 events are left out" in ran.err) == (1, True)


def test_who_writes_into_a_column_brings_nobody_into_the_report(school: Office) -> None:
    before = school.desk.run("attendance", "--date", DAY)
    with sqlite3.connect(school.desk.home.database) as connection:
        connection.execute("UPDATE event SET verdict = 'accepted'")
    after = school.desk.run("attendance", "--date", DAY)
    assert (after.code, after.out) == (0, before.out)


@pytest.mark.parametrize("text", ["2026-13-01", "23/11/2026", "today", "20261123", "2569-02-29", "๒๕๖๙-๑๑-๒๓"])
def test_a_date_that_is_none_is_wrong_use(office: Office, text: str) -> None:
    assert office.desk.run("attendance", "--date", text).code == 2


@pytest.mark.parametrize("command", [("attendance",), ("events", "list")])
def test_a_day_that_has_not_come_is_wrong_use(office: Office, command: tuple[str, ...]) -> None:
    now = date.fromisoformat(today())
    assert office.desk.run(*command, "--date", now + timedelta(days=1)).code == 0
    late = office.desk.run(*command, "--date", now + timedelta(days=2))
    assert (late.code, late.out) == (2, "")
    assert "later than tomorrow" in late.err
    buddhist = office.desk.run(*command, "--date", "2569-11-23")
    assert (buddhist.code, buddhist.err.count("\n")) == (2, 1)
    assert "looks Buddhist; in the Common Era it is 2026: 2026-11-23" in buddhist.err


@pytest.mark.parametrize("name", ["=1+1", "+66", "-1", "@SUM(A1)", "\t=1", "\r=1", "|calc", "%x"])
def test_no_cell_is_a_formula(name: str) -> None:
    line = Line(DAY, "school-1", "P1", name, "bkk-001", "", "", 1)
    (row,) = csv.DictReader(io.StringIO(as_csv([line]), newline=""))
    assert row["name"] == "'" + name
    assert json.loads(as_json([line]))[0]["name"] == name


def test_commas_quotes_and_newlines_stay_in_their_cell() -> None:
    line = Line(DAY, "school-1", "P1", 'a,"b"\nc', "bkk-001", "", "", 1)
    (row,) = csv.DictReader(io.StringIO(as_csv([line]), newline=""))
    assert row["name"] == 'a,"b"\nc'
