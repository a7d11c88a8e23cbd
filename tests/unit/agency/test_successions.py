"""Chains after chains: what a station says of the one before, and what an audit goes on saying once somebody looked."""

from typing import Any

import pytest

from appliance.events.chain import Position
from appliance.events.cloud_event import envelope
from appliance.events.ulid import new_ulid
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import CLOCK, MORNING, Pupil, Station, visits
from tests.unit.agency.test_gaps import begin_anew, problems

NEVER_HELD = new_ulid(1_790_000_050_000)


def codes(office: Office) -> list[str]:
    return [code for code, _ in problems(office)]


def broken_chains(office: Office) -> int:
    return int(office.desk.run("audit", "--json").json()["counts"].get("broken_chains", 0))


@pytest.mark.parametrize("changes", [{"chain": None, "sequence": None, "hash": None}, {"chain": NEVER_HELD}])
def test_a_new_chain_that_names_none_that_is_held_is_told_for_ever(office: Office, changes: dict[str, Any]) -> None:
    """Whoever drops an unsent tail must not get away with knowing nothing of it."""
    office.take(*visits(office.station, 4)[:3])
    office.take(begin_anew(office.station, [], **changes), office.station.visit(Pupil.make(7)))
    assert codes(office) == ["lost_chain"]


def test_a_new_chain_that_names_itself_names_none(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 3))
    station.next = Position(new_ulid(1_790_000_100_000), 1, station.signer.kid)
    own = {"chain": station.next.chain, "sequence": 1, "hash": None, "receipt": None, "lost": [], "salvaged": 0}
    data = {"clock": CLOCK, "broken": own}
    office.take(station._append(envelope(station.origin, station.next, "chain.broken.v1", MORNING, data)))
    assert codes(office) == ["lost_chain"]


def test_a_first_chain_that_says_it_is_not_the_first_is_told(office: Office) -> None:
    office.take(begin_anew(office.station, [], chain=None, sequence=None, hash=None))
    assert [problem["code"] for problem in office.desk.run("audit", "--json").json()["problems"]] == ["lost_chain"]


def test_honest_breaks_are_counted(office: Office) -> None:
    office.take(*visits(office.station, 3))
    office.take(begin_anew(office.station, []))
    assert (codes(office), broken_chains(office)) == ([], 1)


def test_a_break_that_says_nothing_is_kept_apart_and_counts_for_none(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 3))
    station.next = Position(new_ulid(1_790_000_100_000), 1, station.signer.kid)
    said = envelope(station.origin, station.next, "station.started.v1", MORNING, {"clock": CLOCK})
    mute = station._append({**said, "type": "chain.broken.v1"})
    tally = office.take(mute, station.visit(Pupil.make(7)))
    assert tally.outcomes == {("bkk-001", "quarantined"): 1, ("bkk-001", "new"): 1}
    assert sorted(codes(office)) == ["quarantine", "second_chain"]


def test_who_is_damaged_twice_is_no_second_station(office: Office) -> None:
    """The event that told of the first break can be what the second one cost."""
    station = office.station
    office.take(*visits(station, 3))
    begin_anew(station, [])
    office.take(station.visit(Pupil.make(7)), station.visit(Pupil.make(8)))
    assert sorted(codes(office)) == ["gap", "second_chain"]
    office.take(begin_anew(station, [[1, 1]]))
    assert codes(office) == ["excused"]


def test_one_chain_with_odd_words_hides_no_other(office: Office) -> None:
    """A first event that an older version took, and an honest successor of a second station."""
    station, other = office.station, Station("cnx-002")
    office.desk.enrol(other, office.folder)
    office.take(*visits(station, 2))
    office.take(begin_anew(station, [], chain=None))
    office.take(*visits(other, 2), station="cnx-002")
    office.take(begin_anew(other, [], chain=NEVER_HELD), station="cnx-002")
    assert office.desk.run("station", "clear", "cnx-002").code == 0
    assert codes(office) == ["lost_chain", "lost_chain"]


def test_a_break_that_names_a_chain_that_never_came_leaves_no_trace_of_an_intruder(office: Office) -> None:
    office.take(*visits(office.station, 3))
    office.take(begin_anew(office.station, [[1, 7]], chain=NEVER_HELD))
    assert codes(office) == ["lost_chain"]
