"""Whoever reads what is sealed leaves a row, and the audit that runs by itself finds an edit (T-73)."""

import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agency.commands import auditing
from agency.home import Home
from agency.store.stations import flag_station
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, Pupil, visits
from tests.unit.agency.site import Site, running, wait_until


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running(tmp_path, capsys) as made:
        yield made


@pytest.mark.parametrize(
    ("command", "about"),
    [
        (("attendance", "--date", DAY), f"{DAY} every set"),
        (("attendance", "--date", DAY, "--set", "school-1"), f"{DAY} school-1"),
        (("anomalies", "--date", DAY, "--back", "1"), f"2026-11-22 to {DAY}"),
        (("officers", "--date", DAY), DAY),
    ],
)
def test_t73_a_report_that_opens_seals_leaves_who_when_and_what_for(
    office: Office, command: tuple[str, ...], about: str
) -> None:
    office.desk.import_roster([Pupil.make(1)], office.folder)
    office.take(*visits(office.station, 3))
    assert office.desk.run(*command, "--purpose", "the headmaster asked").code == 0
    (row,) = office.desk.run("access", "--json").json()
    assert (row["command"], row["about"], row["purpose"]) == (command[0], about, "the headmaster asked")
    assert row["user"]
    office.desk.run(*command)
    assert [one["purpose"] for one in office.desk.run("access", "--json").json()] == ["the headmaster asked", ""]
    assert "the headmaster asked" in office.desk.run("access", "--limit", 2).out


def test_t73_without_its_row_a_report_is_not_given_out(office: Office) -> None:
    office.take(*visits(office.station, 3))
    with sqlite3.connect(office.desk.home.database) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON access BEGIN SELECT RAISE(ABORT, 'no room'); END")
    ran = office.desk.run("attendance", "--date", DAY)
    assert (ran.code, ran.out) == (7, "")
    assert ran.err.startswith("card-agency: S10: ")


def test_what_opens_nothing_leaves_nothing(office: Office) -> None:
    office.take(*visits(office.station, 1))
    for command in (("audit",), ("events", "list"), ("station", "list")):
        assert office.desk.run(*command).code == 0
    assert office.desk.run("access", "--json").json() == []


def test_t73_an_edit_is_logged_once_by_the_audit_that_runs_by_itself(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.take(*visits(office.station, 3))
    home: Home = office.desk.home
    with caplog.at_level(logging.INFO):
        told = auditing._look(home, set())
        assert "audit: clean" in caplog.text
        with sqlite3.connect(home.database) as connection:
            connection.execute("UPDATE event SET verdict = 'refused' WHERE sequence = 2")
        told = auditing._look(home, told)
        told = auditing._look(home, told)
    assert [problem.code for problem in told] == ["edited"]
    assert caplog.text.count("differs from the signed text in verdict") == 1
    assert caplog.text.count("audit: not clean: 1 findings") == 2


def test_the_audit_of_run_looks_at_once_and_ends_with_it(site: Site) -> None:
    home = str(site.desk.home.path)
    program = site.start("audit", sys.executable, "-m", "agency", "audit", "--every", "60", "--home", home)
    wait_until(lambda: program.said("audit: clean"))
    second = site.start("audit", sys.executable, "-m", "agency", "audit", "--every", "60", "--home", home)
    assert second.process.wait(10) == 7
    assert program.end() == 0


def test_what_an_operator_decides_leaves_a_row(office: Office) -> None:
    lines = visits(office.station, 4)
    office.take(lines[0], lines[2], lines[4])
    desk = office.desk
    assert desk.run("station", "excuse", "bkk-001", "--purpose", "the disk burnt").code == 0
    desk.run("station", "excuse", "bkk-001")
    with office.database.write() as connection:
        flag_station(connection, "bkk-001", "fork")
    desk.run("station", "clear", "bkk-001", "--purpose", "a cloned image")
    desk.run("station", "clear", "bkk-001")
    rows = [(one["command"], one["about"], one["purpose"]) for one in desk.run("access", "--json").json()]
    assert rows == [
        ("station excuse", f"{office.station.chain.id} 2 to 2", "the disk burnt"),
        ("station excuse", f"{office.station.chain.id} 4 to 4", "the disk burnt"),
        ("station clear", "bkk-001 fork", "a cloned image"),
    ]
