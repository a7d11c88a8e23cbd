"""The officers' day: handles become names through the roster that the station had, and every vouch is counted."""

import sqlite3
from datetime import timedelta
from typing import Any

from agency.desk.people import Person
from appliance.events.cloud_event import envelope, seal_context
from appliance.events.seal import seal
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import CLOCK, DAY, MORNING, Station, citizen_number, visits

OFFICER = Person(citizen_number(51), "T17", "นายครู สอน", "officer")


def session(station: Station, act: str, minutes: int, handle: str = "o1", roster: int = 1) -> str:
    data = {"clock": CLOCK, "officer": {"handle": handle, "source": f"roster:{roster}"}}
    at = MORNING + timedelta(minutes=minutes)
    return station._append(envelope(station.origin, station.next, f"officer.signed_{act}.v1", at, data))


def approved(station: Station, minutes: int, handle: str = "o1", **changes: Any) -> str:
    at = MORNING + timedelta(minutes=minutes)
    sealed = seal(
        {"citizen_id": OFFICER.citizen_id}, station.recipients, seal_context(station.origin.source, station.next)
    )
    data = {
        "service": {"id": "dcy.grant_check", "version": 1, "sha256": "A" * 43},
        "level": "L1",
        "verdict": "accepted",
        "checks": {"applet": {"result": "pass"}, "checksum": {"result": "pass"}, "officer": {"result": "pass"}},
        "choice": "stop",
        "officer": handle,
        "clock": CLOCK,
        "card": {"inserted_ms": 800, "apdus": 3},
        "sealed": sealed,
        **{name: value for name, value in changes.items() if name != "type"},
    }
    return station._append(envelope(station.origin, station.next, changes.get("type", "dcy.grant_check.v1"), at, data))


def imported(office: Office) -> None:
    file = office.folder / "officers.csv"
    lines = [f"{citizen_number(1)},P1,name,member", f"{OFFICER.citizen_id},{OFFICER.member},{OFFICER.name},officer"]
    file.write_text("citizen_id,member,name,role\n" + "\n".join(lines), "utf-8")
    ran = office.desk.run("roster", "import", file, "--set", "office-1")
    assert (ran.code, "1 officer among them" in ran.err) == (0, True)
    office.desk.run("roster", "push", "--set", "office-1", "--broker", "127.0.0.1:1")  # kept, though no broker is there


def report(office: Office) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = office.desk.run("officers", "--date", DAY, "--json").json()
    return lines


def test_a_day_of_an_officer(office: Office) -> None:
    imported(office)
    station = office.station
    vouch = {"type": "common.vouch.v1", "choice": "card_lost", "vouched_for": "dcy.grant_check"}
    office.take(
        station.started(),
        session(station, "on", 0),
        approved(station, 1),
        approved(station, 2, verdict="could_not_check"),
        approved(station, 3, **vouch),
        approved(station, 4, **vouch, verdict="refused"),
        session(station, "off", 30),
    )
    (line,) = report(office)
    assert line == {
        "station": "bkk-001", "handle": "o1", "member": OFFICER.member, "name": OFFICER.name,
        "first_on": "07:42:10", "last_off": "08:12:10", "visits": 2, "vouches": 1, "refused": 1,
    }  # fmt: skip
    table = office.desk.run("officers", "--date", DAY)
    assert (table.code, OFFICER.member in table.out, OFFICER.citizen_id in table.out) == (0, True, False)


def test_a_handle_that_no_roster_explains_stays_a_handle(office: Office) -> None:
    imported(office)
    station = office.station
    office.take(
        station.started(),
        session(station, "on", 0, roster=77),
        approved(station, 1),
        session(station, "on", 5, handle="o9"),
        approved(station, 6, handle="o9"),
        session(station, "on", 8, handle="x"),
    )
    assert [(one["handle"], one["name"], one["visits"]) for one in report(office)] == [
        ("o1", "", 1), ("o9", "", 1), ("x", "", 0),
    ]  # fmt: skip


def test_a_day_without_officers(office: Office) -> None:
    office.take(office.station.started())
    assert report(office) == []
    assert office.desk.run("officers", "--date", "x").code == 2


def test_an_altered_event_is_left_out_and_told(office: Office) -> None:
    office.take(*visits(office.station, 2))
    with sqlite3.connect(office.desk.home.database) as connection:
        connection.execute("UPDATE event SET verdict = 'refused' WHERE sequence = 2")
    ran = office.desk.run("officers", "--date", DAY)
    assert (ran.code, "1 events are left out" in ran.err) == (1, True)
