"""Gaps that are never filled: declared by the station that lost them, or given up by an operator; named for ever."""

from typing import Any

import pytest

from agency.ingest import commit, receipts
from agency.ingest.receipts import Address, compose
from agency.reports import excuses as audit_excuses
from agency.store import chains, gaps
from agency.store.chains import ChainKey
from agency.store.gaps import Excuse, GivenUp, excuses, put_excuses
from agency.store.stations import find_station
from appliance.events.chain import Position
from appliance.events.cloud_event import envelope
from appliance.events.receipt import Receipt
from appliance.events.sign import unverified_payload
from appliance.events.ulid import new_ulid
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import CLOCK, MORNING, Station, jws_hash, visits


def receipt(office: Office, key: ChainKey) -> Receipt:
    with office.database.read() as connection:
        return compose(connection, Address("bkk-001", key), 1)


def declared_lost(chain: str, lost: list[list[int]]) -> dict[str, Any]:
    return {"chain": chain, "sequence": lost[-1][-1], "hash": None, "receipt": None, "lost": lost, "salvaged": 0}


def begin_anew(station: Station, lost: list[list[int]], **changes: Any) -> str:
    """Return the first event of a new chain, which says what is lost of the one before."""
    broken = {
        "chain": station.next.chain,
        "sequence": station.next.sequence - 1,
        "hash": station.next.previous,
        "receipt": None,
        "lost": lost,
        "salvaged": 0,
        **changes,
    }
    station.next = Position(new_ulid(1_790_000_100_000), 1, station.signer.kid)
    data = {"clock": CLOCK, "broken": broken}
    return station._append(envelope(station.origin, station.next, "chain.broken.v1", MORNING, data))


def problems(office: Office) -> list[tuple[str, str]]:
    """Return what the audit finds, once somebody has looked at the new chain."""
    assert office.desk.run("station", "clear", "bkk-001").code == 0
    found = office.desk.run("audit", "--json").json()["problems"]
    return [(problem["code"], problem["text"]) for problem in found]


def test_what_a_station_declares_lost_is_passed_over_and_named(office: Office) -> None:
    station = office.station
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3], *lines[5:7], lines[8])
    assert receipt(office, old).missing == [[4, 5], [8, 8]]
    line = begin_anew(station, [[4, 5], [8, 8]])
    tally = office.take(line)
    assert set(tally.urgencies) == {Address("bkk-001", old), Address("bkk-001", station.chain)}
    held = receipt(office, old)
    assert (held.through, held.hash, held.missing) == (9, jws_hash(lines[8]), [])
    assert receipt(office, station.chain).through == 1
    with office.database.read() as connection:
        summary = find_station(connection, "bkk-001")
    assert summary is not None
    assert summary.flag == "chain_broken"
    assert problems(office) == [
        ("excused", f"4 to 5 are not held: declared lost in {jws_hash(line)}"),
        ("excused", f"8 to 8 are not held: declared lost in {jws_hash(line)}"),
    ]


def test_what_was_saved_may_come_after_the_declaration(office: Office) -> None:
    station = office.station
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3])
    office.take(begin_anew(station, [[4, 6]]))
    assert receipt(office, old).through == 3
    office.take(*lines[6:])
    assert receipt(office, old).through == 9
    office.take(*lines[3:6])  # found again after all: they take their places
    assert receipt(office, old).through == 9
    assert problems(office) == []


def test_a_gap_that_is_larger_than_what_was_declared_stays_one(office: Office) -> None:
    station = office.station
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3], *lines[7:])
    office.take(begin_anew(station, [[4, 5]]))
    held = receipt(office, old)
    assert (held.through, held.missing) == (3, [[6, 7]])
    assert problems(office) == [("gap", "4 to 7 are not held")]


@pytest.mark.parametrize("changes", [{"chain": None}, {"lost": []}, {"lost": [[7, 4]]}])
def test_a_declaration_that_names_nothing_excuses_nothing(office: Office, changes: dict[str, Any]) -> None:
    station = office.station
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3], *lines[7:])
    assert office.take(begin_anew(station, changes.pop("lost", []), **changes)).outcomes["bkk-001", "new"] == 1
    assert receipt(office, old).through == 3


def test_nobody_declares_the_events_of_another_key_lost(office: Office) -> None:
    station, other = office.station, Station("cnx-002")
    office.desk.enrol(other, office.folder)
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3], *lines[7:])
    office.take(begin_anew(other, [[4, 7]], chain=old.id, sequence=None, hash=None), station="cnx-002")
    assert receipt(office, old).through == 3


def test_a_declaration_by_a_revoked_key_is_not_believed(office: Office) -> None:
    station = office.station
    lines, old = visits(station, 8), station.chain
    office.take(*lines[:3], *lines[7:])
    assert office.desk.run("station", "revoke", "bkk-001").code == 0
    office.take(begin_anew(station, [[4, 7]]))
    assert receipt(office, old).through == 3


def test_an_operator_gives_up_what_is_missing(office: Office) -> None:
    lines, old = visits(office.station, 8), office.station.chain
    office.take(*lines[:3], *lines[7:])
    assert "nothing of" not in office.desk.run("station", "excuse", "bkk-001").err
    assert receipt(office, old).missing == []
    office.take(lines[8])  # the station sends again what is not covered
    assert receipt(office, old).through == 9
    assert problems(office) == [("excused", "4 to 7 are not held: an operator gave them up")]
    assert "nothing of bkk-001 is missing" in office.desk.run("station", "excuse", "bkk-001").err
    assert office.desk.run("station", "excuse", "bkk-404").code == 2


def test_excuses_join_where_they_touch_and_overlap() -> None:
    spans = ((20, 25), (3, 4), (4, 9), (21, 22), (10, 12))
    told = GivenUp(Excuse("c", "k", first, last, f"by {first}", "") for first, last in spans)
    assert [told.through(sequence) for sequence in (1, 3, 5, 10, 13, 20, 25, 26)] == [0, 12, 12, 12, 12, 25, 25, 25]
    assert (told.by(5), told.by(25)) == (["by 10", "by 3", "by 4"], ["by 20", "by 21"])
    assert GivenUp([]).through(1) == 0


def written_into_the_store(office: Office, old: ChainKey, by: str) -> None:
    with office.database.write() as connection:
        put_excuses(connection, old, [Excuse(old.id, old.kid, 4, 6, by, "2026-11-23")])


@pytest.mark.parametrize("by", ["nothing", "an event that says nothing of it", "an event that says something else"])
def test_an_excuse_that_somebody_wrote_into_the_store_is_none_for_the_audit(office: Office, by: str) -> None:
    station, old = office.station, office.station.chain
    lines = visits(station, 9)
    office.take(*lines[:3], *lines[6:])
    broken = begin_anew(station, [[8, 8]])
    office.take(broken)
    word = {"nothing": "x" * 43, "an event that says nothing of it": jws_hash(lines[1])}.get(by, jws_hash(broken))
    written_into_the_store(office, old, word)
    office.take(lines[9])
    found = [code for code, _ in problems(office) if code != "excused"]
    assert (found[0], found[1] in ("missing", "gap")) == ("edited", True)


def test_what_is_held_counts_whatever_the_station_says_of_it(office: Office) -> None:
    station, old = office.station, office.station.chain
    office.take(*visits(station, 9))
    office.take(begin_anew(station, [[1, 10]]))
    assert receipt(office, old).through == 10
    assert problems(office) == []


def test_a_chain_cannot_excuse_its_own_gaps(office: Office) -> None:
    station, old = office.station, office.station.chain
    lines = visits(station, 9)
    office.take(*lines[:3], *lines[6:])
    own = {"chain": old.id, "sequence": 9, "hash": None, "receipt": None, "lost": [[4, 6]], "salvaged": 0}
    data = {"clock": CLOCK, "broken": own}
    office.take(station._append(envelope(station.origin, station.next, "chain.broken.v1", MORNING, data)))
    assert (receipt(office, old).through, receipt(office, old).missing) == (3, [[4, 6]])


def test_a_gap_costs_the_same_however_much_is_held_above_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves a gap open and sends on must not have every batch read all of it again."""
    station, old = office.station, office.station.chain
    lines = visits(station, 60)
    office.take(*lines[:2])
    for at in range(5, 55, 10):
        office.take(*lines[at : at + 10])
    read: list[int] = []
    between, after = chains.links_between, chains.links_after

    def counted(*arguments: Any) -> Any:
        found = between(*arguments)
        read.append(len(found))
        return found

    def counted_after(*arguments: Any) -> Any:
        found = list(after(*arguments))
        read.append(len(found))
        return iter(found)

    monkeypatch.setattr(commit, "_PIECE", 4)
    monkeypatch.setattr(chains, "links_between", counted)
    monkeypatch.setattr(chains, "links_after", counted_after)
    office.take(*lines[55:])
    assert sum(read) < 10
    assert receipt(office, old).missing == [[3, 5]]
    office.take(*lines[2:5])
    assert (receipt(office, old).through, receipt(office, old).missing) == (61, [])


def test_gaps_far_above_are_asked_for_when_the_ones_below_are_filled(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    station, old = office.station, office.station.chain
    lines = visits(station, 30)
    monkeypatch.setattr(receipts, "_MOST_LOOKED_AT", 5)
    office.take(*lines[:2], *lines[3:9])
    office.take(*lines[20:])
    assert receipt(office, old).missing == [[3, 3]]
    office.take(lines[2])
    assert receipt(office, old).missing == [[10, 20]]


def test_a_chain_in_a_thousand_pieces_holds_nobody_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who declares every second event lost must not have the others wait for it behind the write lock."""
    station, old = office.station, office.station.chain
    lines = visits(station, 1200)
    office.take_together(lines[at : at + 20 : 2] for at in range(0, len(lines), 20))
    lost = [[sequence, sequence] for sequence in range(2, 1201, 2)]
    asked: list[int] = []

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return excuses(*arguments)

    monkeypatch.setattr(commit, "excuses", counted)
    monkeypatch.setattr(receipts, "excuses", counted)
    first = begin_anew(station, lost[:500])
    broken = {**unverified_payload(first)["data"]["broken"], "lost": lost[500:]}
    data = {"clock": CLOCK, "broken": broken}
    second = station._append(envelope(station.origin, station.next, "chain.broken.v1", MORNING, data))
    office.take(first, second)
    assert receipt(office, old).through == 1201
    assert len(asked) == 2


def test_pieces_beyond_the_most_wait_for_an_operator(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    station, old = office.station, office.station.chain
    monkeypatch.setattr(commit, "MOST_DECLARED", 2)
    lines = visits(station, 9)
    office.take(lines[0], lines[2], lines[4], lines[6], *lines[8:])
    office.take(begin_anew(station, [[2, 2], [4, 4], [6, 6], [8, 8]]))
    assert receipt(office, old).missing == [[6, 6], [8, 8]]
    assert office.desk.run("station", "excuse", "bkk-001").code == 0
    assert receipt(office, old).missing == []


def test_chains_that_nobody_holds_are_excused_up_to_a_limit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "MOST_CHAINS", 3)
    lines = visits(office.station, 9)
    office.take(*lines[:3], *lines[5:])
    invented = [new_ulid(1_790_000_200_000 + at) for at in range(5)]
    for one in invented:
        data = {"clock": CLOCK, "broken": declared_lost(one, [[1, 9]])}
        station = office.station
        office.take(station._append(envelope(station.origin, station.next, "chain.broken.v1", MORNING, data)))
    with office.database.read() as connection:
        held = [len(excuses(connection, ChainKey(one, office.station.signer.kid))) for one in invented]
        summary = find_station(connection, "bkk-001")
    assert held == [1, 1, 1, 0, 0]
    assert summary is not None
    assert summary.flag == "too_many_chains"
    old = office.station.chain
    office.take(begin_anew(office.station, [[4, 5]]))
    assert receipt(office, old).missing == [], "a chain that is held is excused all the same"


def test_the_audit_reads_what_a_key_declares_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = visits(office.station, 9)
    office.take(*lines[:3], lines[4], *lines[6:])
    office.take(begin_anew(office.station, [[4, 4], [6, 6]]))
    asked: list[str] = []

    def counted(connection: Any, kid: str) -> Any:
        asked.append(kid)
        return gaps.declaring_events(connection, kid)

    monkeypatch.setattr(audit_excuses, "declaring_events", counted)
    assert [code for code, _ in problems(office)] == ["excused", "excused"]
    assert asked == [office.station.signer.kid]
