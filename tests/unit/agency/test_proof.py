"""``events export``, ``verify`` and ``audit``: whatever is changed, dropped, moved or invented is found and placed."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agency.cli import main
from agency.desk.documents import EVERY_STATION, sign_roster
from agency.reports import receipts
from agency.store.rosters import newest_rosters
from agency.store.stations import list_certificates
from appliance.events.sign import Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, Pupil, Ran, Station, visits


@pytest.fixture
def held(office: Office) -> Office:
    office.take(*visits(office.station, 5))
    return office


def exported(office: Office) -> list[str]:
    ran = office.desk.run("events", "export")
    assert ran.code == 0
    return ran.out.splitlines()


def verified(office: Office, lines: list[str]) -> Ran:
    file = office.folder / "export.jws"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return office.desk.run("verify", file, "--json")


def problems(ran: Ran) -> list[tuple[int, str]]:
    return [(problem["line"], problem["code"]) for problem in ran.json()["problems"]]


def test_an_export_is_the_chain_and_verifies(held: Office) -> None:
    lines = exported(held)
    assert len(lines) == 6
    ran = verified(held, lines)
    assert (ran.code, ran.json()["events"], ran.json()["chains"], problems(ran)) == (0, 6, 1, [])


def test_verifying_needs_only_the_public_documents(
    held: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tmp_path / "elsewhere"
    shutil.copytree(held.desk.home.public, public)
    file = tmp_path / "e.jws"
    file.write_text("\n".join(exported(held)), "utf-8")
    assert main(["verify", str(file), "--keys", str(public), "--home", str(tmp_path / "none")]) == 0
    assert "6 events in 1 chains, 0 problems" in capsys.readouterr().err


def keep_document(office: Office) -> None:
    signer = Signer(office.desk.home.key("document"))
    with office.database.write() as connection:
        (roster,) = newest_rosters(connection)
        sign_roster(connection, roster, EVERY_STATION, 30, signer)


def swapped(text: str) -> str:
    return text[:60] + ("A" if text[60] != "A" else "B") + text[61:]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda e: [*e[:2], *e[3:]], [(3, "gap")]),
        (lambda e: e[1:], [(1, "gap")]),
        (lambda e: [*e[:2], swapped(e[2]), *e[3:]], [(3, "signature"), (4, "gap")]),
        (lambda e: [e[0], e[2], e[1], *e[3:]], [(2, "gap"), (3, "order"), (4, "gap")]),
        (lambda e: [*e, e[-1]], [(7, "order")]),
        (lambda e: [*e, "ไม่ใช่"], [(7, "signature")]),
    ],
)
def test_every_break_is_found_on_its_line(
    held: Office, change: Callable[[list[str]], list[str]], found: list[tuple[int, str]]
) -> None:
    ran = verified(held, change(exported(held)))
    assert (ran.code, problems(ran)) == (1, found)


def test_an_event_that_links_elsewhere_is_found(held: Office) -> None:
    lines = exported(held)
    other = Station("bkk-001", held.station.recipients, held.station.signer)
    other.next = type(other.next)(held.station.next.chain, 7, "C" * 43)
    ran = verified(held, [*lines, other.visit(Pupil.make(1))])
    assert problems(ran) == [(7, "chain")]


def test_poison_in_an_export_is_named(office: Office) -> None:
    station = office.station
    office.take(station.started(), station.poison(), station.visit(Pupil.make(2)))
    assert problems(verified(office, exported(office))) == [(2, "schema")]


def test_the_words_name_lines_too_and_an_empty_file_proves_nothing(held: Office) -> None:
    file = held.folder / "e.jws"
    file.write_text("\n".join(exported(held)[1:]), "utf-8")
    assert "line 1: gap: 1 to 1 are missing" in held.desk.run("verify", file).out
    file.write_text("\n", "utf-8")
    empty = held.desk.run("verify", file)
    assert (empty.code, empty.err) == (1, "no events in the file\n")
    assert held.desk.run("verify", held.folder / "none").code == 2


def test_a_file_of_garbage_is_counted_and_not_kept(held: Office) -> None:
    ran = verified(held, ["y"] * 2500)
    told = ran.json()
    assert (ran.code, told["events"], len(told["problems"]), told["unlisted"]) == (1, 2500, 1000, 1500)
    assert "there are 1500 more" in ran.err
    assert "2500 problems" in ran.err


def test_a_line_that_is_longer_than_any_event_is_one_problem(held: Office) -> None:
    lines = exported(held)
    ran = verified(held, [*lines, "x" * 200_000, "y" * 65_536, lines[0] + "z" * 70_000])
    assert problems(ran) == [(7, "signature"), (8, "signature"), (9, "signature")]


def test_an_export_of_a_station_that_is_none(held: Office) -> None:
    ran = held.desk.run("events", "export", "--station", "nope")
    assert (ran.code, ran.out, "no station nope" in ran.err) == (2, "", True)


def test_a_mark_at_the_start_of_an_export_spoils_nothing(held: Office) -> None:
    file = held.folder / "e.jws"
    file.write_text("\n".join(exported(held)), "utf-8-sig")
    assert held.desk.run("verify", file).code == 0
    command = [sys.executable, "-m", "agency", "verify", "-", "--home", str(held.desk.home.path)]
    ran = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"6 events in 1 chains, 0 problems\n")


def test_an_export_of_a_revoked_station_says_so(held: Office) -> None:
    lines = exported(held)
    assert "revoked" not in verified(held, lines).err
    held.desk.run("station", "revoke", "bkk-001")
    (key,) = held.desk.run("station", "show", "bkk-001", "--json").json()["keys"]
    ran = verified(held, lines)
    assert (ran.code, ran.json()["revoked"]) == (0, {"bkk-001": key["revoked_at"]})
    assert f"bkk-001 was revoked at {key['revoked_at']}" in ran.err


def test_a_clean_store_is_clean(held: Office) -> None:
    held.desk.import_roster([Pupil.make(1)], held.folder)
    keep_document(held)
    ran = held.desk.run("audit")
    assert (ran.code, ran.err) == (0, "")
    counts, last = ran.out.splitlines()
    assert "1 chains, 1 documents, 6 events" in counts
    assert last == "clean"
    parsed = held.desk.run("audit", "--json").json()
    assert (parsed["clean"], parsed["problems"]) == (True, [])


EDITS = [
    ("UPDATE event SET verdict='refused' WHERE sequence=3", {("edited", "3")}),
    ("UPDATE event SET day='2026-11-24' WHERE sequence=3", {("edited", "3")}),
    ("UPDATE event SET level='L3' WHERE sequence=3", {("edited", "3")}),
    ("UPDATE event SET type='police.lost_document.v1' WHERE sequence=3", {("edited", "3")}),
    ("UPDATE event SET time='2026-11-23T06:00:00.000+07:00' WHERE sequence=3", {("edited", "3")}),
    ("UPDATE event SET hash=substr(hash,2)||'A' WHERE sequence=3", {("edited", "3"), ("broken", "4")}),
    (
        "UPDATE event SET jws=substr(jws,1,length(jws)-4)||'AAAA' WHERE sequence=3",
        {("edited", "3"), ("signature", "3")},
    ),
    ("UPDATE event SET station='cnx-002' WHERE sequence=3", {("edited", "3"), ("edited", "event")}),
    ("UPDATE event SET kid='k' WHERE sequence=6", {("high_water", "6"), ("edited", "event")}),
    ("DELETE FROM chain", {("edited", "event")}),
    ("UPDATE station SET id='cnx-002'", {("edited", name) for name in ("event", "event_key", "certificate", "chain")}),
    ("DELETE FROM roster", {("edited", name) for name in ("roster_member", "roster_import", "document")}),
    (
        "INSERT INTO excused SELECT id, kid, 8, 9, 'x', '2026-11-23' FROM chain",
        {("edited", "{chain}")},
    ),
    (
        "INSERT INTO excused SELECT id, kid, 9, 8, 'operator', '2026-11-23' FROM chain",
        {("edited", "{chain}")},
    ),
    ("UPDATE event_key SET revoked_at=''", {("key", "stations.jwks")}),
    ("UPDATE roster SET as_of='2020-01-01'", {("roster", "1")}),
    ("UPDATE roster SET \"set\"='school-9'", {("roster", "1")}),
    ("UPDATE document SET issued_at='2036-01-01T00:00:00+00:00'", {("document", "1")}),
    ("UPDATE document SET roster=NULL", {("document", "1")}),
    ("UPDATE certificate SET not_after='2036-01-01T00:00:00+00:00'", {("key", "{certificate}")}),
    ("UPDATE certificate SET pem='x'", {("key", "{certificate}")}),
    ("DELETE FROM event WHERE sequence=3", {("missing", "4")}),
    ("DELETE FROM event WHERE sequence=6", {("high_water", "6")}),
    ("UPDATE chain SET high_water=5", {("high_water", "5")}),
    ("UPDATE chain SET hash='x'", {("high_water", "6")}),
    (
        "UPDATE event_key SET jwk=replace(jwk,'\"event\"','\"other\"')",
        {("key", "stations.jwks"), *(("signature", str(n)) for n in range(1, 7))},
    ),
    ("UPDATE event_key SET revoked_at='2026-11-01T00:00:00+00:00'", {("key", "stations.jwks")}),
    (
        "INSERT INTO event_key SELECT 'k', 'bkk-001', jwk, approved_at, NULL FROM event_key",
        {("key", "stations.jwks")},
    ),
    ("DELETE FROM roster_import", {("roster", "1")}),
    (
        'INSERT INTO roster SELECT 2, "set", as_of, imported_at, people, body FROM roster',
        {("roster", "2")},
    ),
    ("DELETE FROM roster_member WHERE member_index=0", {("roster", "1")}),
    ("UPDATE roster_member SET member_index=7 WHERE member_index=0", {("roster", "1")}),
    ("INSERT INTO roster_member SELECT version, 9, sealed FROM roster_member", {("roster", "1")}),
    ('UPDATE roster_member SET sealed=replace(sealed,\'"ciphertext": "\',\'"ciphertext": "AAAA\')', {("roster", "1")}),
    ("UPDATE roster_member SET sealed='{}'", {("roster", "1")}),
    ("UPDATE roster SET body=json_set(body,'$.as_of','2020-01-01')", {("roster", "1")}),
    ("UPDATE document SET expires_at='2036-01-01T00:00:00+00:00'", {("document", "1")}),
    ("UPDATE document SET jws=jws||'A'", {("document", "1")}),
]


@pytest.mark.parametrize(("statement", "found"), EDITS)
def test_every_edit_is_found_in_its_place(held: Office, statement: str, found: set[tuple[str, str]]) -> None:
    held.desk.import_roster([Pupil.make(1)], held.folder)
    keep_document(held)
    with sqlite3.connect(held.desk.home.database) as connection:
        connection.execute(statement)
    ran = held.desk.run("audit", "--json")
    assert ran.code == 1
    told = {(p["code"], p["place"].rpartition("/")[2]) for p in ran.json()["problems"]}
    with held.database.read() as connection:
        (certificate,) = list_certificates(connection)
    names = {"chain": held.station.chain.id, "certificate": f"certificate {certificate.serial}"}
    assert told == {(code, place.format(**names)) for code, place in found}


@pytest.mark.parametrize(
    ("edit", "command"),
    [
        ("UPDATE event_key SET jwk = 'x'", ("audit",)),
        ("UPDATE event_key SET jwk = 'x'", ("station", "list")),
        ("UPDATE event_key SET jwk = 'x'", ("anomalies", "--date", DAY)),
        ("UPDATE roster SET body = 'x'", ("attendance", "--date", DAY)),
        ("UPDATE roster_member SET sealed = 'x'", ("attendance", "--date", DAY)),
        ("DELETE FROM meta WHERE key = 'agency'", ("audit",)),
        ("UPDATE meta SET value = 'x' WHERE key = 'epoch'", ("audit",)),
        ("UPDATE meta SET value = 'x' WHERE key = 'epoch'", ("epoch", "show")),
        ("UPDATE roster_member SET sealed = '[1]'", ("attendance", "--date", DAY)),
        ("DELETE FROM event_key", ("station", "list")),
        ("DELETE FROM event_key", ("station", "show", "bkk-001")),
    ],
)
def test_an_altered_row_is_told_in_one_line(held: Office, edit: str, command: tuple[str, ...]) -> None:
    assert held.desk.import_roster([Pupil.make(1)], held.folder).code == 0
    with sqlite3.connect(held.desk.home.database) as connection:
        connection.execute(edit)
    ran = held.desk.run(*command)
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert "put an earlier copy" in ran.err


ODD = [
    *(
        f'UPDATE {table} SET "{column}" = {value}'  # noqa: S608
        for table, columns in {
            "event": ("received_at", "time", "sequence", "hash", "previous", "station", "kid", "jws", "day", "type"),
            "chain": ("high_water", "hash", "station", "kid", "id"),
            "event_key": ("jwk", "station", "approved_at", "revoked_at", "kid"),
            "roster": ("people", "set", "as_of", "body", "imported_at"),
            "roster_member": ("sealed", "member_index"),
            "document": ("audience", "expires_at", "roster", "version", "kind", "jws", "issued_at"),
            "station": ("id", "flag", "approved_at"),
            "meta": ("value",),
        }.items()
        for column in columns
        for value in ("'abc'", "''", "'[]'", "'{\"a\": [1]}'", "x'ff00fe'", "-1", "1e300")
    ),
    "INSERT INTO event SELECT chain, kid, 7, hash, previous, station, type, time, day, level, verdict, received_at,"
    " (SELECT jws FROM receipt) FROM event WHERE sequence = 6",
]


@pytest.mark.parametrize("commands", [("audit",), ("station", "list"), ("events", "list"), ("events", "export")])
def test_no_row_that_somebody_wrote_ends_in_an_internal_error(held: Office, commands: tuple[str, ...]) -> None:
    held.desk.import_roster([Pupil.make(1)], held.folder)
    keep_document(held)
    path, copy = held.desk.home.database, held.folder / "copy"
    held.database.close()
    shutil.copy(path, copy)
    for statement in ODD:
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        shutil.copy(copy, held.folder / "next")
        (held.folder / "next").replace(path)
        with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.IntegrityError), connection:
            connection.execute(statement)
        ran = held.desk.run(*commands)
        assert ran.code in (0, 1, 7, 78), (statement, ran)
        assert "internal error" not in ran.err, (statement, ran)


@pytest.mark.parametrize("sealed", ['{"recipients": [1]}', "{}", '{"recipients": "x"}'])
def test_a_seal_that_is_none_is_no_error_of_ours(held: Office, sealed: str) -> None:
    assert held.desk.import_roster([Pupil.make(1)], held.folder).code == 0
    with sqlite3.connect(held.desk.home.database) as connection:
        connection.execute("UPDATE roster_member SET sealed = ?", (sealed,))
    ran = held.desk.run("attendance", "--date", DAY)
    assert (ran.code, "internal error" in ran.err) == (1, False)
    assert "roster" in held.desk.run("audit").out


def test_a_number_that_is_none_ends_no_audit(held: Office) -> None:
    with sqlite3.connect(held.desk.home.database) as connection:
        connection.execute("UPDATE event SET sequence = -1 WHERE sequence = 3")
    ran = held.desk.run("audit", "--json")
    assert ran.code == 1, ran.err
    told = {(p["code"], p["place"].rpartition("/")[2]) for p in ran.json()["problems"]}
    assert {("edited", "-1"), ("missing", "4")} <= told


def test_a_column_holds_nothing_else_whoever_writes(held: Office) -> None:
    with sqlite3.connect(held.desk.home.database) as connection:
        for statement in ("UPDATE event SET jws = x'ff'", "UPDATE chain SET high_water = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
                connection.execute(statement)


def test_receipts_that_are_gone_are_missed(held: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    assert held.desk.run("audit").code == 0, "they may be on their way"
    monkeypatch.setattr(receipts, "LONGEST_OWED", timedelta(seconds=-1))
    (problem,) = held.desk.run("audit", "--json").json()["problems"]
    assert (problem["code"], problem["text"]) == ("receipt", "no receipt is kept for 1 to 6, which are held")
    assert held.desk.run("station", "revoke", "bkk-001").code == 0
    assert held.desk.run("audit").code == 1, "what it sent before was covered, or it was not there before"


def test_gaps_are_findings(office: Office) -> None:
    lines = visits(office.station, 3)
    office.take(lines[0], lines[3])
    ran = office.desk.run("audit")
    assert ran.code == 1
    assert "2 to 3 are not held" in ran.out
    assert ran.out.splitlines()[-1] == "not clean: 1 findings"


def test_events_are_listed_by_station_and_day(held: Office) -> None:
    desk = held.desk
    listed = desk.run("events", "list", "--json").json()
    assert [row["sequence"] for row in listed] == [1, 2, 3, 4, 5, 6]
    assert [row["sequence"] for row in desk.run("events", "list", "--limit", 2, "--json").json()] == [5, 6]
    assert desk.run("events", "list", "--date", "2026-11-22", "--json").json() == []
    assert len(desk.run("events", "list", "--date", DAY, "--station", "bkk-001", "--json").json()) == 6
    assert desk.run("events", "list", "--station", "bkk-404", "--json").json() == []
    assert desk.run("events", "list", "--limit", 0).code == 2
    assert "school.attendance.v1" in desk.run("events", "list").out


def test_one_event_is_shown_sealed(held: Office) -> None:
    chain = held.station.next.chain
    shown = held.desk.run("events", "show", chain, 2).json()
    assert shown["event"]["sequence"] == "0000000002"
    assert shown["event"]["data"]["sealed"]["ciphertext"]
    assert Pupil.make(0).citizen_id not in json.dumps(shown)
    assert held.desk.run("events", "show", chain, 99).code == 2
