"""Commit, chains and the high-water mark, on a real database: what is new, what comes again, what contradicts."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from agency.ingest import commit
from agency.ingest.batch import Bundle, Tally, take
from agency.ingest.receipts import Address, Urgency, compose
from agency.store import chains
from agency.store.database import Database
from agency.store.stations import find_station
from appliance.events.chain import Position
from appliance.events.receipt import Receipt
from appliance.events.sign import DOCUMENT_TYPE, EVENT_TYPE, Signer, mirrored
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Desk, Pupil, Station, jws_hash, visits


@pytest.fixture
def es256_office(desk: Desk, tmp_path: Path) -> Iterator[Office]:
    station = Station("bkk-001", signer=Signer(dict(ECKey.generate_key("P-256").as_dict(private=True))))
    desk.enrol(station, tmp_path)
    with Database.open(desk.home.database) as database:
        yield Office(desk, database, station, tmp_path)


def outcomes(tally: Tally) -> dict[str, int]:
    return {outcome: count for (_, outcome), count in tally.outcomes.items()}


def receipt(office: Office) -> Receipt:
    address = Address(office.station.id, office.station.chain)
    with office.database.read() as connection:
        return compose(connection, address, 1)


def flag(office: Office) -> str | None:
    with office.database.read() as connection:
        found = find_station(connection, office.station.id)
    assert found is not None
    return found.flag


def test_a_bundle_is_committed_and_covered(office: Office) -> None:
    lines = visits(office.station, 3)
    assert outcomes(office.take(*lines)) == {"new": 4}
    held = receipt(office)
    assert (held.through, held.hash, held.missing, held.quarantined) == (4, jws_hash(lines[-1]), [], [])
    assert held.sign(Signer.generate())


def test_the_same_events_again_change_nothing(office: Office) -> None:
    lines = visits(office.station, 2)
    office.take(*lines)
    before = receipt(office)
    assert outcomes(office.take(*lines)) == {"duplicate": 3}
    assert replace(receipt(office), committed_at=before.committed_at) == before


def test_a_gap_holds_the_mark_and_is_named_until_it_is_filled(office: Office) -> None:
    lines = visits(office.station, 6)
    office.take(lines[0], lines[3], lines[6])
    held = receipt(office)
    assert (held.through, held.missing) == (1, [[2, 3], [5, 6]])
    office.take(lines[2], lines[1])
    held = receipt(office)
    assert (held.through, held.missing, held.hash) == (4, [[5, 6]], jws_hash(lines[3]))
    office.take(lines[4], lines[5])
    assert (receipt(office).through, receipt(office).missing) == (7, [])


def test_a_chain_may_arrive_from_its_end(office: Office) -> None:
    lines = visits(office.station, 3)
    for line in reversed(lines):
        office.take(line)
    assert receipt(office).through == 4


def test_another_event_in_the_same_place_is_a_fork_and_both_are_kept(office: Office) -> None:
    station = office.station
    office.take(station.started())
    here = station.next
    first = station.visit(Pupil.make(1))
    station.next = here
    second = station.visit(Pupil.make(2))
    office.take(first)
    assert outcomes(office.take(second)) == {"fork": 1}
    assert outcomes(office.take(second)) == {"duplicate": 1}
    with office.database.read() as connection:
        (fork,) = chains.list_forks(connection)
    assert (fork.hash, fork.reason, fork.jws) == (jws_hash(second), "other_hash", second)
    assert (receipt(office).through, receipt(office).hash) == (2, jws_hash(first))
    assert flag(office) == "fork"


def test_the_mirrored_signature_of_an_event_is_no_fork(es256_office: Office) -> None:
    lines = visits(es256_office.station, 2)
    es256_office.take(*lines)
    mirrors = [str(mirrored(line)) for line in lines]
    assert not set(mirrors) & set(lines)
    assert outcomes(es256_office.take(*mirrors)) == {"duplicate": 3}
    assert (receipt(es256_office).through, receipt(es256_office).hash) == (3, jws_hash(lines[2]))
    assert flag(es256_office) is None


@pytest.mark.parametrize("signature", ["AAAA", "", "A" * 86, "!"])
def test_a_vouched_line_with_any_signature_in_a_taken_place_is_a_fork_and_trips_nothing(
    es256_office: Office, signature: str
) -> None:
    station = es256_office.station
    lines = visits(station, 1)
    es256_office.take(*lines)
    spoilt = f"{lines[1].rpartition('.')[0]}.{signature}"
    station.next = Position(station.next.chain, 3, jws_hash(spoilt))
    tally = es256_office.take(spoilt, station.visit(Pupil.make(3)))
    assert "new" not in outcomes(tally)
    assert receipt(es256_office).through == 2


def test_an_event_that_does_not_link_is_never_covered(office: Office) -> None:
    station = office.station
    office.take(station.started())
    honest = station.next
    station.next = Position(honest.chain, honest.sequence, jws_hash("another history"))
    assert outcomes(office.take(station.visit(Pupil.make(1)))) == {"fork": 1}
    assert receipt(office).through == 1
    assert flag(office) == "unlinked"
    station.next = honest
    assert outcomes(office.take(station.visit(Pupil.make(1)))) == {"new": 1}
    assert receipt(office).through == 2


def test_a_filler_that_does_not_fit_what_follows_is_a_fork(office: Office) -> None:
    station = office.station
    lines = visits(station, 2)
    office.take(lines[0], lines[2])
    station.next = Position(station.next.chain, 2, jws_hash(lines[0]))
    assert outcomes(office.take(station.visit(Pupil.make(9)))) == {"fork": 1}
    assert receipt(office).through == 1
    office.take(lines[1])
    assert receipt(office).through == 3


def test_the_first_event_must_name_the_key_of_its_chain(office: Office) -> None:
    office.station.next = Position(office.station.next.chain, 1, "B" * 43)
    assert outcomes(office.take(office.station.started())) == {"fork": 1}
    assert receipt(office).through == 0
    assert receipt(office).hash == office.station.signer.kid


def test_poison_is_set_apart_and_covered_and_its_neighbours_count(office: Office) -> None:
    station = office.station
    lines = [station.started(), station.poison(), station.visit(Pupil.make(2))]
    assert outcomes(office.take(*lines)) == {"new": 2, "quarantined": 1}
    held = receipt(office)
    assert (held.through, held.quarantined) == (3, [{"sequence": 2, "code": "schema"}])
    assert outcomes(office.take(*lines)) == {"duplicate": 3}


def test_poison_without_a_place_is_kept_and_never_covered(office: Office) -> None:
    station = office.station
    office.take(station.started())
    lost = station.signer.sign({"sequence": "two"}, EVENT_TYPE)
    assert outcomes(office.take(lost)) == {"quarantined": 1}
    assert outcomes(office.take(lost)) == {"duplicate": 1}
    assert receipt(office).through == 1


def test_a_garbled_line_spoils_only_itself(office: Office) -> None:
    lines = visits(office.station, 2)
    payload = b"\n".join([lines[0].encode(), b"\xff\xfe\x00 no text", lines[1].encode(), lines[2].encode()])
    assert outcomes(office.take_raw(payload)) == {"new": 3, "dropped": 1}
    assert receipt(office).through == 3


def test_a_forged_signature_is_dropped_and_leaves_nothing(office: Office) -> None:
    forger = Station(office.station.id, office.station.recipients)
    line = forger.started()
    assert outcomes(office.take(line)) == {"dropped": 1}
    with office.database.read() as connection:
        assert chains.list_chains(connection) == []
        assert chains.list_quarantined(connection) == []


def test_an_altered_event_is_dropped(office: Office) -> None:
    head, body, signature = office.station.started().split(".")
    other = "A" if body[40] != "A" else "B"
    assert outcomes(office.take(f"{head}.{body[:40]}{other}{body[41:]}.{signature}")) == {"dropped": 1}


def test_another_kind_of_message_by_the_same_key_is_no_event(office: Office) -> None:
    payload = office.station.visit_payload(Pupil.make(1))
    assert outcomes(office.take(office.station.signer.sign(payload, DOCUMENT_TYPE))) == {"dropped": 1}


def test_a_station_cannot_speak_for_another(office: Office) -> None:
    other = Station("cnx-002")
    office.desk.enrol(other, office.folder)
    assert outcomes(office.take(other.started(), station=office.station.id)) == {"dropped": 1}
    other.origin = replace(other.origin, station=office.station.id)
    assert outcomes(office.take(other.started(), station="cnx-002")) == {"quarantined": 1}


def test_a_station_cannot_write_into_the_chain_of_another(office: Office) -> None:
    office.take(office.station.started())
    other = Station("cnx-002")
    office.desk.enrol(other, office.folder)
    other.next = office.station.next
    assert outcomes(office.take(other.visit(Pupil.make(1)), station="cnx-002")) == {"new": 1}
    with office.database.read() as connection:
        held = [chain.kid for chain in chains.list_chains(connection, office.station.id)]
    assert held == [office.station.signer.kid]
    assert outcomes(office.take(office.station.visit(Pupil.make(1)))) == {"new": 1}
    assert (receipt(office).through, receipt(office).missing) == (2, [])


def test_a_second_chain_of_the_same_key_is_flagged(office: Office) -> None:
    office.take(office.station.started())
    twin = Station(office.station.id, office.station.recipients, office.station.signer)
    assert outcomes(office.take(twin.started())) == {"new": 1}
    assert flag(office) == "second_chain"


def test_a_key_that_begins_chain_after_chain_is_stopped(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "MOST_CHAINS", 2)
    twins = [Station(office.station.id, office.station.recipients, office.station.signer) for _ in range(3)]
    lines = [twin.started() for twin in twins]
    tally = office.take(*lines)
    assert outcomes(tally) == {"new": 2, "quarantined": 1}
    assert {address.chain for address in tally.urgencies} == {twin.chain for twin in twins[:2]}
    assert outcomes(office.take(lines[2], twins[0].visit(Pupil.make(1)))) == {"duplicate": 1, "new": 1}
    with office.database.read() as connection:
        assert [kept.code for kept in chains.list_quarantined(connection)] == ["too_many_chains"]


def test_what_a_revoked_station_sends_is_quarantined_and_never_covered(office: Office) -> None:
    lines = visits(office.station, 1)
    office.take(*lines)
    assert office.desk.run("station", "revoke", office.station.id).code == 0
    assert outcomes(office.take(office.station.visit(Pupil.make(5)))) == {"quarantined": 1}
    assert receipt(office).quarantined == [{"sequence": 3, "code": "revoked"}]
    assert receipt(office).through == 2


@pytest.mark.parametrize("payload", [b"", b"\n\n", b"x" * 32_769, b"\n".join([b"a.b.c"] * 33)])
def test_a_bundle_of_the_wrong_size_is_dropped_whole(office: Office, payload: bytes) -> None:
    assert outcomes(office.take_raw(payload)) == {"dropped": 1}


def test_a_batch_that_fails_half_way_leaves_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = visits(office.station, 3)

    def fails(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(chains, "move_high_water", fails)
        with pytest.raises(RuntimeError):
            office.take(*lines)
    assert outcomes(office.take(*lines)) == {"new": 4}


def test_an_alarm_is_raised_only_of_what_is_durable(office: Office) -> None:
    here = office.station.next
    office.take(office.station.started())
    office.station.next = here
    second = office.station.started()
    found: list[int] = []

    class Operator(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "fork" in record.getMessage():
                with office.database.read() as connection:
                    found.append(len(chains.list_forks(connection, office.station.id)))

    log = logging.getLogger("agency.ingest.batch")
    operator = Operator()
    log.addHandler(operator)
    try:
        office.take(second)
    finally:
        log.removeHandler(operator)
    assert found == [1]


def test_of_a_batch_that_is_rolled_back_no_alarm_is_raised(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(chains, "move_high_water", fails)
    with pytest.raises(RuntimeError):
        office.take(office.station.started(), office.station.poison(), "not.a.jws")
    assert caplog.text == ""


def test_receipts_name_at_most_a_hundred_gaps(office: Office) -> None:
    lines = visits(office.station, 240)
    for start in range(0, 241, 20):
        office.take(*lines[start : start + 20 : 2])
    held = receipt(office)
    assert (held.through, len(held.missing)) == (1, 100)
    assert held.missing[0] == [2, 2]
    assert held.sign(Signer.generate())


def test_the_log_names_station_and_counts_only(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    lines = [*visits(office.station, 2), office.station.poison(), "not.a.jws"]
    tally = office.take(*lines)
    assert tally.lines() == ["station bkk-001: 1 dropped, 3 new, 1 quarantined"]
    assert "station bkk-001: quarantined: schema" in caplog.text
    assert not any(line in caplog.text for line in lines)


def test_the_mark_never_passes_a_broken_link_whoever_put_it_there(office: Office) -> None:
    lines = visits(office.station, 3)
    office.take(lines[0], lines[2], lines[3])
    with office.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET previous = ? WHERE sequence = 4", ("D" * 43,))
    office.take(lines[1])
    assert (receipt(office).through, receipt(office).hash) == (3, jws_hash(lines[2]))


def test_only_a_single_event_that_comes_next_can_wait(office: Office) -> None:
    lines = visits(office.station, 8)
    address = Address(office.station.id, office.station.chain)
    assert office.take(lines[0]).urgencies == {address: Urgency.NEW}
    assert office.take(lines[1]).urgencies == {address: Urgency.NEW}
    assert office.take(*lines[2:4]).urgencies == {address: Urgency.BACKLOG}  # more than one
    assert office.take(lines[1]).urgencies == {address: Urgency.BACKLOG}  # the station is resending
    assert office.take(lines[6]).urgencies == {address: Urgency.BACKLOG}  # a gap opens
    assert office.take(lines[4]).urgencies == {address: Urgency.BACKLOG}  # is filled in part
    assert office.take(lines[5]).urgencies == {address: Urgency.BACKLOG}  # is closed
    assert office.take(lines[7]).urgencies == {address: Urgency.NEW}
    assert office.take("not.an.event").urgencies == {}


def test_two_messages_in_one_batch_are_a_backlog(office: Office) -> None:
    first, second = (Bundle(office.station.id, line.encode()) for line in visits(office.station, 1))
    tally = take(office.database, office.rules, [first, second])
    assert list(tally.urgencies.values()) == [Urgency.BACKLOG]


def test_a_quarantined_event_that_comes_next_can_wait_too(office: Office) -> None:
    office.take(office.station.started())
    assert list(office.take(office.station.poison()).urgencies.values()) == [Urgency.NEW]
