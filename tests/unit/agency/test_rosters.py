"""Rosters: a school's CSV in, seals in the store, digests out; complaints that name lines and betray nobody."""

import base64
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agency import citizen_number as numbers
from agency.clock import today
from agency.desk.people import MAX_PEOPLE, Person, Reading, read_csv
from agency.desk.rosters import Import, digest_members, member_context, open_member
from agency.store.database import Database
from agency.store.documents import newest_for
from agency.store.rosters import newest_rosters, sealed_members
from appliance.errors import VerificationError
from appliance.events.document import Document
from appliance.events.roster import Roster
from appliance.events.sign import KeySet
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Desk, Pupil, Station, citizen_number, roster_csv, traces

PUPILS = [Pupil.make(number) for number in range(3)]


def read(text: str) -> Reading:
    return read_csv(text.encode())


def test_numbers_are_checked_found_and_masked() -> None:
    number = citizen_number(5)
    wrong = number[:12] + str((int(number[12]) + 1) % 10)
    assert numbers.is_valid(number)
    assert not numbers.is_valid(wrong)
    assert not any(numbers.is_valid(text) for text in ("", number[:12], number + "0", number[:12] + "๑"))
    assert numbers.is_in(f"pupil {number}.")
    assert not numbers.is_in(f"1{number}")
    assert numbers.mask(number) == f"{number[0]}-0000-xxxxx-xx-{number[12]}"


def test_a_good_file_is_read_with_or_without_a_mark_and_blank_lines() -> None:
    text = roster_csv(PUPILS)
    assert [p.member for p in read(text).people] == ["P0000", "P0001", "P0002"]
    assert read("\ufeff" + text).people[0].name == PUPILS[0].name
    assert len(read(text.replace("\n", "\r\n") + "\r\n,,\r\n").people) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{n},P9", "2 columns where 3 belong"),
        ("{n},P9,name,more", "4 columns where 3 belong"),
        ("{short},P9,name", "not 13 digits"),
        ("1.0000E+12,P9,name", "not 13 digits"),
        ("{wrong},P9,name", "check digit"),
        ("{n},,name", "empty"),
        ("{n},P9, ", "empty"),
        ("{n},P9,\x07name", "control characters"),
        ("{n}," + "P" * 201 + ",name", "longer than 200"),
        ("{n},P0001,name", "the member stands on line 3 already"),
        ("{first},P9,name", "the citizen number stands on line 2 already"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(line: str, reason: str) -> None:
    number = citizen_number(99)
    wrong = number[:12] + str((int(number[12]) + 5) % 10)
    bad = line.format(n=number, short=number[:12], wrong=wrong, first=PUPILS[0].citizen_id)
    (complaint,) = read(roster_csv(PUPILS) + bad + "\n").complaints
    assert complaint.startswith("line 5: ")
    assert reason in complaint
    assert not any(secret in complaint for secret in (number, number[:12], wrong, PUPILS[0].citizen_id))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header"),
        (b"citizen_id,name\n", "header"),
        (b"citizen_id,member,name\n", "no people"),
        ("citizen_id,member,name\nÛ".encode("latin-1"), "neither UTF-8, UTF-16 nor TIS-620"),
        (b"\xff\xfe\x00", "neither UTF-8, UTF-16 nor TIS-620"),
        (b"citizen_id,citizen_id,member,name\n", "two columns for citizen_id"),
        (b'citizen_id,member,name\n"open', "line 2: the file is no CSV from here on"),
        (b"\0A\0", "neither UTF-8, UTF-16 nor TIS-620"),
    ],
)
def test_a_file_that_is_no_roster_says_why(content: bytes, reason: str) -> None:
    reading = read_csv(content)
    assert not reading.people
    assert reason in reading.complaints[0]


NUMBER = citizen_number(41)
DASHED = f"{NUMBER[0]}-{NUMBER[1:5]}-{NUMBER[5:10]}-{NUMBER[10:12]}-{NUMBER[12]}"
THAI_DIGITS = NUMBER.translate(str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙"))

AUTOFORMAT = [DASHED.replace("-", dash) for dash in "\u2010\u2011\u2012\u2013\u2014\u2212\u00a0"]


@pytest.mark.parametrize(
    "written", [NUMBER, DASHED, THAI_DIGITS, f" {NUMBER[:5]} {NUMBER[5:]}", f"'{NUMBER}", *AUTOFORMAT]
)
def test_a_number_is_understood_however_it_is_written(written: str) -> None:
    (person,) = read(f"citizen_id,member,name\n{written},P1,name\n").people
    assert person.citizen_id == NUMBER


def test_what_a_word_processor_leaves_behind_is_no_fault() -> None:
    reading = read(f" \n,,\n\u200bcitizen_id,member,name\n{NUMBER},P1,Somchai\u00a0Dee\n")
    assert (reading.complaints, reading.people[0].name) == ((), "Somchai Dee")
    decomposed = "เลขประจำตัวประชาชน".replace("ำ", "\u0e4d\u0e32")
    assert read(f"{decomposed},member,name\n{NUMBER},P1,n\n").complaints == ()


def test_bad_lines_before_the_place_where_the_file_breaks_are_named_too() -> None:
    complaints = read(f'citizen_id,member,name\n123,P1,n\n{NUMBER},,n\n{NUMBER},P3,"open\n').complaints
    assert [line.split(":")[0] for line in complaints] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "tis-620", "cp874"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheet_s_file_is_read_in_any_dress(encoding: str, delimiter: str) -> None:
    lines = [
        ["ลำดับ", "ชื่อ - สกุล", "รหัสนักเรียน", "เลขประจำตัวประชาชน", "บทบาท"],
        ["1", "เด็กหญิงทดสอบ ดี", "P1", DASHED, "นักเรียน"],
        ["2", "นายครู สอน", "T1", citizen_number(42), "ครู"],
    ]
    reading = read_csv("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    assert reading.complaints == ()
    assert [(one.citizen_id, one.member, one.name, one.role) for one in reading.people] == [
        (NUMBER, "P1", "เด็กหญิงทดสอบ ดี", "member"),
        (citizen_number(42), "T1", "นายครู สอน", "officer"),
    ]
    assert ("the file was read as TIS-620 (Windows-874)" in reading.notes) == (encoding in ("tis-620", "cp874"))
    assert "1 columns were not taken: only number, member, name and role are" in reading.notes


@pytest.mark.parametrize("code", ["", "G000000000012"])
def test_t74_a_pupil_without_a_thai_number_stays_on_the_list(code: str) -> None:
    reading = read(f"citizen_id,member,name\n{code},P1,name\n{code},P2,name\n{NUMBER},P3,name\n")
    assert reading.complaints == ()
    assert [person.citizen_id for person in reading.people] == ["", "", NUMBER]
    assert reading.notes == ("2 people have no Thai number: an officer vouches for them at the station",)


def test_roles_decide_who_is_where(desk: Desk, tmp_path: Path) -> None:
    people = [
        Person(citizen_number(at), f"P{at}", "name", role)
        for at, role in enumerate(("officer", "member", "both", "member"))
    ]
    body = digest_members(Import("school-1", 1, "2026-11-22", [*people, Person("", "P9", "name")]), lambda done: None)
    roster = Roster.from_document(Document("roster", 1, datetime.now(UTC), datetime.now(UTC), ("*",), body))
    digests = [roster.kdf.digest(person.citizen_id) for person in people]
    assert [roster.contains(digest) for digest in digests] == [False, True, True, True]
    assert [roster.officer(digest) for digest in digests] == ["o1", None, "o2", None]
    assert roster.officer(None) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{n},P1,name,boss", "the role is none of member, officer, both"),
        (",P1,name,officer", "an officer needs a citizen number"),
    ],
)
def test_a_role_that_cannot_be_is_named(line: str, reason: str) -> None:
    assert read("citizen_id,member,name,role\n" + line.format(n=NUMBER)).complaints == (f"line 2: {reason}",)


def test_a_set_that_fits_into_no_document_is_refused() -> None:
    people = [Pupil(citizen_number(seed), f"P{seed}", "name") for seed in range(MAX_PEOPLE + 60)]
    unique = list({pupil.citizen_id: pupil for pupil in people}.values())[: MAX_PEOPLE + 1]
    assert read(roster_csv(unique)).complaints == (f"more than {MAX_PEOPLE} people: split the set",)


def test_one_bad_line_and_nothing_is_imported(desk: Desk, tmp_path: Path) -> None:
    bad = Pupil(citizen_number(1)[:12], "P8", "name")
    ran = desk.import_roster([*PUPILS, bad, bad], tmp_path)
    assert ran.code == 1
    assert "line 5:" in ran.err
    assert "line 6:" in ran.err
    assert ran.err.splitlines()[-1] == "card-agency: V00: nothing imported: mend 2 complaints and import again"
    assert bad.citizen_id not in ran.err + ran.out
    with Database.open(desk.home.database) as database, database.read() as connection:
        assert newest_rosters(connection) == []


def test_members_are_sealed_in_the_store_and_open_only_in_their_place(desk: Desk, tmp_path: Path) -> None:
    assert desk.import_roster(PUPILS, tmp_path).code == 0
    with Database.open(desk.home.database) as database, database.read() as connection:
        (roster,) = newest_rosters(connection)
        (first, second, _) = sealed_members(connection, roster.version)
    assert (roster.version, roster.set, roster.people, roster.as_of) == (1, "school-1", 3, today())
    for key in ("duty", "escrow"):
        person = open_member(first[1], member_context("school-1", 1, 0), desk.home.private_keys(key))
        assert (person.citizen_id, person.name) == (PUPILS[0].citizen_id, PUPILS[0].name)
        assert PUPILS[0].name not in repr(person)
    with pytest.raises(VerificationError):
        open_member(second[1], member_context("school-1", 1, 0), desk.home.private_keys("duty"))


def test_the_database_files_hold_no_number_and_no_name(desk: Desk, tmp_path: Path) -> None:
    desk.import_roster(PUPILS, tmp_path)
    for file in desk.home.path.glob("agency.sqlite3*"):
        content = file.read_bytes()
        for pupil in PUPILS:
            assert not any(trace in content for trace in traces(pupil.citizen_id) + traces(pupil.name))


def test_traces_would_find_what_they_look_for() -> None:
    for pad in range(3):
        hidden = base64.urlsafe_b64encode(b"x" * pad + PUPILS[0].citizen_id.encode() + b"tail")
        assert any(trace in hidden for trace in traces(PUPILS[0].citizen_id))


def test_without_stations_a_push_is_kept_for_the_grants(desk: Desk, tmp_path: Path) -> None:
    desk.import_roster(PUPILS, tmp_path)
    assert "no station is enrolled yet" in desk.run("roster", "push").err
    grant = desk.enrol(Station("bkk-001"), tmp_path)
    (jws,) = grant["documents"]
    document = Document.open(jws, KeySet(desk.home.public_keys()), "roster", "bkk-001")
    roster = Roster.from_document(document)
    assert (roster.set, roster.version, len(roster.digests)) == ("school-1", 1, 3)
    assert all(roster.contains(roster.kdf.digest(pupil.citizen_id)) for pupil in PUPILS)
    assert (document.expires_at - document.issued_at).days == 30


def test_document_versions_rise_through_all_sets_and_the_newest_is_granted(desk: Desk, tmp_path: Path) -> None:
    desk.import_roster(PUPILS[:1], tmp_path)
    desk.import_roster(PUPILS[1:], tmp_path, "school-2")
    for set_id in ("school-1", "school-2", "school-1"):
        assert desk.run("roster", "push", "--set", set_id, "--days", 7).code == 0
    with Database.open(desk.home.database) as database, database.read() as connection:
        (newest,) = newest_for(connection, "bkk-001")
    assert (newest.version, newest.roster) == (3, 1)


def test_a_push_must_say_what_and_to_whom(office: Office) -> None:
    desk = office.desk
    assert "import" in desk.run("roster", "push").err
    desk.import_roster(PUPILS[:1], office.folder)
    desk.import_roster(PUPILS[1:], office.folder, "school-2")
    assert "school-1, school-2" in desk.run("roster", "push").err
    for wrong in (("--set", "school-9"), ("--set", "school-1", "--station", "bkk-404"), ("--days", "0")):
        assert desk.run("roster", "push", *wrong).code == 2


def test_a_buddhist_date_of_a_roster_is_told_in_the_common_era(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text(roster_csv(PUPILS), "utf-8")
    ran = desk.run("roster", "import", file, "--set", "s", "--as-of", "2569-01-01")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "2026-01-01" in ran.err


def versions(desk: Desk) -> list[tuple[int, int]]:
    with sqlite3.connect(desk.home.database) as connection:
        return connection.execute("SELECT version, roster FROM document ORDER BY version").fetchall()


def test_unchanged_members_are_pushed_in_the_document_that_is_kept(desk: Desk, tmp_path: Path) -> None:
    desk.import_roster(PUPILS[:1], tmp_path)
    for _ in range(3):
        assert desk.run("roster", "push").code == 0
    assert versions(desk) == [(1, 1)]
    assert desk.run("roster", "push", "--days", 7).code == 0  # shorter than what is kept
    assert desk.run("roster", "push", "--days", 365).code == 0  # a renewal
    assert versions(desk) == [(1, 1), (2, 1), (3, 1)]
    desk.import_roster(PUPILS[:2], tmp_path)
    desk.run("roster", "push", "--days", 365)
    assert versions(desk)[3:] == [(4, 2)]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE document SET expires_at='2026-01-01T00:00:00+00:00'", "UPDATE document SET jws=jws||'A'"],
)
def test_a_document_that_expired_or_was_edited_is_not_pushed_again(desk: Desk, tmp_path: Path, statement: str) -> None:
    desk.import_roster(PUPILS[:1], tmp_path)
    desk.run("roster", "push")
    with sqlite3.connect(desk.home.database) as connection:
        connection.execute(statement)
    desk.run("roster", "push")
    assert versions(desk) == [(1, 1), (2, 1)]


def test_pushes_that_reach_no_broker_keep_one_document_and_say_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agency.commands.publishing._CONNECT_S", 0.3)
    office.desk.import_roster(PUPILS[:1], office.folder)
    for wrong in (":::", "host:0"):
        assert office.desk.run("roster", "push", "--broker", wrong).code == 2
    assert versions(office.desk) == []
    for _ in range(3):
        ran = office.desk.run("roster", "push", "--broker", "127.0.0.1:1")
        assert (ran.code, ran.err.count("\n")) == (7, 1)
        assert "roster document 1 is kept; push again" in ran.err
    assert versions(office.desk) == [(1, 1)]


def test_a_document_for_one_station_does_not_serve_all_nor_the_other_way(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agency.commands.publishing._CONNECT_S", 0.1)
    office.desk.import_roster(PUPILS[:1], office.folder)
    for options in ((), ("--station", "bkk-001"), ()):
        office.desk.run("roster", "push", "--broker", "127.0.0.1:1", *options)
    assert versions(office.desk) == [(1, 1), (2, 1), (3, 1)]  # a station takes no lower version than it has


@pytest.mark.parametrize(
    "wrong",
    [
        ("--set", "School 1"),
        ("--set", "s", "--as-of", "2569-99-01"),
        ("--set", "s", "--as-of", "x"),
        ("--set", "s", "--as-of", "2569-01-01"),
    ],
)
def test_wrong_options_of_an_import_are_wrong_use(desk: Desk, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    file = tmp_path / "r.csv"
    file.write_text(roster_csv(PUPILS), "utf-8")
    assert desk.run("roster", "import", file, *wrong).code == 2


def test_a_document_for_some_stations_is_not_granted_to_others(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agency.commands.publishing._CONNECT_S", 0.3)
    desk.enrol(Station("bkk-001"), tmp_path)
    desk.import_roster(PUPILS[:1], tmp_path)
    ran = desk.run("roster", "push", "--station", "bkk-001", "--broker", "127.0.0.1:1")  # kept, though no broker
    assert ran.code == 7
    assert desk.enrol(Station("cnx-002"), tmp_path)["documents"] == []
    with sqlite3.connect(desk.home.database) as connection:
        assert connection.execute("SELECT audience FROM document").fetchall() == [('["bkk-001"]',)]
