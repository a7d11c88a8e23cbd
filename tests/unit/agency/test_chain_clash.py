"""Two stations that name the same chain: they never meet, both are covered, and the audit tells of it."""

from pathlib import Path

import pytest

from agency.ingest.receipts import Address, compose
from agency.store import chains
from agency.store.stations import find_station
from appliance.events.chain import Position
from appliance.events.receipt import Receipt
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Pupil, Station, jws_hash, visits


@pytest.fixture
def squatter(office: Office) -> Station:
    """Return another station that has learnt the first one's chain before it ever spoke."""
    other = Station("cnx-002")
    office.desk.enrol(other, office.folder)
    other.next = Position(office.station.next.chain, 1, other.signer.kid)
    return other


def receipt(office: Office, station: Station) -> Receipt:
    with office.database.read() as connection:
        return compose(connection, Address(station.id, station.chain), 1)


def test_who_takes_a_chain_first_keeps_nobody_out(office: Office, squatter: Station) -> None:
    theirs, ours = visits(squatter, 4), visits(office.station, 2)
    tally = office.take(*theirs, station=squatter.id)
    assert dict(tally.outcomes) == {(squatter.id, "new"): 5}
    tally = office.take(*ours)
    assert dict(tally.outcomes) == {(office.station.id, "new"): 3}
    assert list(tally.urgencies) == [Address(office.station.id, office.station.chain)]
    for station, lines in ((squatter, theirs), (office.station, ours)):
        held = receipt(office, station)
        assert (held.station, held.through, held.hash) == (station.id, len(lines), jws_hash(lines[-1]))
        assert (held.missing, held.quarantined) == ([], [])


def test_quarantine_and_forks_of_one_chain_are_not_those_of_the_other(office: Office, squatter: Station) -> None:
    for station in (squatter, office.station):
        lines = [station.started(), station.poison()]
        here = station.next
        lines.append(station.visit(Pupil.make(1)))
        station.next = here
        lines.append(station.visit(Pupil.make(2)))
        outcomes = office.take(*lines, station=station.id).outcomes
        assert dict(outcomes) == {(station.id, "new"): 2, (station.id, "quarantined"): 1, (station.id, "fork"): 1}
        held = receipt(office, station)
        assert (held.through, held.quarantined) == (3, [{"sequence": 2, "code": "schema"}])
    with office.database.read() as connection:
        assert {fork.kid for fork in chains.list_forks(connection)} == {squatter.signer.kid, office.station.signer.kid}


def test_a_gap_of_one_chain_is_not_filled_by_the_other(office: Office, squatter: Station) -> None:
    theirs, ours = visits(squatter, 3), visits(office.station, 3)
    office.take(*theirs, station=squatter.id)
    office.take(ours[0], ours[3])
    assert (receipt(office, office.station).through, receipt(office, office.station).missing) == (1, [[2, 3]])


def test_the_audit_tells_of_the_clash_and_nobody_is_flagged_by_ingest(office: Office, squatter: Station) -> None:
    office.take(*visits(squatter, 1), station=squatter.id)
    assert office.desk.run("audit").code == 0
    office.take(*visits(office.station, 1))
    ran = office.desk.run("audit", "--json")
    assert ran.code == 1
    chain = office.station.next.chain
    found = [(problem["code"], problem["station"], problem["place"]) for problem in ran.json()["problems"]]
    assert sorted(found) == [("clash", "bkk-001", chain), ("clash", "cnx-002", chain)]
    with office.database.read() as connection:
        summaries = [find_station(connection, name) for name in ("bkk-001", "cnx-002")]
    assert [summary and summary.flag for summary in summaries] == [None, None]


def test_an_export_of_both_verifies_and_show_tells_them_apart(
    office: Office, squatter: Station, tmp_path: Path
) -> None:
    office.take(*visits(squatter, 1), station=squatter.id)
    office.take(*visits(office.station, 2))
    file = tmp_path / "export.jws"
    file.write_text(office.desk.run("events", "export").out, "utf-8")
    result = office.desk.run("verify", file, "--json").json()
    assert (result["events"], result["chains"], result["problems"]) == (5, 2, [])
    shown = office.desk.run("events", "show", office.station.next.chain, 1).out
    assert all(f'"signed_by": "{station.signer.kid}"' in shown for station in (squatter, office.station))
