"""What a receipt does to the queue, and what it cannot do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import VerificationError
from appliance.events.receipt import Receipt
from appliance.outbox.delivery import Delivery
from tests.unit.outbox.test_store import Station


class Queue:
    def __init__(self, folder: Path) -> None:
        self.station = Station(folder)
        for _ in range(5):
            self.station.append()
        self.delivery = Delivery.open(self.station.path)

    def receipt(self, through: int, epoch: int = 1, **changes: object) -> Receipt:
        row = self.station.outbox.row(through)
        values = {
            "station": "bkk-001",
            "epoch": epoch,
            "chain": self.station.outbox.head().chain,
            "through": through,
            "hash": row.hash if row else self.station.signer.kid,
            "committed_at": "2026-11-23T08:00:00+07:00",
            **changes,
        }
        return Receipt(**values)  # type: ignore[arg-type]

    def take(self, receipt: Receipt) -> bool:
        return self.delivery.take_receipt(receipt, "jws", datetime.now(UTC).isoformat())


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def test_everything_waits_until_a_receipt(queue: Queue) -> None:
    assert [sequence for sequence, _ in queue.delivery.events(0, 100)] == [1, 2, 3, 4, 5]
    assert queue.delivery.backlog()[0] == 5


def test_a_receipt_covers(queue: Queue) -> None:
    assert queue.take(queue.receipt(3))
    assert queue.delivery.standing().through == 3
    assert queue.delivery.backlog()[0] == 2
    assert [row.covered for row in queue.station.outbox.rows()] == [True, True, True, False, False]


def test_an_old_receipt_moves_nothing(queue: Queue) -> None:
    queue.take(queue.receipt(3))
    assert not queue.take(queue.receipt(2))
    assert queue.delivery.standing().through == 3


def test_only_a_new_epoch_goes_back(queue: Queue) -> None:
    queue.take(queue.receipt(4))
    assert queue.take(queue.receipt(1, epoch=2))
    assert queue.delivery.standing().through == 1
    assert not queue.take(queue.receipt(4, epoch=1))


def test_the_chain_before_this_enrolment_is_none_of_ours(queue: Queue) -> None:
    with pytest.raises(VerificationError, match="ours is"):
        queue.take(queue.receipt(3, chain="0" * 26))
    assert queue.delivery.standing().frozen is None


def test_another_history_freezes_the_queue(queue: Queue) -> None:
    assert queue.take(queue.receipt(3, hash="x" * 43))
    standing = queue.delivery.standing()
    assert standing.frozen
    assert standing.through == 0


def test_a_receipt_for_what_we_never_sent_freezes_the_queue(queue: Queue) -> None:
    queue.take(queue.receipt(99))
    assert queue.delivery.standing().frozen


def test_a_receipt_for_nothing_names_our_key(queue: Queue) -> None:
    assert not queue.take(queue.receipt(0, epoch=0))
    assert queue.delivery.standing().frozen is None


def test_starts_are_counted(queue: Queue) -> None:
    assert [queue.delivery.next_boot() for _ in range(3)] == [1, 2, 3]


def test_tallies_count_the_day(queue: Queue) -> None:
    assert queue.delivery.tallies("2026-11-23") == {}


def test_the_newest_day_is_that_of_the_newest_event(queue: Queue) -> None:
    assert queue.delivery.newest_day() == "2026-11-23"
    queue.station.outbox._db.execute("UPDATE event SET time = '2026-12-31T23:59:59.000+07:00' WHERE sequence = 5")
    assert queue.delivery.newest_day() == "2026-12-31"
    queue.station.outbox._db.execute("UPDATE event SET time = '' WHERE sequence = 5")  # erased after its time
    assert queue.delivery.newest_day() == ""
    queue.station.outbox._db.execute("DELETE FROM event")
    assert queue.delivery.newest_day() == ""
