"""Signs of cards used without their owners: T-67, T-69, T-82; and what an honest day looks like beside them."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from agency.reports.anomalies import find
from agency.reports.visits import OpenedVisit
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, MORNING, Pupil, Station, citizen_number

NIGHT = MORNING.replace(hour=2)


def visit(who: int, at: datetime = MORNING, station: str = "bkk-001", choice: str | None = "in") -> OpenedVisit:
    return OpenedVisit(citizen_number(who), station, "school.attendance.v1", at, choice, None, "A" * 26, who)


def vouch(at: datetime, officer: int = 51) -> OpenedVisit:
    number = citizen_number(officer)
    return OpenedVisit(number, "bkk-001", "common.vouch.v1", at, "card_lost", "o1", "A" * 26, 1)


def line_up(people: Sequence[int], start: datetime, gap_s: float) -> list[OpenedVisit]:
    return [visit(who, start + timedelta(seconds=gap_s * at)) for at, who in enumerate(people)]


def signs(*arguments: Any) -> list[str]:
    return [anomaly.sign for anomaly in find(*arguments)]


def test_the_first_day_of_the_calendar_has_no_day_before(office: Office) -> None:
    ran = office.desk.run("anomalies", "--date", "0001-01-01", "--json")
    assert (ran.code, ran.json()) == (0, [])


def test_t69_one_person_at_two_stations_within_minutes() -> None:
    there = visit(1, MORNING + timedelta(minutes=4), "cnx-002")
    (anomaly,) = find([visit(1), there])
    assert (anomaly.sign, [one.station for one in anomaly.visits]) == ("two_places", ["bkk-001", "cnx-002"])
    assert signs([visit(1), visit(1, MORNING + timedelta(hours=8), "cnx-002", "out")]) == []
    assert signs([visit(1), visit(2, MORNING, "cnx-002")]) == []


def test_t82_the_same_pupil_in_at_two_stations_of_a_school() -> None:
    assert signs([visit(1), visit(1, MORNING + timedelta(hours=1), "bkk-002")]) == ["twice_in"]
    out = visit(1, MORNING + timedelta(minutes=30), choice="out")
    assert signs([visit(1), out, visit(1, MORNING + timedelta(hours=1), "bkk-002")]) == []


@pytest.mark.parametrize(
    ("start", "expected"), [(NIGHT, {"drawer_of_cards", "night_burst"}), (MORNING, {"drawer_of_cards"})]
)
def test_t67_a_drawer_of_cards(start: datetime, expected: set[str]) -> None:
    people = list(range(30))
    before = line_up(people, start - timedelta(days=1), 4)
    found = find(line_up(people, start, 4), before)
    assert {anomaly.sign for anomaly in found} == expected
    drawer = next(anomaly for anomaly in found if anomaly.sign == "drawer_of_cards")
    assert [one.citizen_id for one in drawer.visits] == [citizen_number(who) for who in people]


def test_a_drawer_that_was_shuffled_or_begins_elsewhere() -> None:
    before = line_up(range(30), MORNING - timedelta(days=1), 4)
    shuffled = random.Random(3).sample(range(30), 30)
    assert signs(line_up(shuffled, MORNING, 4), before) == []
    assert signs(line_up([*range(40, 45), *range(12, 26)], MORNING, 4), before) == ["drawer_of_cards"]


def test_an_honest_morning_holds_no_sign() -> None:
    rng = random.Random(5)
    days = []
    for back in range(5):
        at, day = MORNING - timedelta(days=back), []
        for who in rng.sample(range(600), 600):
            at += timedelta(seconds=rng.uniform(2.5, 9))
            day.append(visit(who, at))
        days.append(day)
    assert signs(days[0], [one for day in days[1:] for one in day]) == []


def test_a_burst_by_day_and_a_few_at_night_are_none() -> None:
    assert signs(line_up(range(30), MORNING, 4)) == []
    assert signs(line_up(range(4), NIGHT, 4)) == []
    assert signs(line_up(range(5), NIGHT, 40)) == []


def test_many_vouches_of_one_officer() -> None:
    times = [MORNING + timedelta(minutes=at) for at in range(12)]
    assert signs([vouch(at) for at in times]) == ["many_vouches"]
    crowd = line_up(range(200), MORNING, 30)
    assert signs([*crowd, *(vouch(at) for at in times)]) == [], "twelve of two hundred"
    assert signs([vouch(at) for at in times[:10]]) == []
    assert signs([vouch(at, 51 + number % 2) for number, at in enumerate(times)]) == []


def test_two_stations_apart_for_an_hour_make_one_attendance_and_one_anomaly(office: Office) -> None:
    pupil = Pupil.make(1)
    office.desk.import_roster([pupil], office.folder)
    other = Station("bkk-002")
    office.desk.enrol(other, office.folder)
    office.take(office.station.started(), office.station.visit(pupil, "in", MORNING))
    office.take(other.started(), other.visit(pupil, "in", MORNING + timedelta(hours=1)), station="bkk-002")
    (line,) = office.desk.run("attendance", "--date", DAY, "--format", "json").json()
    assert (line["station"], line["first_in"], line["events"]) == ("bkk-001", "07:42:10", 2)
    (sign,) = office.desk.run("anomalies", "--date", DAY, "--json").json()
    assert (sign["sign"], sign["stations"], sign["people"]) == ("twice_in", "bkk-001 bkk-002", 1)
    assert pupil.citizen_id not in str(sign)
    assert len(sign["events"].split()) == 2


def test_the_command_compares_with_the_days_before(office: Office) -> None:
    pupils = [Pupil.make(number) for number in range(10)]
    station = office.station
    office.take(station.started())
    for day in (1, 0):
        times = [MORNING - timedelta(days=day) + timedelta(seconds=4 * at) for at in range(10)]
        office.take(*(station.visit(pupil, "in", at) for pupil, at in zip(pupils, times, strict=True)))
    assert [one["sign"] for one in office.desk.run("anomalies", "--date", DAY, "--json").json()] == ["drawer_of_cards"]
    assert office.desk.run("anomalies", "--date", DAY, "--json", "--back", 0).json() == []
    table = office.desk.run("anomalies", "--date", DAY)
    assert (table.code, "drawer_of_cards" in table.out) == (0, True)
    assert not any(pupil.citizen_id in table.out for pupil in pupils)
    assert office.desk.run("anomalies", "--date", "yesterday").code == 2
