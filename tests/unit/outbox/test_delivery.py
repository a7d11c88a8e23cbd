"""What a receipt does to the queue, and what it cannot do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import NotEnrolled, OutboxUnavailable, VerificationError
from appliance.events.receipt import Receipt
from appliance.outbox.delivery import Delivery, Standing
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


def test_an_agency_that_holds_nothing_names_our_key_or_another_history(queue: Queue) -> None:
    queue.take(queue.receipt(3))
    assert queue.take(queue.receipt(0, epoch=2))
    assert queue.delivery.standing() == Standing(0, 2, None, 5, 0)
    assert queue.take(queue.receipt(0, epoch=3, hash="x" * 43))
    assert queue.delivery.standing().frozen


def test_starts_are_counted(queue: Queue) -> None:
    assert [queue.delivery.next_boot() for _ in range(3)] == [1, 2, 3]


def change(queue: Queue, statement: str, *values: object) -> None:
    queue.station.outbox._db.execute(statement, values)


def test_tallies_count_the_day(queue: Queue) -> None:
    assert queue.delivery.tallies("2026-11-23") == {}
    visits = {
        1: ("2026-11-22T23:59:59.999+07:00", "accepted"),
        2: ("2026-11-23T00:00:00.000+07:00", "accepted"),
        3: ("2026-11-23T12:00:00.000+07:00", "refused"),
        4: ("2026-11-23T23:59:59.999+07:00", "accepted"),
        5: ("2026-11-24T00:00:00.000+07:00", "refused"),
    }
    for number, (time, verdict) in visits.items():
        change(queue, "UPDATE event SET time = ?, verdict = ? WHERE sequence = ?", time, verdict, number)
    assert queue.delivery.tallies("2026-11-23") == {"accepted": 2, "refused": 1}
    assert queue.delivery.tallies("2026-11-25") == {}


def erase(queue: Queue, *numbers: int) -> None:
    for number in numbers:
        change(queue, "UPDATE event SET jws = '' WHERE sequence = ?", number)


def test_events_come_in_order_after_a_place_and_no_more_than_asked_for(queue: Queue) -> None:
    def numbers(after: int, limit: int) -> list[int]:
        return [number for number, _ in queue.delivery.events(after, limit)]

    assert (numbers(0, 2), numbers(2, 2), numbers(4, 2), numbers(5, 2)) == ([1, 2], [3, 4], [5], [])
    erase(queue, 3)
    assert numbers(1, 2) == [2, 4]


def test_how_far_delivery_came_names_what_can_still_be_sent(queue: Queue) -> None:
    assert queue.delivery.standing() == Standing(0, 0, None, 5, 0)
    queue.take(queue.receipt(3))
    assert queue.delivery.standing() == Standing(3, 1, None, 5, 3)
    erase(queue, 1, 2, 3)
    queue.take(queue.receipt(1, epoch=2))
    assert queue.delivery.standing() == Standing(1, 2, None, 5, 3)
    queue.take(queue.receipt(5, epoch=2))
    erase(queue, 4, 5)
    assert queue.delivery.standing() == Standing(5, 2, None, 5, 5)


@pytest.mark.parametrize(
    ("missing", "first"),
    [
        ([], None),
        ([[3, 3]], 3),
        ([[4, 5], [2, 2]], 2),
        ([[1, 1]], None),
        ([[1, 2]], 2),
        ([[6, 9]], None),
        ([[5, 9]], 5),
    ],
)
def test_of_what_the_agency_misses_the_first_that_is_still_held_is_sent(
    queue: Queue, missing: list[list[int]], first: int | None
) -> None:
    erase(queue, 1)
    assert queue.delivery.first_held(missing) == first


def test_the_backlog_names_the_time_of_its_oldest(queue: Queue) -> None:
    for number in range(1, 6):
        change(queue, "UPDATE event SET time = ? WHERE sequence = ?", f"2026-11-2{number}", number)
    assert queue.delivery.backlog() == (5, "2026-11-21")
    queue.take(queue.receipt(2))
    assert queue.delivery.backlog() == (3, "2026-11-23")
    queue.take(queue.receipt(5))
    assert queue.delivery.backlog() == (0, None)


def test_a_queue_that_stands_still_is_not_set_free_by_a_receipt(queue: Queue) -> None:
    assert queue.take(queue.receipt(3, hash="x" * 43))
    assert not queue.take(queue.receipt(3, hash="x" * 43)), "it stood still already"
    queue.take(queue.receipt(2))
    frozen = queue.delivery.standing().frozen
    assert frozen is not None
    assert "event 3" in frozen


def test_the_last_receipt_is_told_with_its_time(queue: Queue) -> None:
    assert queue.delivery.last_receipt() is None
    queue.delivery.take_receipt(queue.receipt(3), "jws", "2026-11-23T09:00:00+07:00")
    assert not queue.delivery.take_receipt(queue.receipt(2), "older", "2026-11-23T10:00:00+07:00")
    assert queue.delivery.last_receipt() == ("2026-11-23T09:00:00+07:00", 3)


def test_a_receipt_for_a_row_that_went_long_ago_is_no_other_history(queue: Queue) -> None:
    queue.take(queue.receipt(3))
    change(queue, "DELETE FROM event WHERE sequence < 3")
    for through in (1, 2):
        assert queue.take(queue.receipt(through, epoch=2, hash="y" * 43))
        assert queue.delivery.standing().frozen is None
    assert queue.take(queue.receipt(3, epoch=2, hash="y" * 43))
    assert queue.delivery.standing().frozen


def test_what_the_agency_says_of_the_time_counts_and_else_when_the_receipt_came(queue: Queue) -> None:
    for through, said in ((1, "2026-11-23T08:00:00+07:00"), (2, "no time"), (3, "9999-12-31T23:59:59-23:59")):
        receipt = queue.receipt(through, committed_at=said)
        assert queue.delivery.take_receipt(receipt, "jws", "2026-11-24T08:00:00+07:00")
    kept = queue.station.outbox._db.execute("SELECT through, committed_s FROM receipt ORDER BY 1").fetchall()
    at = {name: int(datetime.fromisoformat(f"2026-11-{name}T01:00:00+00:00").timestamp()) for name in ("23", "24")}
    assert kept[:2] == [(1, at["23"]), (2, at["24"])]
    assert kept[2][1] >= at["24"]


def test_of_an_earlier_chain_too_the_agency_s_time_counts(queue: Queue) -> None:
    change(queue, "INSERT INTO damage VALUES ('folder', '2026-11-23', 'earlier')")
    receipt = queue.receipt(3, chain="earlier", committed_at="2026-11-23T08:00:00+07:00")
    assert queue.delivery.take_receipt(receipt, "jws", "2026-11-24T08:00:00+07:00")
    (committed_s,) = queue.station.outbox._db.execute("SELECT committed_s FROM former").fetchone()
    assert committed_s == int(datetime.fromisoformat("2026-11-23T01:00:00+00:00").timestamp())


def test_of_earlier_chains_the_newest_epoch_of_any_says_which_agency_is_in_being(queue: Queue) -> None:
    change(queue, "INSERT INTO damage VALUES ('folder', '2026-11-23', NULL)")
    assert queue.take(queue.receipt(3, chain="a", epoch=1))
    assert queue.take(queue.receipt(3, chain="b", epoch=3))
    assert not queue.take(queue.receipt(3, chain="c", epoch=2))
    assert queue.take(queue.receipt(3, chain="c", epoch=3))
    assert queue.delivery.standing().epoch == 0, "and it moves nothing of ours"


def test_without_a_chain_no_receipt_is_taken(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    receipt = queue.receipt(3)
    change(queue, "DELETE FROM chain")
    with pytest.raises(NotEnrolled):
        queue.take(receipt)


def test_damage_that_lies_aside_is_told(queue: Queue) -> None:
    assert not queue.delivery.is_damage_kept()
    change(queue, "INSERT INTO damage VALUES ('folder', '2026-11-23', NULL)")
    assert queue.delivery.is_damage_kept()


def test_a_database_that_was_opened_before_another_took_its_place_is_used_no_more(queue: Queue) -> None:
    queue.delivery.check_place()
    other = queue.station.path.with_name("other")
    other.write_bytes(queue.station.path.read_bytes())
    other.rename(queue.station.path)
    with pytest.raises(OutboxUnavailable, match="another file"):
        queue.delivery.check_place()
    queue.station.path.unlink()
    with pytest.raises(OutboxUnavailable):
        queue.delivery.check_place()


def test_what_the_station_said_last_can_be_read(queue: Queue) -> None:
    assert queue.delivery.station_state() is None
    queue.station.outbox.say({"state": "ready"})
    assert queue.delivery.station_state() == '{"state": "ready"}'


def test_the_newest_day_is_that_of_the_newest_event(queue: Queue) -> None:
    assert queue.delivery.newest_day() == "2026-11-23"
    queue.station.outbox._db.execute("UPDATE event SET time = '2026-12-31T23:59:59.000+07:00' WHERE sequence = 5")
    assert queue.delivery.newest_day() == "2026-12-31"
    queue.station.outbox._db.execute("UPDATE event SET time = '' WHERE sequence = 5")  # erased after its time
    assert queue.delivery.newest_day() == ""
    queue.station.outbox._db.execute("DELETE FROM event")
    assert queue.delivery.newest_day() == ""
