"""When a receipt goes out: at once in a backlog, one each five seconds for single news."""

from agency.ingest.receipts import Address, Pacer, Urgency, share
from agency.store.chains import ChainKey

BKK = Address("bkk-001", ChainKey("01J00000000000000000000000", "A" * 43))
CNX = Address("cnx-002", ChainKey("01J00000000000000000000001", "B" * 43))


def test_the_first_receipt_is_due_at_once() -> None:
    pacer = Pacer()
    pacer.ask(BKK, Urgency.NEW, 100.0)
    assert pacer.take_due(100.0) == [BKK]
    assert pacer.take_due(100.0) == []


def test_a_second_event_within_five_seconds_waits_for_their_end() -> None:
    pacer = Pacer()
    pacer.ask(BKK, Urgency.NEW, 100.0)
    pacer.take_due(100.0)
    pacer.ask(BKK, Urgency.NEW, 100.4)
    pacer.ask(BKK, Urgency.NEW, 102.0)
    assert pacer.take_due(104.9) == []
    assert pacer.take_due(105.0) == [BKK]
    assert pacer.take_due(110.0) == []


def test_after_five_quiet_seconds_the_next_goes_at_once() -> None:
    pacer = Pacer()
    for now in (100.0, 105.0, 111.3):
        pacer.ask(BKK, Urgency.NEW, now)
        assert pacer.take_due(now) == [BKK]


def test_many_single_events_get_one_receipt_in_five_seconds() -> None:
    pacer = Pacer()
    sent = []
    for tenth in range(200):
        pacer.ask(BKK, Urgency.NEW, 100 + tenth / 10)
        sent += [tenth for _ in pacer.take_due(100 + tenth / 10)]
    assert sent == [0, 50, 100, 150]


def test_a_backlog_never_waits() -> None:
    pacer = Pacer()
    for tenth in range(5):
        pacer.ask(BKK, Urgency.BACKLOG, 100 + tenth / 10)
        assert pacer.take_due(100 + tenth / 10) == [BKK]


def test_an_urgent_wish_overtakes_a_patient_one_and_is_not_undone_by_it() -> None:
    pacer = Pacer()
    pacer.ask(BKK, Urgency.NEW, 100.0)
    pacer.take_due(100.0)
    pacer.ask(BKK, Urgency.NEW, 100.1)
    pacer.ask(BKK, Urgency.BACKLOG, 100.2)
    pacer.ask(BKK, Urgency.NEW, 100.2)
    assert pacer.take_due(100.2) == [BKK]


def test_stations_do_not_wait_for_each_other() -> None:
    pacer = Pacer()
    pacer.ask(BKK, Urgency.NEW, 100.0)
    pacer.take_due(100.0)
    pacer.ask(BKK, Urgency.NEW, 100.1)
    pacer.ask(CNX, Urgency.NEW, 100.1)
    assert pacer.take_due(100.1) == [CNX]


def test_the_wait_ends_when_the_next_is_due() -> None:
    pacer = Pacer()
    assert pacer.wait(100.0, 0.5) == 0.5
    pacer.ask(BKK, Urgency.NEW, 100.0)
    assert pacer.wait(100.0, 0.5) == 0.0
    pacer.take_due(100.0)
    pacer.ask(BKK, Urgency.NEW, 100.5)
    assert pacer.wait(104.8, 0.5) == 105.0 - 104.8
    assert pacer.wait(300.0, 0.5) == 0.0


def test_at_the_end_every_owed_receipt_goes() -> None:
    pacer = Pacer()
    pacer.ask(BKK, Urgency.NEW, 100.0)
    pacer.take_due(100.0)
    pacer.ask(BKK, Urgency.NEW, 100.1)
    assert pacer.take_all(100.2) == [BKK]
    assert pacer.take_all(100.3) == []


def test_a_lone_station_may_send_much_and_many_together_a_hundred_each() -> None:
    assert [share(stations) for stations in (0, 1, 2, 5, 10, 11, 200)] == [1000, 1000, 500, 200, 100, 100, 100]
