"""What a station's own key can sign and no honest station says: the audit and ``verify`` tell of each."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agency.ingest.batch import Bundle, take
from agency.ingest.rows import event_row
from agency.reports.audit import Audit
from appliance.events.chain import Position
from appliance.events.cloud_event import envelope, seal_context
from appliance.events.seal import generate_sealing_key, public_sealing_key, seal
from appliance.events.ulid import new_ulid
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import CLOCK, MORNING, Pupil, Station, audited, visits
from tests.unit.agency.test_gaps import begin_anew
from tests.unit.agency.test_proof import exported, verified

DAY = timedelta(days=1)


def audit_of(office: Office) -> Audit:
    with office.database.read() as connection:
        return audited(connection, office.desk.home)


def found(office: Office) -> list[tuple[str, str]]:
    """Return code and place of what the audit finds; the place without the chain."""
    told = audit_of(office).problems
    assert {problem.station for problem in told} <= {"bkk-001"}
    return [(problem.code, problem.place.rpartition("/")[2]) for problem in told]


def told_by_verify(office: Office) -> list[tuple[int, str]]:
    ran = verified(office, exported(office))
    return [(problem["line"], problem["code"]) for problem in ran.json()["problems"]]


def append(station: Station, change: Callable[[dict[str, Any]], dict[str, Any]], number: int = 1) -> str:
    return station._append(change(station.visit_payload(Pupil.make(number))))


def test_honest_events_are_clean(office: Office) -> None:
    office.take(*visits(office.station, 5))
    assert (found(office), told_by_verify(office)) == ([], [])
    assert "seals_not_opened" not in audit_of(office).counts


def test_an_event_that_is_dated_back_is_told(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 2), station.visit(Pupil.make(5), at=MORNING - 30 * DAY), station.visit(Pupil.make(6)))
    assert found(office) == [("time", "4")]
    assert told_by_verify(office) == [(4, "time")]
    assert "before the event before it" in audit_of(office).problems[0].text


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def jump(station: Station, to: datetime, at: datetime) -> str:
    told = {"from": stamp(at), "to": stamp(to), "seconds": (to - at).total_seconds()}
    data = {"clock": CLOCK, "jump": told}
    return station._append(envelope(station.origin, station.next, "clock.jumped.v1", at, data))


def test_a_clock_that_was_set_back_with_a_signed_word_is_told_once(office: Office) -> None:
    station = office.station
    future = MORNING + timedelta(hours=30)
    lines = [station.started(), station.visit(Pupil.make(1), at=future), jump(station, MORNING, future)]
    lines += [station.visit(Pupil.make(number), at=MORNING + timedelta(minutes=number)) for number in range(2, 6)]
    office.take(*lines)
    assert (found(office), told_by_verify(office)) == ([("time", "3")], [])
    assert "set back to" in audit_of(office).problems[0].text
    office.take(station.visit(Pupil.make(7), at=MORNING))
    assert found(office) == [("time", "3"), ("time", "8")]


def test_a_clock_that_was_set_back_by_a_minute_is_no_finding(office: Office) -> None:
    station, before = office.station, MORNING - timedelta(minutes=1)
    office.take(station.started(), jump(station, before, MORNING), station.visit(Pupil.make(1), at=before))
    assert (found(office), told_by_verify(office)) == ([], [])


def test_after_a_jump_nothing_is_earlier_than_it_said(office: Office) -> None:
    station = office.station
    office.take(
        station.started(), jump(station, MORNING - DAY, MORNING), station.visit(Pupil.make(1), at=MORNING - 2 * DAY)
    )
    assert found(office) == [("time", "2"), ("time", "3")]
    assert told_by_verify(office) == [(3, "time")]


def test_a_clock_that_was_set_forward_is_no_finding(office: Office) -> None:
    station = office.station
    old = MORNING.replace(year=2025)
    lines = [
        station._append(
            envelope(
                station.origin, station.next, "station.enrolled.v1", old, {"clock": CLOCK, "key": station.signer.kid}
            )
        )
    ]
    lines += [jump(station, MORNING, old), station.visit(Pupil.make(1))]
    office.take(*lines)
    assert (found(office), told_by_verify(office)) == ([], [])


def test_an_event_of_the_same_instant_is_not_dated_back(office: Office) -> None:
    station = office.station
    same = MORNING.astimezone(tz=None)
    office.take(*visits(station, 2), station.visit(Pupil.make(5), at=same))
    assert (found(office), told_by_verify(office)) == ([], [])


def test_events_of_years_to_come_are_told_once_for_a_stretch(office: Office) -> None:
    station, now = office.station, datetime.now(MORNING.tzinfo)
    first = visits(station, 1)
    ahead = [station.visit(Pupil.make(n), at=now + 3650 * DAY) for n in range(4)]
    office.take(*first, *ahead, station.visit(Pupil.make(5)))
    assert found(office) == [("time", "7"), ("time", "3")]
    assert "4 events to 6 came up to 3649 days" in audit_of(office).problems[1].text


def test_a_clock_that_is_a_little_fast_is_none_of_it(office: Office) -> None:
    station = office.station
    now = datetime.now(MORNING.tzinfo)
    office.take(station.started(), station.visit(Pupil.make(1), at=now + timedelta(minutes=4)))
    assert found(office) == []
    office.take(station.visit(Pupil.make(1), at=now + timedelta(minutes=7)))
    assert found(office) == [("time", "3")]


def test_one_visit_that_was_signed_twice_is_told(office: Office) -> None:
    station, id_ = office.station, new_ulid(1_790_000_000_000)
    office.take(station.started(), *(append(station, lambda payload: payload | {"id": id_}) for _ in range(2)))
    assert found(office) == [("twice", "3")]
    assert told_by_verify(office) == [(3, "twice")]


def test_a_visit_that_comes_again_in_another_chain_is_told(office: Office) -> None:
    station, id_ = office.station, new_ulid(1_790_000_000_000)
    office.take(station.started(), append(station, lambda payload: payload | {"id": id_}))
    office.take(begin_anew(station, []), append(station, lambda payload: payload | {"id": id_}))
    office.desk.run("station", "clear", "bkk-001")
    assert found(office) == [("twice", "2")]


def test_the_clock_of_one_station_says_nothing_of_another_s(office: Office) -> None:
    other = Station("cnx-002")
    office.desk.enrol(other, office.folder)
    office.take(*visits(office.station, 1))
    enrolled = {"clock": CLOCK, "key": other.signer.kid}
    office.take(
        other._append(envelope(other.origin, other.next, "station.enrolled.v1", MORNING - DAY, enrolled)),
        station="cnx-002",
    )
    assert audit_of(office).problems == []


def test_two_stations_may_hit_upon_one_id(office: Office) -> None:
    other = Station("cnx-002")
    office.desk.enrol(other, office.folder)
    id_ = new_ulid(1_790_000_000_000)
    office.take(office.station.started(), append(office.station, lambda payload: payload | {"id": id_}))
    office.take(other.started(), append(other, lambda payload: payload | {"id": id_}), station="cnx-002")
    assert (audit_of(office).problems, told_by_verify(office)) == ([], [])


def test_a_seal_that_does_not_open_is_told(office: Office) -> None:
    station = office.station

    def spoil(payload: dict[str, Any]) -> dict[str, Any]:
        text = payload["data"]["sealed"]["ciphertext"]
        payload["data"]["sealed"]["ciphertext"] = ("A" if text[0] != "A" else "B") + text[1:]
        return payload

    office.take(station.started(), append(station, spoil))
    assert found(office) == [("seal", "2")]


def test_a_seal_to_other_keys_under_the_names_of_ours_is_told(office: Office) -> None:
    station = office.station
    strangers = [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]

    def reseal(payload: dict[str, Any]) -> dict[str, Any]:
        sealed = seal({"citizen_id": "x"}, strangers, seal_context(payload["source"], station.next))
        for recipient, ours in zip(sealed["recipients"], payload["data"]["sealed"]["recipients"], strict=True):
            recipient["header"]["kid"] = ours["header"]["kid"]
        return {**payload, "data": {**payload["data"], "sealed": sealed}}

    office.take(station.started(), append(station, reseal))
    assert found(office) == [("seal", "2")]


def test_seals_whose_keys_are_elsewhere_are_counted_and_said(office: Office) -> None:
    office.take(*visits(office.station, 3))
    for path in (*office.desk.home.keys.glob("duty*.jwk"), *office.desk.home.keys.glob("escrow*.jwk")):
        path.unlink()
    ran = office.desk.run("audit", "--json")
    assert (ran.code, ran.json()["counts"]["seals_not_opened"]) == (0, 3)
    assert "3 seals were not opened" in ran.err


def test_a_profile_that_the_agency_never_had_is_told_once(office: Office) -> None:
    station = office.station

    def unknown(payload: dict[str, Any]) -> dict[str, Any]:
        payload["data"]["service"] = {"id": "school.attendance", "version": 9, "sha256": "B" * 43}
        return payload

    office.take(station.started(), append(station, unknown), append(station, unknown))
    (problem,) = audit_of(office).problems
    assert (problem.code, problem.text.split()[0]) == ("service", "2")


def test_a_rule_that_the_ingest_did_not_know_is_asked_by_the_audit(office: Office) -> None:
    station = office.station

    def unchecked(payload: dict[str, Any]) -> dict[str, Any]:
        payload["data"]["checks"] = {"checksum": {"result": "pass"}}
        return payload

    lines = [station.started(), append(station, unchecked)]
    take(office.database, replace(office.rules, required={}), [Bundle(station.id, "\n".join(lines).encode())])
    assert found(office) == [("content", "2")]


def test_a_second_chain_that_nothing_tells_of_is_told_for_ever(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    station = office.station
    office.take(*visits(station, 3))
    station.next = Position(new_ulid(1_790_000_100_000), 1, station.signer.kid)
    with caplog.at_level(logging.ERROR):
        office.take(station.started(), station.visit(Pupil.make(9)))
    assert "station bkk-001: second_chain" in caplog.text
    assert [code for code, _ in found(office)] == ["flag", "second_chain"]
    cleared = office.desk.run("station", "clear", "bkk-001")
    assert (cleared.code, cleared.err) == (0, "bkk-001: the flag second_chain is cleared\n")
    assert [code for code, _ in found(office)] == ["second_chain"]
    assert office.desk.run("station", "clear", "bkk-001").err == "bkk-001 has no flag\n"
    assert office.desk.run("station", "clear", "none").code == 2


def test_a_chain_that_is_told_of_is_flagged_until_somebody_looks(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    station = office.station
    office.take(*visits(station, 3))
    with caplog.at_level(logging.ERROR):
        office.take(begin_anew(station, []))
    assert "station bkk-001: chain_broken" in caplog.text
    assert found(office) == [("flag", "chain_broken")]
    office.desk.run("station", "clear", "bkk-001")
    assert found(office) == []


def test_a_tail_that_a_new_chain_names_and_nobody_sent_is_told(office: Office) -> None:
    station = office.station
    lines = visits(station, 6)
    office.take(*lines[:4])
    office.take(begin_anew(station, [[6, 6]]))
    office.desk.run("station", "clear", "bkk-001")
    assert found(office) == [("missing", "7")]
    assert "5 to 7 are not held" in audit_of(office).problems[0].text
    office.take(lines[4], lines[6])
    assert [code for code, _ in found(office)] == ["excused"]


def test_a_tail_that_is_told_as_lost_is_named_too(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 6)[:4])
    office.take(begin_anew(station, [[5, 7]]))
    office.desk.run("station", "clear", "bkk-001")
    (problem,) = audit_of(office).problems
    assert (problem.code, problem.text.partition(":")[0]) == ("excused", "5 to 7 are not held")


def test_an_event_that_trips_the_ledger_costs_its_neighbours_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def trip(finding: Any, position: Position, now: str) -> Any:
        if position.sequence == 3:
            raise OverflowError("a secret")
        return event_row(finding, position, now)

    monkeypatch.setattr("agency.ingest.commit.event_row", trip)
    tally = office.take(*visits(office.station, 5))
    assert tally.outcomes == {("bkk-001", "new"): 5, ("bkk-001", "quarantined"): 1}
    assert found(office) == [("quarantine", "3")]
    assert "OverflowError" in caplog.text
    assert "secret" not in caplog.text
