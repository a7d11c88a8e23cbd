"""Deletions after which what is left fits together: only what an earlier audit signed tells of them."""

import sqlite3
from pathlib import Path

import pytest

from agency.ingest.receipts import Address, compose
from agency.reports.heads import HEADS_TYPE
from agency.store.receipts import keep_receipts
from agency.store.stations import flag_station
from appliance.events.sign import Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Pupil, Station, visits


@pytest.fixture
def audited(office: Office) -> Office:
    """A store that was audited: six events, a receipt, one in the quarantine, a fork that somebody has looked at."""
    station = office.station
    office.take(*visits(station, 4), station.poison())
    twin = Station(station.id, station.recipients, station.signer)
    twin.next = station.next
    office.take(station.visit(Pupil.make(8)))
    office.take(twin.visit(Pupil.make(9)))
    keep_receipt(office)
    station.visit(Pupil.make(10))  # which never comes
    office.take(station.visit(Pupil.make(11)))
    office.desk.run("station", "clear", "bkk-001")
    assert codes(office) == ["gap", "quarantine", "fork"]
    return office


def keep_receipt(office: Office) -> None:
    signer = Signer(office.desk.home.key("receipt"))
    with office.database.write() as connection:
        chain = office.station.chain
        receipt = compose(connection, Address("bkk-001", chain), 1).sign(signer)
        keep_receipts(connection, {chain: receipt})


def codes(office: Office, *more: object) -> list[str]:
    return [p["code"] for p in office.desk.run("audit", "--json", *more).json()["problems"]]


def edit(office: Office, *statements: str) -> None:
    with sqlite3.connect(office.desk.home.database) as connection:
        for statement in statements:
            connection.execute(statement)


BACK_TO_4 = "UPDATE chain SET high_water = 4, hash = (SELECT hash FROM event WHERE sequence = 4)"
EDITS = {
    "the end of a revoked chain": (
        "UPDATE event_key SET revoked_at = '2026-11-24T00:00:00+00:00'",
        BACK_TO_4,
        "DELETE FROM event WHERE sequence > 4",
        "DELETE FROM quarantine",
        "DELETE FROM receipt",
    ),
    "a whole chain with its receipt": (
        "DELETE FROM event",
        "DELETE FROM quarantine",
        "DELETE FROM fork",
        "DELETE FROM receipt",
        "DELETE FROM chain",
    ),
    "a fork": ("DELETE FROM fork",),
    "a quarantined event at the end": (
        "DELETE FROM quarantine",
        "DELETE FROM event WHERE sequence > 6",
        "UPDATE chain SET high_water = 5, hash = (SELECT hash FROM event WHERE sequence = 5)",
        "DELETE FROM receipt",
    ),
    "a stretch that an operator is said to have given up": (
        "DELETE FROM event WHERE sequence = 3",
        "INSERT INTO excused SELECT id, kid, 3, 3, 'operator', '2026-11-24T00:00:00+00:00' FROM chain",
    ),
    "a mark that goes back": (BACK_TO_4, "DELETE FROM receipt"),
    "when a station was approved": ("UPDATE station SET approved_at = '2020-01-01T00:00:00+00:00'",),
    "when a key was approved": ("UPDATE event_key SET approved_at = '2020-01-01T00:00:00+00:00'",),
    "what is held above a gap": ("DELETE FROM event WHERE sequence > 8",),
    "a certificate": ("DELETE FROM certificate",),
    "who opened seals": ("DELETE FROM access",),
    "what for": ("UPDATE access SET purpose = 'a parent asked'",),
    "the newest row of it": ("DELETE FROM access WHERE number = (SELECT max(number) FROM access)",),
}


@pytest.mark.parametrize("statements", EDITS.values(), ids=EDITS)
def test_what_an_audit_saw_cannot_go_unseen(audited: Office, statements: tuple[str, ...]) -> None:
    audited.desk.run("attendance", "--date", "2026-11-23")
    assert "gone" not in codes(audited)
    edit(audited, *statements)
    assert "gone" in codes(audited)
    assert "gone" in codes(audited), "it is not forgotten by the next one"


def test_the_file_goes_on_with_the_store(audited: Office) -> None:
    before = audited.desk.home.heads.read_text("utf-8")
    audited.take(audited.station.visit(Pupil.make(20)))
    assert "gone" not in codes(audited)
    assert audited.desk.home.heads.read_text("utf-8") != before
    edit(audited, "DELETE FROM event WHERE sequence = 10")
    assert "gone" in codes(audited)


def test_what_comes_again_is_no_longer_gone(office: Office) -> None:
    """A copy of before was put back, and the station sends again what it lacks."""
    lines = visits(office.station, 4)
    office.take(*lines)
    assert codes(office) == []
    edit(office, "DELETE FROM event WHERE sequence > 3", "UPDATE chain SET high_water = 3, hash ="
         " (SELECT hash FROM event WHERE sequence = 3)")  # fmt: skip
    assert codes(office) == ["gone"]
    office.take(*lines[3:])
    assert codes(office) == []


def test_a_store_that_somebody_wrote_into_is_not_what_later_audits_are_held_against(audited: Office) -> None:
    kept = audited.desk.home.heads.read_bytes()
    edit(audited, "UPDATE chain SET high_water = 99")
    assert "high_water" in codes(audited)
    assert audited.desk.home.heads.read_bytes() == kept
    edit(audited, "UPDATE chain SET high_water = 7")
    assert "gone" not in codes(audited)


def test_a_flag_goes_by_a_command_and_by_nothing_else(office: Office) -> None:
    office.take(*visits(office.station, 2))
    with office.database.write() as connection:
        flag_station(connection, "bkk-001", "chain_broken")
    assert codes(office) == ["flag"]
    edit(office, "UPDATE station SET flag = NULL")
    assert codes(office) == ["gone"]
    edit(office, "UPDATE station SET flag = 'chain_broken'")
    office.desk.run("station", "clear", "bkk-001")
    assert codes(office) == []


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TRIGGER silent AFTER INSERT ON access BEGIN DELETE FROM access; END",
        "CREATE VIEW elsewhere AS SELECT * FROM event",
    ],
)
def test_nothing_acts_in_the_database_unseen(office: Office, made: str) -> None:
    edit(office, made)
    ran = office.desk.run("audit")
    assert (ran.code, "that nobody of ours made" in ran.out) == (1, True)


def test_what_somebody_wrote_does_nothing_to_a_terminal(office: Office) -> None:
    edit(office, "UPDATE station SET flag = 'x' || char(10) || 'clean' || char(27) || '[8m'")
    ran = office.desk.run("audit")
    assert ran.code == 1
    assert "clean" not in ran.out.splitlines()
    assert "\x1b" not in ran.out


def test_an_excuse_that_lies_in_wait_is_of_nobody(office: Office) -> None:
    office.take(*visits(office.station, 2))
    edit(
        office,
        "INSERT INTO excused SELECT id, kid, 4, 9999999, 'operator', '2026-11-24T00:00:00+00:00' FROM chain",
    )
    assert codes(office) == ["edited"]


def test_a_good_event_cannot_be_put_among_those_that_do_not_count(audited: Office) -> None:
    moved = (
        "INSERT INTO quarantine SELECT hash, station, kid, chain, sequence, previous, 'contradiction', received_at, jws"
        " FROM event WHERE sequence = 3",
        "DELETE FROM event WHERE sequence = 3",
    )
    edit(audited, *moved)
    assert sorted(codes(audited)) == ["edited", "fork", "gap", "quarantine", "quarantine"]
    edit(audited, "UPDATE quarantine SET code = 'revoked' WHERE sequence = 3")
    assert "edited" in codes(audited), "its key is not revoked"


def test_a_copy_elsewhere_tells_what_this_machine_forgot(audited: Office, tmp_path: Path) -> None:
    copy = tmp_path / "heads of monday"
    copy.write_bytes(audited.desk.home.heads.read_bytes())
    edit(audited, "DELETE FROM fork")
    audited.desk.home.heads.unlink()
    assert "gone" not in codes(audited)
    ran = audited.desk.run("audit", "--against", copy)
    assert (ran.code, "stood apart as a fork" in ran.out) == (1, True)


def altered(text: str, office: Office) -> str:
    return text.replace("chain ", "chaim ", 1)


def shortened(text: str, office: Office) -> str:
    return "\n".join(text.split("\n")[:2])


def by_a_stranger(text: str, office: Office) -> str:
    return "\n".join([Signer.generate().sign({"lines": 0}, HEADS_TYPE), *text.split("\n")[1:]])


def by_the_wrong_key(text: str, office: Office) -> str:
    signer = Signer(office.desk.home.key("receipt"))
    return "\n".join([signer.sign({"lines": 0}, HEADS_TYPE), *text.split("\n")[1:]])


def emptied(text: str, office: Office) -> str:
    return ""


@pytest.mark.parametrize("change", [altered, shortened, by_a_stranger, by_the_wrong_key, emptied])
def test_a_file_that_somebody_wrote_is_told_and_kept(audited: Office, change: object) -> None:
    assert callable(change)
    path = audited.desk.home.heads
    path.write_text(change(path.read_text("utf-8"), audited), "utf-8")
    kept = path.read_bytes()
    ran = audited.desk.run("audit")
    assert "gone: - agency.heads: tells nothing" in ran.out
    assert path.read_bytes() == kept
    ran = audited.desk.run("audit", "--against", path)
    assert (ran.code, "holds no heads of this agency" in ran.err) == (2, True)


def test_bytes_that_are_no_text_are_told(audited: Office) -> None:
    audited.desk.home.heads.write_bytes(b"\xff\xfe\x00")
    assert "gone" in codes(audited)
    assert audited.desk.run("audit", "--against", "nowhere").code == 2


def test_without_the_key_the_audit_goes_on_and_says_so(audited: Office) -> None:
    (audited.desk.home.keys / "document.jwk").rename(audited.folder / "away.jwk")
    ran = audited.desk.run("audit")
    assert (ran.code, "agency.heads stays as it was" in ran.err) == (1, True)
    assert "fork" in ran.out
