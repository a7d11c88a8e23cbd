"""What leaves the station after a receipt, what stays, and that what stays can still be proved."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet, Signer
from appliance.outbox.delivery import Delivery
from appliance.outbox.retention import BATCH_ROWS
from appliance.outbox.store import Outbox
from appliance.outbox.verify import open_receipts, verify
from tests.unit.outbox.test_store import Station

COMMITTED = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
LONG = 365


class Kept(Station):
    """A station whose agency really signs receipts."""

    def __init__(self, folder: Path, events: int = 5) -> None:
        super().__init__(folder)
        self.agency = Signer.generate()
        for _ in range(events):
            self.append()
        self.delivery = Delivery.open(self.path)

    def receive(self, through: int, epoch: int = 1, at: datetime = COMMITTED, digest: str = "") -> bool:
        row = self.outbox.row(through)
        digest = digest or (row.hash if row else self.signer.kid)
        receipt = Receipt("bkk-001", epoch, self.outbox.head().chain, through, digest, at.isoformat())
        return self.delivery.take_receipt(receipt, receipt.sign(self.agency), at.isoformat())

    def sweep(self, after: timedelta, content_days: int = 7, row_days: int = LONG) -> int:
        return self.outbox.sweep(COMMITTED + after, content_days, row_days)

    def problems(self) -> list[str]:
        keys = KeySet([self.agency.public("receipt")])
        receipts, problems = open_receipts(self.outbox.receipts(), keys, self.outbox.head().chain)
        own = KeySet([self.signer.public("event")])
        return problems + verify(self.outbox.rows(), own, self.signer.kid, receipts)

    def erased(self) -> list[int]:
        return [row.sequence for row in self.outbox.rows() if row.is_erased]

    def held(self) -> list[int]:
        return [row.sequence for row in self.outbox.rows()]

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute(statement, values)


@pytest.fixture
def station(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_nothing_is_erased_before_its_time(station: Kept) -> None:
    station.receive(3)
    assert station.sweep(WEEK - timedelta(seconds=1)) == 0
    assert station.erased() == []


def test_after_the_retention_only_sequence_hash_and_receipt_stay(station: Kept) -> None:
    before = {row.sequence: row.hash for row in station.outbox.rows()}
    station.receive(3)
    assert station.sweep(WEEK) == 3
    assert station.erased() == [1, 2, 3]
    row = station.outbox.row(2)
    assert row is not None
    assert (row.hash, row.jws, row.type, row.time, row.covered) == (before[2], "", "", "", True)
    assert station.problems() == []
    assert station.append() == 6
    assert station.problems() == []


def test_the_newest_event_keeps_its_time_since_no_later_one_may_be_earlier(station: Kept) -> None:
    station.receive(5)
    station.sweep(WEEK)
    rows = {row.sequence: row.time for row in station.outbox.rows() if row.is_erased}
    assert rows == {1: "", 2: "", 3: "", 4: "", 5: "2026-11-23T08:00:00.000+07:00"}


def test_what_no_receipt_covers_stays_for_ever(station: Kept) -> None:
    assert station.sweep(timedelta(days=10_000), 0, 1) == 0
    station.receive(2)
    station.sweep(timedelta(days=10_000), 0, 1)
    assert [row.sequence for row in station.outbox.rows() if not row.is_erased] == [3, 4, 5]


def test_what_an_agency_that_went_back_confirms_once_more_stays_as_long_as_if_it_were_new(station: Kept) -> None:
    station.receive(2)
    station.receive(4)
    station.receive(1, epoch=2, at=COMMITTED + 2 * WEEK)
    station.receive(5, epoch=2, at=COMMITTED + 3 * WEEK)
    station.sweep(3 * WEEK)
    assert station.erased() == [1]
    station.sweep(4 * WEEK)
    assert station.erased() == [1, 2, 3, 4, 5]


def test_an_erased_event_is_in_no_file(station: Kept) -> None:
    row = station.outbox.row(2)
    assert row is not None
    payload, signature = (part.encode() for part in row.jws.split(".")[1:])
    station.receive(5)
    station.sweep(WEEK)
    for file in station.path.parent.iterdir():
        content = file.read_bytes()
        assert payload not in content, file.name
        assert signature not in content, file.name


def test_the_receipt_of_an_erased_event_can_be_shown(station: Kept) -> None:
    station.receive(2)
    station.receive(4)
    station.sweep(WEEK)
    keys = KeySet([station.agency.public("receipt")])
    for sequence, through in ((1, 2), (2, 2), (3, 4), (4, 4)):
        row = station.outbox.row(sequence)
        assert row is not None
        jws = station.outbox.receipt_of(row)
        assert jws is not None
        assert Receipt.open(jws, keys, "bkk-001").through == through
    waiting = station.outbox.row(5)
    assert waiting is not None
    assert station.outbox.receipt_of(waiting) is None


def test_old_rows_go_altogether_but_for_the_one_that_the_next_receipt_is_compared_with(station: Kept) -> None:
    station.receive(4)
    station.sweep(timedelta(days=30), 7, 30)
    assert station.held() == [4, 5]
    assert station.problems() == []
    assert station.receive(5)
    station.sweep(timedelta(days=60), 7, 30)
    assert station.held() == [5]
    assert station.append() == 6
    assert station.problems() == []
    assert len(station.outbox.receipts()) == 1


def test_the_age_of_the_row_wins_over_a_longer_retention(station: Kept) -> None:
    station.receive(5)
    station.sweep(timedelta(days=3), content_days=300, row_days=3)
    assert station.held() == [5]
    assert station.erased() == [5]


def test_a_frozen_queue_erases_nothing(station: Kept) -> None:
    station.receive(3)
    station.receive(4, digest="x" * 43)
    assert station.delivery.standing().frozen
    assert station.sweep(WEEK * 10) == 0
    assert station.erased() == []


def test_it_goes_in_batches(tmp_path: Path) -> None:
    station = Kept(tmp_path, BATCH_ROWS + 5)
    station.receive(BATCH_ROWS + 5)
    assert [station.sweep(WEEK) for _ in range(3)] == [BATCH_ROWS, 5, 0]


def test_an_agency_that_went_back_gets_what_is_still_held(station: Kept) -> None:
    station.receive(2)
    station.receive(4, at=COMMITTED + timedelta(days=3))
    station.sweep(WEEK)
    assert station.erased() == [1, 2]
    assert station.receive(0, epoch=2)
    standing = station.delivery.standing()
    assert (standing.through, standing.floor) == (0, 2)
    assert [sequence for sequence, _ in station.delivery.events(0, 100)] == [3, 4, 5]
    assert station.delivery.backlog() == (3, "2026-11-23T08:00:00.000+07:00")
    assert station.delivery.first_held([[1, 2]]) is None
    assert station.delivery.first_held([[1, 4]]) == 3
    assert station.sweep(WEEK * 10) == 0, "what the agency holds no more stays here"
    assert station.problems() == []


def test_the_retention_begins_anew_with_the_receipt_after_a_restore(station: Kept) -> None:
    station.receive(4)
    station.receive(0, epoch=2)
    station.receive(4, epoch=2, at=COMMITTED + WEEK)
    assert station.sweep(WEEK * 2 - timedelta(seconds=1)) == 0
    assert station.sweep(WEEK * 2) == 4


def test_an_agency_that_went_back_to_before_the_first_row_freezes_nothing(station: Kept) -> None:
    station.receive(4)
    station.sweep(timedelta(days=30), 7, 30)
    assert station.receive(2, epoch=2, digest="h" * 43)
    standing = station.delivery.standing()
    assert (standing.frozen, standing.through, standing.floor) == (None, 2, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE event SET hash = 'x' WHERE sequence = 2", "event 2: the agency's receipt names another hash"),
        ("UPDATE event SET jws = '' WHERE sequence = 5", "event 5: it was erased, and no receipt covers it"),
        ("DELETE FROM event WHERE sequence = 2", "events 2 to 2 are missing"),
        ("DELETE FROM event WHERE sequence < 5", "events 1 to 4 are missing"),
        ("DELETE FROM event WHERE sequence > 2", "events 3 to 3 are missing, and the agency's receipt proves them"),
        ("DELETE FROM event", "events 1 to 3 are missing, and the agency's receipt proves them"),
        ("UPDATE receipt SET jws = replace(jws, '.', '.e')", "a stored receipt does not hold"),
        ("UPDATE event SET hash = 'x' WHERE sequence = 3", "event 4: its previous is not"),
    ],
)
def test_verify_names_what_was_changed_after_the_erasure(station: Kept, change: str, said: str) -> None:
    station.receive(2)
    station.receive(3)
    station.sweep(WEEK)
    assert station.problems() == []
    station.change(change)
    assert any(problem.startswith(said) for problem in station.problems())


def test_a_receipt_for_another_chain_proves_nothing(station: Kept) -> None:
    station.receive(3)
    keys = KeySet([station.agency.public("receipt")])
    receipts, problems = open_receipts(station.outbox.receipts(), keys, "01M8AFYQH999JK16YP4QMA357C")
    assert receipts == []
    assert len(problems) == 1


def test_each_event_stays_as_long_as_its_own_service_says(station: Kept) -> None:
    station.change("UPDATE event SET type = 'police.lost_document.v1' WHERE sequence IN (2, 4)")
    station.change("UPDATE event SET type = 'moph.visit_open.v1' WHERE sequence = 3")
    station.receive(5)
    days = {"police.lost_document.v1": 30, "moph.visit_open.v1": 1}
    for after, erased in ((1, [3]), (7, [1, 3, 5]), (29, [1, 3, 5]), (30, [1, 2, 3, 4, 5])):
        station.outbox.sweep(COMMITTED + timedelta(days=after), 7, LONG, days)
        assert station.erased() == erased


def test_no_event_stays_longer_than_its_row(station: Kept) -> None:
    station.receive(5)
    station.outbox.sweep(COMMITTED + timedelta(days=3), 7, 3, {"school.attendance.v1": 300})
    assert station.held() == [5]


OLD = "01M83BXH2R7R0A5EVXPK4651AQ"


def salvaged(station: Kept) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(station.path)) as other:
        return other.execute("SELECT sequence, jws FROM salvaged").fetchall()


def test_what_was_salvaged_stays_for_its_retention_after_the_receipt(station: Kept) -> None:
    with closing(sqlite3.connect(station.path)) as other, other:
        other.execute("INSERT INTO salvaged VALUES (?, 4, ?, 'jws-4'), (?, 5, ?, 'jws-5')", (OLD, "h" * 43) * 2)
    former = Receipt("bkk-001", 1, OLD, 4, "h" * 43, COMMITTED.isoformat())
    assert station.delivery.take_receipt(former, former.sign(station.agency), COMMITTED.isoformat())
    assert station.sweep(WEEK - timedelta(seconds=1)) == 0
    assert len(salvaged(station)) == 2
    assert station.sweep(WEEK) == 1
    assert salvaged(station) == [(5, "jws-5")], "no receipt covers it"
    assert b"jws-4" not in b"".join(file.read_bytes() for file in station.path.parent.iterdir())
    assert station.sweep(WEEK) == 0


def former(chain: str, through: int, epoch: int = 1) -> Receipt:
    return Receipt("bkk-001", epoch, chain, through, "h" * 43, COMMITTED.isoformat())


def taken(station: Kept, receipt: Receipt) -> bool:
    return station.delivery.take_receipt(receipt, receipt.sign(station.agency), COMMITTED.isoformat())


def waiting(station: Kept) -> list[str]:
    with closing(sqlite3.connect(station.path)) as other:
        return [jws for (jws,) in other.execute("SELECT jws FROM waiting ORDER BY 1")]


def test_a_receipt_for_one_earlier_chain_tells_that_an_older_one_for_another_is_of_before(station: Kept) -> None:
    older = "01M83BXH2R7R0A5EVXPK4651AP"
    for chain, jws in ((OLD, "jws-old"), (older, "jws-older")):
        station.change("INSERT INTO salvaged VALUES (?, 4, ?, ?)", chain, "h" * 43, jws)
    assert taken(station, former(OLD, 4, epoch=3))
    assert not taken(station, former(OLD, 4, epoch=3)), "it moves nothing more"
    assert not taken(station, former(older, 4, epoch=2))
    assert waiting(station) == ["jws-older"]
    assert taken(station, former(older, 4, epoch=3))
    assert waiting(station) == []


def test_what_was_salvaged_of_one_chain_does_not_go_with_another(station: Kept) -> None:
    other = "01M83BXH2R7R0A5EVXPK4651AP"
    for chain, jws in ((OLD, "jws-4"), (other, "jws-other")):
        station.change("INSERT INTO salvaged VALUES (?, 4, ?, ?)", chain, "h" * 43, jws)
    taken(station, former(OLD, 4))
    station.sweep(WEEK)
    assert salvaged(station) == [(4, "jws-other")]


def test_a_receipt_for_an_earlier_chain_of_which_nothing_is_left_is_no_fault(station: Kept) -> None:
    station.change("INSERT INTO salvaged VALUES (?, 4, ?, 'jws-4')", OLD, "h" * 43)
    taken(station, former(OLD, 4))
    station.sweep(WEEK)
    assert salvaged(station) == []
    assert taken(station, former(OLD, 4, epoch=2))


def test_what_was_salvaged_stays_where_the_agency_was_put_back(station: Kept) -> None:
    with closing(sqlite3.connect(station.path)) as other, other:
        other.execute("INSERT INTO salvaged VALUES (?, 4, ?, 'jws-4')", (OLD, "h" * 43))
    former = Receipt("bkk-001", 1, OLD, 4, "h" * 43, COMMITTED.isoformat())
    station.delivery.take_receipt(former, former.sign(station.agency), COMMITTED.isoformat())
    station.receive(3, epoch=2)
    station.sweep(timedelta(days=10_000))
    assert salvaged(station) == [(4, "jws-4")]


def before_this_version(station: Kept) -> None:
    station.receive(3)
    station.delivery.close()
    station.outbox.close()
    with closing(sqlite3.connect(station.path)) as old, old:
        old.execute("DROP VIEW waiting")
        for table in ("receipt", "salvaged", "damage", "former"):
            old.execute(f"DROP TABLE {table}")
        old.execute("DROP INDEX event_whole")


def test_a_database_of_before_gets_the_table_and_its_last_receipt(station: Kept) -> None:
    before_this_version(station)
    station.outbox = Outbox.open(station.path)
    assert len(station.outbox.receipts()) == 1
    assert station.sweep(WEEK) == 3
    assert station.problems() == []


def test_a_database_of_before_can_be_looked_at_and_is_not_changed(station: Kept) -> None:
    before_this_version(station)
    content = station.path.read_bytes()
    with closing(Outbox.open(station.path, read_only=True)) as outbox:
        assert len(outbox.receipts()) == 1
    assert station.path.read_bytes() == content
