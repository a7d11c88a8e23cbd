"""What a forger does to events, rows, receipts and whole stations, and where each of it is found and named."""

import random
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agency.ingest.rows import told_columns
from agency.reports import receipts
from agency.store import chains
from agency.store.database import Database
from agency.store.epoch import Reach
from agency.store.stations import find_station
from agency.store.tables import SCHEMA_VERSION
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet, Signer, unverified_payload
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Pupil, Station, audited, jws_hash, visits
from tests.unit.agency.test_worker import Bench, event

LOWERED = "UPDATE chain SET high_water=4, hash=:hash"


@pytest.fixture
def bench(office: Office) -> Bench:
    """Return a worker that signs with the agency's own receipt key."""
    return Bench(office, Signer(office.desk.home.key("receipt")))


def edit(office: Office, *statements: str, **values: str) -> None:
    with sqlite3.connect(office.desk.home.database) as connection:
        for statement in statements:
            connection.execute(statement, values)


def found(office: Office) -> list[tuple[str, str]]:
    ran = office.desk.run("audit", "--json")
    return [(problem["code"], problem["text"]) for problem in ran.json()["problems"]]


def codes(office: Office) -> set[str]:
    return {code for code, _ in found(office)}


def test_the_last_rows_cannot_be_taken_off_with_their_mark(bench: Bench) -> None:
    lines = visits(bench.office.station, 5)
    bench.run(event(*lines))
    assert found(bench.office) == []
    edit(bench.office, "DELETE FROM event WHERE sequence > 4", LOWERED, hash=jws_hash(lines[3]))
    assert ("receipt", "a receipt was signed through 6; the high-water mark is 4") in found(bench.office)
    assert codes(bench.office) == {"receipt", "gone"}


def test_rows_above_the_mark_were_promised_to_nobody_and_come_again(bench: Bench) -> None:
    lines = visits(bench.office.station, 5)
    bench.run(event(lines[0], *lines[3:]))
    edit(bench.office, "DELETE FROM event WHERE sequence > 1")
    assert found(bench.office) == []
    (receipt,) = bench.run(event(*lines[1:]))
    assert (receipt.through, receipt.hash) == (6, jws_hash(lines[5]))
    assert found(bench.office) == []


def test_whoever_takes_the_receipt_along_is_found_by_the_next_event(bench: Bench) -> None:
    """Even where no audit had looked before."""
    lines = visits(bench.office.station, 5)
    bench.run(event(*lines))
    taken_off = ("DELETE FROM event WHERE sequence > 4", LOWERED, "DELETE FROM receipt")
    edit(bench.office, *taken_off, hash=jws_hash(lines[3]))
    assert found(bench.office) == []
    bench.run(event(bench.office.station.visit(Pupil.make(9))))
    assert found(bench.office) == [("gap", "5 to 6 are not held")]


@pytest.mark.parametrize(
    ("statement", "code", "text"),
    [
        ("UPDATE chain SET high_water=7", "high_water", "the high-water mark is not the hash that is held there"),
        ("UPDATE chain SET high_water=5", "receipt", "a receipt was signed through 6; the high-water mark is 5"),
        ("UPDATE receipt SET jws=substr(jws,1,length(jws)-9)||'AAAAAAAAA'", "receipt", "the kept receipt: the sig"),
        ("UPDATE receipt SET jws='x'", "receipt", "the kept receipt: "),
        ("UPDATE receipt SET chain='01J00000000000000000000000'", "receipt", "a receipt is kept for a chain that is"),
    ],
)
def test_an_edited_mark_or_receipt_is_named(bench: Bench, statement: str, code: str, text: str) -> None:
    bench.run(event(*visits(bench.office.station, 5)))
    edit(bench.office, statement)
    assert any(found_code == code and told.startswith(text) for found_code, told in found(bench.office))


def test_a_receipt_of_another_chain_or_another_history_is_named(bench: Bench) -> None:
    station = bench.office.station
    bench.run(event(*visits(station, 2)))
    (held,) = bench.run(event(station.visit(Pupil.make(3))))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"chain": "01J00000000000000000000000"}, "the kept receipt is another chain's"),
        ({"hash": "B" * 43}, "the event 4 that a receipt was signed for is not the one that is held"),
        ({"through": 0}, "the event 0 that a receipt was signed for is not the one that is held"),
        ({"epoch": 9}, "a receipt was signed in epoch 9, which is later than the store's"),
        ({"station": "cnx-002"}, "the kept receipt: the receipt is for another station"),
    ]
    for change, text in changes:
        edit(bench.office, "UPDATE receipt SET jws=:jws", jws=replace(held, **change).sign(bench.signer))
        assert found(bench.office) == [("receipt", text)]


def test_an_arrival_that_was_put_off_is_later_than_its_receipt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hides that an event came before its own time must write a later arrival."""
    bench.run(event(*visits(bench.office.station, 3)))
    edit(bench.office, "UPDATE event SET received_at='2099-01-01T00:00:00.000+00:00' WHERE sequence=3")
    ((code, text),) = found(bench.office)
    assert (code, text.startswith("an event came at 2099-01-01T00:00:00.000+00:00, after")) == ("receipt", True)
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    monkeypatch.setattr(receipts, "CLOCK_SET", timedelta(0))
    edit(bench.office, "UPDATE event SET received_at=:soon WHERE sequence=3", soon=soon)
    time.sleep(1)
    assert found(bench.office) == [], "a receipt may be on its way"
    monkeypatch.setattr(receipts, "LONGEST_OWED", timedelta(0))
    assert codes(bench.office) == {"receipt"}


@pytest.mark.parametrize(("is_moved", "code"), [(False, "high_water"), (True, "receipt")])
def test_what_a_revoked_key_signed_cannot_be_slipped_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_moved: bool, code: str
) -> None:
    """From the quarantine into the events, with an arrival of before, and with the mark or without it."""
    station = bench.office.station
    bench.run(event(*visits(station, 3)))
    assert bench.office.desk.run("station", "revoke", "bkk-001").code == 0
    line = station.visit(Pupil.make(9))
    bench.run(event(line))
    said = told_columns(unverified_payload(line))
    edit(
        bench.office,
        "INSERT INTO event SELECT chain, kid, sequence, hash, previous, station, :type, :time, :day, :level, :verdict,"
        " (SELECT min(received_at) FROM event), jws FROM quarantine",
        **said,
    )
    edit(bench.office, "DELETE FROM quarantine")
    if is_moved:
        edit(bench.office, "UPDATE chain SET high_water = 5, hash = :hash", hash=jws_hash(line))
    monkeypatch.setattr(receipts, "LONGEST_OWED", timedelta(0))
    assert codes(bench.office) == {code}


def test_the_newest_receipt_is_kept_before_it_leaves(bench: Bench) -> None:
    lines = visits(bench.office.station, 3)
    for line in lines:
        bench.run(event(line))
    with sqlite3.connect(bench.office.desk.home.database) as connection:
        ((jws,),) = connection.execute("SELECT jws FROM receipt")
    receipt = Receipt.open(jws, KeySet(bench.office.desk.home.public_keys()), "bkk-001")
    assert (receipt.through, receipt.hash) == (4, jws_hash(lines[3]))


def test_a_store_older_than_the_receipts_is_named(bench: Bench) -> None:
    bench.run(event(*visits(bench.office.station, 2)))
    with bench.office.database.read() as connection:
        problems = audited(connection, bench.office.desk.home, Reach(1, 99)).problems
    assert [(problem.code, problem.place) for problem in problems] == [("restored", "epoch 1")]
    bench.witness.write(Reach(2_000_000_000, 1))
    assert codes(bench.office) == {"restored"}


def test_a_store_of_before_receipts_were_kept_gains_the_table(bench: Bench) -> None:
    bench.office.take(*visits(bench.office.station, 2))
    bench.office.database.close()
    edit(bench.office, "DROP TABLE receipt", "UPDATE meta SET value='1' WHERE key='schema'")
    with Database.open(bench.office.desk.home.database) as database:
        assert database.meta()["schema"] == SCHEMA_VERSION
    assert found(bench.office) == []
    bench.run(event(bench.office.station.visit(Pupil.make(3))))
    assert found(bench.office) == []


def changed(line: str, at: int) -> str:
    return line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]


def test_a_changed_character_anywhere_in_an_event_is_found_at_that_event(office: Office) -> None:
    dice = random.Random(40)
    office.take(*visits(office.station, 4))
    lines = office.desk.run("events", "export").out.splitlines()
    file = office.folder / "export.jws"
    for at in sorted({0, len(lines[2]) - 2, *dice.sample(range(len(lines[2])), 40)}):
        broken = changed(lines[2], at)
        file.write_text("\n".join([*lines[:2], broken, *lines[3:]]), "utf-8")
        assert problem_lines(office, file)[0] == 3, at
        edit(office, "UPDATE event SET jws=:jws WHERE sequence=3", jws=broken)
        ran = office.desk.run("audit", "--json")
        assert {problem["place"].rsplit("/", 1)[1] for problem in ran.json()["problems"]} == {"3"}, at
    edit(office, "UPDATE event SET jws=:jws WHERE sequence=3", jws=lines[2])
    assert found(office) == []


def problem_lines(office: Office, file: Path) -> list[int]:
    return [problem["line"] for problem in office.desk.run("verify", file, "--json").json()["problems"]]


def test_verify_names_a_swapped_seal_a_seal_that_is_away_and_a_number_in_clear(office: Office) -> None:
    """Even where the station's own key signed it."""
    station, pupil = office.station, Pupil.make(1)
    first = station.visit_payload(pupil)
    lines = [station.started(), station.visit(pupil)]
    data = station.visit_payload(pupil)["data"]
    lines.append(station.poison(data={**data, "sealed": first["data"]["sealed"]}))
    data = station.visit_payload(pupil)["data"]
    lines.append(station.poison(data={**data, "sealed": None}))
    data = station.visit_payload(pupil)["data"]
    lines.append(station.poison(data={**data, "choice": f"a{pupil.citizen_id}"}))
    lines.append(station.visit(pupil))
    file = office.folder / "export.jws"
    file.write_text("\n".join(lines), "utf-8")
    told = office.desk.run("verify", file, "--json").json()["problems"]
    named = [(problem["line"], problem["code"]) for problem in told]
    assert named == [(3, "seal_moved"), (4, "contradiction"), (5, "number_in_clear")]
    assert pupil.citizen_id not in office.desk.run("verify", file).out
    tally = office.take(*lines)
    assert tally.outcomes["bkk-001", "quarantined"] == 3
    assert [(code, text) for code, text in found(office)] == [
        ("quarantine", f"quarantined: {code}") for _, code in named
    ]


def test_a_twin_with_the_same_key_is_found_at_its_first_event_and_nothing_of_either_is_lost(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 2))
    twin = Station(station.id, station.recipients, station.signer)
    twin.next = station.next
    theirs = [twin.visit(Pupil.make(number)) for number in range(10, 13)]
    ours = [station.visit(Pupil.make(number)) for number in range(20, 23)]
    assert office.take(ours[0]).outcomes["bkk-001", "new"] == 1
    assert office.take(*theirs).outcomes["bkk-001", "fork"] == 3
    assert office.take(*ours[1:]).outcomes["bkk-001", "new"] == 2
    with office.database.read() as connection:
        summary = find_station(connection, station.id)
        forks = {fork.jws: (fork.sequence, fork.reason) for fork in chains.list_forks(connection)}
        rows = [row.jws for row in chains.chain_rows(connection, station.chain)]
    assert summary is not None
    assert summary.flag == "fork"
    assert rows[3:] == ours
    assert forks == {theirs[0]: (4, "other_hash"), theirs[1]: (5, "unlinked"), theirs[2]: (6, "unlinked")}
    told = office.desk.run("audit", "--json").json()["problems"]
    assert {(problem["code"], problem["station"]) for problem in told} == {("fork", "bkk-001"), ("flag", "bkk-001")}


def test_a_revoked_thief_is_kept_apart_and_what_came_before_stays(bench: Bench) -> None:
    """Nothing that arrives after the revocation counts: a thief sets the clock as he likes."""
    station = bench.office.station
    lines = visits(station, 3)
    bench.run(event(*lines[:2]))
    assert bench.office.desk.run("station", "revoke", station.id).code == 0
    assert bench.run(event(*lines[2:]), event(station.visit(Pupil.make(7)))) == []
    with bench.office.database.read() as connection:
        rows = [type(row).__name__ for row in chains.chain_rows(connection, station.chain)]
        (chain,) = chains.list_chains(connection)
    assert rows == ["Event", "Event", "Quarantined", "Quarantined", "Quarantined"]
    assert chain.high_water == 2
    assert codes(bench.office) == {"quarantine"}
