"""The look at the start: what is damage, what is only newer, what a receipt makes good."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.errors import OutboxDamaged, OutboxUnavailable, StoreError
from appliance.outbox.check import check, suspect
from appliance.outbox.database import PAGE_BYTES
from appliance.outbox.store import Outbox
from tests.unit.outbox.test_retention import Kept


class Checked(Kept):
    def changed(self, *statements: str) -> None:
        """Change the file as nothing of ours does."""
        for statement in statements:
            self.change(statement)

    def fault(self) -> str:
        """Return what is found, ``""`` for nothing."""
        try:
            check(self.path)
        except OutboxDamaged as error:
            return str(error).partition("damaged: ")[2]
        return ""


@pytest.fixture
def station(tmp_path: Path) -> Checked:
    made = Checked(tmp_path)
    made.outbox.close()
    made.delivery.close()
    return made


@pytest.fixture
def received(tmp_path: Path) -> Checked:
    made = Checked(tmp_path)
    made.receive(2)
    made.receive(4)
    made.outbox.close()
    made.delivery.close()
    return made


def test_what_our_own_software_wrote_is_sound(station: Checked) -> None:
    assert station.fault() == ""


def test_an_empty_chain_is_sound(tmp_path: Path) -> None:
    assert Checked(tmp_path, events=0).fault() == ""


@pytest.mark.parametrize("version", [2, 999])
def test_tables_of_newer_software_are_no_damage(station: Checked, version: int) -> None:
    station.changed(f"PRAGMA user_version = {version}")
    with pytest.raises(StoreError, match=f"version {version}") as raised:
        check(station.path)
    assert not isinstance(raised.value, OutboxDamaged), "it would be set aside"


def test_a_version_that_no_software_has_is_not_waited_for(station: Checked) -> None:
    station.changed("PRAGMA user_version = 1000000000")
    check(station.path)


def test_an_index_that_says_another_thing_is_found_where_somebody_met_damage(station: Checked) -> None:
    with closing(sqlite3.connect(station.path)) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event_time'").fetchone()
    content = bytearray(station.path.read_bytes())
    newest = content.index(b"+07:00", (page - 1) * PAGE_BYTES)  # a page is filled from its end
    content[newest + 5] += 1
    station.path.write_bytes(content)
    assert station.fault() == "", "the quick look does not compare indexes"
    suspect(station.path.parent).touch()
    assert "index event_time" in station.fault()


@pytest.mark.parametrize("table", ["day", "document", "station", "visit"])
def test_a_table_that_is_gone_is_named(station: Checked, table: str) -> None:
    station.changed(f"DROP TABLE {table}")
    assert station.fault() == f"there is no table {table}"


def test_a_file_without_any_table_of_later_versions_is_sound(received: Checked) -> None:
    later = ("receipt", "salvaged", "damage", "former")
    received.changed("DROP VIEW waiting", *(f"DROP TABLE {table}" for table in later))
    assert received.fault() == ""


def test_a_file_that_was_made_and_holds_no_chain_yet_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "station.db"
    Outbox.open(path, create=True).close()
    check(path)


def test_a_receipt_for_the_only_event_and_no_event_is_damage(station: Checked) -> None:
    station.changed("UPDATE delivery SET through = 1", "DELETE FROM event")
    assert station.fault() == "the last receipt names event 1, and the newest is None"


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM delivery", "nothing says how far the receipts reach"),
        ("DELETE FROM chain", "there are events and no chain"),
        ("UPDATE delivery SET through = 6", "the last receipt names event 6, and the newest is 5"),
        ("DELETE FROM event", ""),
        ("DELETE FROM event WHERE sequence = 1", "events 1 to 1 are missing"),
        ("DELETE FROM event WHERE sequence < 3", "events 1 to 2 are missing"),
        ("DELETE FROM event WHERE sequence = 3", "events 3 to 3 are missing"),
        ("UPDATE event SET jws = jws || 'A' WHERE sequence = 1", "event 1 is not what its hash says"),
        ("UPDATE event SET jws = jws || 'A' WHERE sequence = 5", "event 5 is not what its hash says"),
        ("UPDATE event SET jws = '' WHERE sequence = 3", ""),
    ],
)
def test_what_nobody_confirmed_must_be_there_and_whole(station: Checked, statement: str, fault: str) -> None:
    station.changed(statement)
    assert station.fault() == fault


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM event WHERE sequence <= 4", ""),
        ("DELETE FROM event WHERE sequence = 3", ""),
        ("DELETE FROM event", "the last receipt names event 4, and the newest is None"),
        ("DELETE FROM event WHERE sequence = 5", ""),
        ("UPDATE event SET jws = jws || 'A' WHERE sequence = 4", ""),
        ("UPDATE event SET jws = jws || 'A' WHERE sequence = 5", "event 5 is not what its hash says"),
        ("UPDATE event SET sequence = 6 WHERE sequence = 5", "events 5 to 5 are missing"),
    ],
)
def test_what_a_receipt_covers_may_be_gone(received: Checked, statement: str, fault: str) -> None:
    received.changed(statement)
    assert received.fault() == fault


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM event WHERE sequence <= 2", ""),
        ("DELETE FROM event WHERE sequence <= 4", ""),
        (
            "DELETE FROM event WHERE sequence <= 2; UPDATE event SET jws = jws || 'A' WHERE sequence = 3",
            "event 3 is not what its hash says",
        ),
        ("DELETE FROM event WHERE sequence = 3", "events 3 to 3 are missing"),
        ("UPDATE event SET jws = jws || 'A' WHERE sequence = 2", "event 2 is not what its hash says"),
    ],
)
def test_after_the_agency_went_back_what_an_earlier_receipt_covered_may_be_swept_and_nothing_else(
    received: Checked, statement: str, fault: str
) -> None:
    received.changed("UPDATE delivery SET through = 1, epoch = 2", *statement.split("; "))
    assert received.fault() == fault


def test_a_receipt_of_another_chain_covers_nothing_of_ours(received: Checked) -> None:
    received.changed(
        "UPDATE delivery SET through = 0",
        "UPDATE receipt SET chain = 'another'",
        "DELETE FROM event WHERE sequence = 1",
    )
    assert received.fault() == "events 1 to 1 are missing"


def test_a_file_that_is_gone_or_a_folder_is_no_damage(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OutboxUnavailable):
            check(path)
