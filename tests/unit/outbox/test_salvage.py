"""What is found in the bytes of a damaged file and of its log, what is believed of it, and what is named as lost."""

import errno
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import Position, jws_hash
from appliance.events.receipt import Receipt
from appliance.events.sign import EVENT_TYPE, KeySet, Signer
from appliance.outbox.database import PAGE_BYTES
from appliance.outbox.salvage import Wreck, salvage
from tests.unit.events.test_agency_keys import Desk
from tests.unit.outbox.test_retention import COMMITTED, Kept

OLDER, CHAIN, OTHER = "01M83BXH2R7R0A5EVXPK4651AQ", "01M83BXH2R7R0A5EVXPK4651AR", "01M83BXH2R7R0A5EVXPK4651AS"
FRAME_BYTES = 24 + PAGE_BYTES


class Find:
    """Signed texts, and files that hold nothing else that anybody could read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "station.db"
        self.signer, self.agency = Signer.generate(), Signer.generate()

    def events(self, count: int, chain: str = CHAIN, time: str = "2026-11-23T08:00:00.000+07:00") -> list[str]:
        position, made = Position(chain, 1, self.signer.kid), list[str]()
        for _ in range(count):
            claims = {"chain": chain, "sequence": f"{position.sequence:010d}", "previous": position.previous}
            made.append(self.signer.sign({**claims, "time": time}, EVENT_TYPE))
            position = position.after(made[-1])
        return made

    def receipt(self, through: int, chain: str = CHAIN, epoch: int = 1, signer: Signer | None = None) -> str:
        receipt = Receipt("bkk-001", epoch, chain, through, "h" * 43, COMMITTED.isoformat())
        return receipt.sign(signer or self.agency)

    def lay(self, *texts: str) -> None:
        self.path.write_bytes(b"\0\xff".join([b"garbage", *(text.encode() for text in texts), b""]))

    def salvage(self, keys: AgencyKeys | None = None) -> Wreck:
        own = KeySet([self.signer.public("event")])
        return salvage(self.path, own, keys or AgencyKeys.enrolled([self.agency.public("receipt")]), "bkk-001")


@pytest.fixture
def find(tmp_path: Path) -> Find:
    return Find(tmp_path)


def test_signed_events_are_found_whatever_lies_around_them(find: Find) -> None:
    events = find.events(5)
    find.lay(*events)
    wreck = find.salvage()
    assert {place: one.jws for place, one in wreck.events.items()} == {
        (CHAIN, number): jws for number, jws in enumerate(events, 1)
    }
    assert wreck.chain == CHAIN
    assert wreck.newest[CHAIN].sequence == 5
    assert all(
        later.previous == earlier.hash for earlier, later in pairwise(wreck.events[CHAIN, n] for n in range(1, 6))
    )
    assert wreck.lost() == []


def test_the_order_in_which_they_lie_means_nothing(find: Find) -> None:
    events = find.events(5)
    find.lay(events[4], events[1], events[3], events[0], events[2])
    wreck = find.salvage()
    assert (len(wreck.events), wreck.newest[CHAIN].sequence) == (5, 5)


def test_what_only_one_of_the_two_signed_is_not_taken_for_the_other_s(find: Find) -> None:
    ours, theirs = find.events(3), find.receipt(2)
    find.signer, find.agency = find.agency, find.signer
    find.lay(*ours, theirs)
    wreck = find.salvage()
    assert (wreck.chain, wreck.events, wreck.receipts) == (None, {}, {})


def test_what_a_receipt_covers_is_not_kept_and_is_not_lost(find: Find) -> None:
    events = find.events(5)
    find.lay(*events, find.receipt(3))
    wreck = find.salvage()
    assert sorted(sequence for _, sequence in wreck.events) == [4, 5]
    assert wreck.lost() == []


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_event_is_known_though_a_receipt_covers_it(find: Find, order: int) -> None:
    events = find.events(5)
    find.lay(*events[::order], find.receipt(5))
    wreck = find.salvage()
    assert wreck.events == {}
    assert (wreck.newest[CHAIN].sequence, wreck.newest[CHAIN].hash) == (5, jws_hash(events[4]))
    assert wreck.lost() == []


@pytest.mark.parametrize(
    ("receipts", "newest"),
    [
        ([(1, 2), (1, 4), (1, 3)], (1, 4)),
        ([(1, 4), (2, 3)], (2, 3)),
        ([(2, 3), (1, 4)], (2, 3)),
        ([(2, 3), (2, 3)], (2, 3)),
    ],
)
def test_of_several_receipts_the_newest_counts(
    find: Find, receipts: list[tuple[int, int]], newest: tuple[int, int]
) -> None:
    find.lay(*find.events(5), *(find.receipt(through, epoch=epoch) for epoch, through in receipts))
    wreck = find.salvage()
    assert (wreck.receipts[CHAIN].epoch, wreck.receipts[CHAIN].through) == newest
    assert len(wreck.events) == 5 - newest[1]


@pytest.mark.parametrize(
    ("kept", "through", "lost"),
    [
        ([1, 2, 5], 0, [[3, 4]]),
        ([2, 4, 7], 0, [[1, 1], [3, 3], [5, 6]]),
        ([3, 6], 2, [[4, 5]]),
        ([6], 2, [[3, 5]]),
        ([2, 3], 2, []),
        ([], 2, []),
    ],
)
def test_every_hole_is_named_from_the_receipt_to_the_newest_event(
    find: Find, kept: list[int], through: int, lost: list[list[int]]
) -> None:
    events = find.events(7)
    find.lay(*(events[number - 1] for number in kept), *([find.receipt(through)] if through else []))
    assert find.salvage().lost() == lost


def test_of_several_chains_the_youngest_is_the_one_that_was_written(find: Find) -> None:
    find.lay(*find.events(4, OTHER), *find.events(2, CHAIN)[1:], find.receipt(9, OLDER), find.receipt(1, OLDER))
    wreck = find.salvage()
    assert wreck.chain == OTHER
    assert {chain for chain, _ in wreck.events} == {CHAIN, OTHER}
    assert wreck.lost() == [], "of an earlier chain somebody else has told what was lost"


def test_a_receipt_alone_tells_the_chain(find: Find) -> None:
    find.lay(find.receipt(9))
    wreck = find.salvage()
    assert (wreck.chain, wreck.receipts[CHAIN].through, wreck.lost()) == (CHAIN, 9, [])


def test_the_time_of_the_newest_event_of_any_chain_is_known(find: Find) -> None:
    assert Wreck().newest_time() is None
    find.lay(*find.events(2, OTHER), *find.events(2, CHAIN, "2026-11-25T00:30:00.000+07:00"))
    assert find.salvage().newest_time() == datetime(2026, 11, 24, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize("claims", [{}, {"chain": CHAIN}, {"chain": CHAIN, "sequence": "x", "previous": "p"}])
def test_a_text_of_ours_that_is_no_event_does_not_stop_the_search(find: Find, claims: dict[str, str]) -> None:
    first, second = find.events(2)
    find.lay(first, find.signer.sign(claims, EVENT_TYPE), second)
    assert len(find.salvage().events) == 2


def test_a_second_text_for_one_place_does_not_take_the_place_of_the_row(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=3)
    position = Position(station.outbox.head().chain, 3, "p" * 43)
    other = station.build(position)
    stored = station.outbox.row(3)
    assert stored is not None
    station.outbox.close()
    station.delivery.close()
    with station.path.open("ab") as file:
        file.write(b"\0" * 100 + other.encode() + b"\0" * 100)
    own, agency = KeySet([station.signer.public("event")]), AgencyKeys.enrolled([station.agency.public("receipt")])
    wreck = salvage(station.path, own, agency, "bkk-001")
    assert wreck.events[position.chain, 3].jws == stored.jws


def test_a_chain_that_was_begun_and_holds_nothing_yet_is_the_one_that_was_written(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=0)
    begun = station.outbox.head().chain
    young = station.signer.sign({"chain": "7" + "Z" * 25, "sequence": "1", "previous": "p"}, EVENT_TYPE)
    station.change("INSERT INTO salvaged VALUES ('7', 1, 'h', ?)", young)
    station.outbox.close()
    own, agency = KeySet([station.signer.public("event")]), AgencyKeys.enrolled([station.agency.public("receipt")])
    wreck = salvage(station.path, own, agency, "bkk-001")
    assert (wreck.chain, len(wreck.events)) == (begun, 1)


def test_a_receipt_by_a_key_of_a_later_document_counts(find: Find) -> None:
    desk = Desk()
    enrolled = AgencyKeys.enrolled(desk.jwks())
    desk.signers["receipt"] = [Signer.generate()]
    desk.publish()
    find.lay(*find.events(3), find.receipt(2, signer=desk.signers["receipt"][0]))
    assert find.salvage(enrolled).receipts == {}
    garbage = find.path.read_bytes()
    find.path.unlink()
    with closing(sqlite3.connect(find.path)) as other, other:
        other.execute("CREATE TABLE document (kind, version, jws)")
        rows = [
            ("keys", 1, None),
            ("keys", 1, b"keys"),
            ("roster", 9, "a.b.c"),
            ("keys", 1, desk.message),
            ("keys", 2, "a.b.c"),
        ]
        other.executemany("INSERT INTO document VALUES (?, ?, ?)", rows)
    with find.path.open("ab") as file:
        file.write(garbage)
    assert find.salvage(enrolled).receipts[CHAIN].through == 2


def test_what_the_small_tables_held_is_told_and_one_that_is_gone_hides_no_other(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=2)
    station.outbox.day_salt("2026-11-23")
    station.outbox.take_document("roster", 7, "a roster")
    station.change("DROP TABLE visit")
    station.change("DROP TABLE event")
    station.outbox.close()
    wreck = salvage(station.path, KeySet([]), AgencyKeys.enrolled([]), "bkk-001")
    assert {table: len(rows) for table, rows in wreck.rows.items()} == {
        "chain": 1,
        "delivery": 1,
        "document": 1,
        "day": 1,
    }
    assert wreck.rows["document"] == [("roster", 7, "a roster")]


@pytest.mark.parametrize("log", [b"", b"x" * 31, b"x" * 5000])
def test_a_file_or_a_log_of_no_use_hides_nothing(find: Find, log: bytes) -> None:
    find.lay(*find.events(2))
    find.path.with_name("station.db-wal").write_bytes(log)
    assert len(find.salvage().events) == 2
    find.path.write_bytes(b"")
    assert find.salvage().newest == {}


def refuse(patch: pytest.MonkeyPatch, page: int) -> None:
    """Let the disk give back all but one page, from 0."""
    read = os.pread

    def fail(handle: int, size: int, place: int) -> bytes:
        if place <= page * PAGE_BYTES < place + size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(handle, size, place)

    patch.setattr(os, "pread", fail)


def test_a_page_that_the_disk_does_not_give_back_costs_what_lies_on_it(
    find: Find, log: "Log", monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [jws.encode().ljust(PAGE_BYTES, b"\0") for jws in find.events(5)]
    find.path.write_bytes(b"".join(events))
    refuse(monkeypatch, 2)
    assert find.salvage().lost() == [[3, 3]]
    monkeypatch.undo()
    refuse(monkeypatch, len(log.bytes) // PAGE_BYTES)
    assert log.found(log.bytes)[:2] == [1, 2]


def test_in_a_large_file_every_text_is_found_once_wherever_it_lies(find: Find) -> None:
    content = bytearray(3 << 20)
    places = [0, (1 << 20) - 100, (1 << 20) + 5000, (2 << 20) - 1, (3 << 20) - 1000]
    for place, jws in zip(places, find.events(5), strict=True):
        content[place : place + len(jws)] = jws.encode()
    find.path.write_bytes(content)
    assert sorted(sequence for _, sequence in find.salvage().events) == [1, 2, 3, 4, 5]


def test_a_text_that_is_none_hides_no_other_row_of_its_table(tmp_path: Path) -> None:
    station = Kept(tmp_path, events=2)
    station.outbox.take_document("roster", 7, "a roster")
    station.change("INSERT INTO document VALUES ('denylist', 1, CAST(x'ff' AS TEXT))")
    station.outbox.close()
    wreck = salvage(station.path, KeySet([]), AgencyKeys.enrolled([]), "bkk-001")
    assert {row[0]: row[1] for row in wreck.rows["document"]} == {"roster": 7, "denylist": 1}


def test_of_a_file_that_is_gone_nothing_is_known(find: Find) -> None:
    assert (find.salvage().newest, find.salvage().chain) == ({}, None)


class Log:
    """A write-ahead log of SQLite's own making: three transactions, each with events of its own."""

    def __init__(self, folder: Path) -> None:
        station = Kept(folder, events=0)
        station.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for _ in range(3):
            station.append()
        below = folder / "copy"
        below.mkdir()
        self.path = below / "station.db"
        shutil.copy(f"{station.path}-wal", self.path.with_name("station.db-wal"))
        self.bytes = self.path.with_name("station.db-wal").read_bytes()
        self.path.write_bytes(secrets.token_bytes(100))
        self.own = KeySet([station.signer.public("event")])
        station.outbox.close()
        station.delivery.close()

    def found(self, log: bytes) -> list[int]:
        self.path.with_name("station.db-wal").write_bytes(log)
        return sorted(sequence for _, sequence in salvage(self.path, self.own, AgencyKeys.enrolled([]), "").events)

    def commits(self) -> list[int]:
        """Return where the frames end that a commit closed."""
        starts = range(32, len(self.bytes), FRAME_BYTES)
        return [start + FRAME_BYTES for start in starts if any(self.bytes[start + 4 : start + 8])]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_every_committed_transaction_of_the_log_is_found(log: Log) -> None:
    assert log.found(log.bytes) == [1, 2, 3]
    assert [log.found(log.bytes[:end]) for end in log.commits()] == [[1], [1, 2], [1, 2, 3]]


def test_a_transaction_of_which_a_byte_is_missing_was_none(log: Log) -> None:
    first, second, third = log.commits()
    assert log.found(log.bytes[: first - 1]) == []
    assert log.found(log.bytes[: second - 1]) == [1]
    assert log.found(log.bytes[: third - FRAME_BYTES]) == [1, 2]


def test_frames_of_an_earlier_round_of_the_log_count_no_more(log: Log) -> None:
    _, second, _ = log.commits()
    left = bytearray(log.bytes)
    for start in range(second, len(left), FRAME_BYTES):
        left[start + 8] ^= 1
    assert log.found(bytes(left)) == [1, 2]
    left = bytearray(log.bytes)
    left[23] ^= 1
    assert log.found(bytes(left)) == []


def test_the_page_that_the_commit_itself_closed_counts_and_none_after_it(find: Find) -> None:
    log, salts = bytearray(32), b"12345678"
    log[16:24] = salts
    ends = []
    for number, jws in enumerate(find.events(5), 1):
        commit = b"\0\0\0\1" if number in (3, 4) else bytes(4)
        log += bytes(4) + commit + salts + bytes(8) + jws.encode().ljust(PAGE_BYTES, b"\0")
        ends.append(len(log))
    find.path.write_bytes(b"garbage")
    found = []
    for end in ends:
        find.path.with_name("station.db-wal").write_bytes(log[:end])
        found.append(sorted(sequence for _, sequence in find.salvage().events))
    assert found == [[], [], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]]
