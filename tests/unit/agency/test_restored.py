"""A store that was put back from an older copy: who notices, what the epoch becomes, who is told."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from agency.broker.client import Message
from agency.broker.topics import topic
from agency.ingest.news import News
from agency.ingest.receipts import Address
from agency.ingest.restored import Witness, notice, notice_receipt
from agency.store.database import Database
from agency.store.epoch import Reach, count_commit, note_told, raise_epoch, reach, untold
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet, Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import AGENCY, Pupil, Station, visits
from tests.unit.agency.test_worker import Bench, event

KID = "K" * 43


@pytest.fixture
def bench(office: Office) -> Bench:
    return Bench(office, Signer(office.desk.home.key("receipt")))


def here(office: Office) -> Reach:
    with office.database.read() as connection:
        return reach(connection)


def put_back(office: Office, copy: Path) -> None:
    """Put an older copy in the place of the database, as an operator does."""
    office.database.close()
    for part in ("-wal", "-shm"):
        office.desk.home.database.with_name(office.desk.home.database.name + part).unlink(missing_ok=True)
    shutil.copyfile(copy, office.desk.home.database)


def copied(office: Office) -> Path:
    office.database.close()  # folds the log in
    return Path(shutil.copyfile(office.desk.home.database, office.folder / "copy"))


def receipts_of(bench: Bench, *messages: Message) -> list[tuple[int, int]]:
    return [(receipt.epoch, receipt.through) for receipt in bench.run(*messages)]


def test_every_batch_is_counted(office: Office) -> None:
    assert here(office) == Reach(1, 0)
    office.take(office.station.started())
    office.take("not an event")
    assert here(office) == Reach(1, 2)


def test_an_older_store_is_noticed_by_the_file_beside_it_and_every_station_told(bench: Bench) -> None:
    lines = visits(bench.office.station, 5)
    assert receipts_of(bench, event(*lines[:3])) == [(1, 3)]
    copy = copied(bench.office)
    assert receipts_of(bench, event(*lines[3:])) == [(1, 6)]
    put_back(bench.office, copy)
    ((epoch, through),) = receipts_of(bench)  # nobody sends anything, and the station is told all the same
    assert (through, epoch > time.time() - 60) == (3, True)
    assert receipts_of(bench, event(*lines)) == [(epoch, 6)]
    assert receipts_of(bench) == []  # told once


def test_a_second_restore_begins_a_newer_epoch_even_from_the_same_copy(bench: Bench) -> None:
    lines = visits(bench.office.station, 3)
    bench.run(event(lines[0]))
    copy = copied(bench.office)
    epochs = []
    for _ in range(2):
        bench.run(event(*lines))
        put_back(bench.office, copy)
        epochs.append(receipts_of(bench)[0][0])
    assert epochs[1] > epochs[0] > 1


def test_a_store_that_is_as_new_as_the_receipts_keeps_its_epoch(bench: Bench) -> None:
    lines = visits(bench.office.station, 3)
    for line in lines:
        bench.run(event(line))
    bench.office.take(bench.office.station.visit(Pupil.make(9)))  # a worker that died before its receipt
    assert receipts_of(bench) == []
    assert here(bench.office).epoch == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 40, b"1\n", b"1 x\n", b"99999999999999999999 1\n", "๑ ๒\n".encode()]
)
def test_a_file_that_cannot_be_read_says_nothing(bench: Bench, content: bytes) -> None:
    bench.run(event(bench.office.station.started()))
    bench.office.desk.home.witness.write_bytes(content)
    with bench.office.database.write() as connection:
        assert notice(connection, bench.witness) is None
    bench.run(event(bench.office.station.started()))


def test_the_file_never_says_more_than_was_written(tmp_path: Path) -> None:
    file = Witness(tmp_path / "reach")
    assert file.read() is None
    for new in (Reach(1, 5), Reach(1, 1000), Reach(1_790_000_000, 7), Reach(1_790_000_000, 7)):
        file.write(new)
        assert Witness(tmp_path / "reach").read() == new
    assert (tmp_path / "reach").stat().st_mode & 0o777 == 0o600


def test_a_witness_that_cannot_be_written_ends_the_worker(bench: Bench) -> None:
    bench.office.desk.home.witness.mkdir()
    with pytest.raises(OSError, match="directory"):
        bench.run(event(bench.office.station.started()))


def kept(bench: Bench, signer: Signer | None = None, **changes: Any) -> Message:
    """Return a receipt as the broker kept it."""
    fields: dict[str, Any] = {
        "epoch": 1,
        "chain": bench.office.station.next.chain,
        "through": 9,
        "hash": "A" * 43,
        **changes,
    }
    made = Receipt(station="bkk-001", committed_at="2026-11-23T00:00:00+00:00", **fields)
    jws = made.sign(signer or bench.signer)
    return Message(topic(AGENCY, "bkk-001", "receipt"), jws.encode(), True)


def test_a_kept_receipt_that_reaches_further_than_the_store_is_noticed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(event(*visits(bench.office.station, 2)))
    bench.run(kept(bench))
    assert here(bench.office).epoch > 1
    assert "put back from an older copy" in caplog.text


@pytest.mark.parametrize("changes", [{"epoch": 7}, {"epoch": 7, "through": 1}, {"chain": "01J00000000000000000000000"}])
def test_a_later_epoch_or_a_chain_that_nobody_knows_any_more_tells_too(bench: Bench, changes: dict[str, Any]) -> None:
    bench.run(event(*visits(bench.office.station, 2)))
    bench.run(kept(bench, **changes))
    assert here(bench.office).epoch > 7


def test_what_is_no_receipt_of_ours_raises_nothing(bench: Bench) -> None:
    lines = visits(bench.office.station, 2)
    bench.run(event(*lines))
    live = Message(topic(AGENCY, "bkk-001", "receipt"), kept(bench).payload, False)
    other = Message(topic(AGENCY, "cnx-002", "receipt"), kept(bench).payload, True)
    garbage = [Message(topic(AGENCY, "bkk-001", "receipt"), junk, True) for junk in (b"", b"\xff", b"a.e30.b", b"...")]
    event_as_receipt = Message(topic(AGENCY, "bkk-001", "receipt"), lines[0].encode(), True)
    forged = kept(bench, Signer.generate())
    bench.run(live, other, forged, event_as_receipt, *garbage, kept(bench, through=3), kept(bench, through=1))
    assert here(bench.office).epoch == 1


def test_an_old_receipt_of_an_earlier_epoch_is_no_news(bench: Bench) -> None:
    bench.run(event(*visits(bench.office.station, 2)))
    bench.run(kept(bench))
    epoch = here(bench.office).epoch
    bench.run(kept(bench))
    assert here(bench.office).epoch == epoch


def test_the_operator_raises_the_epoch_and_sees_it(bench: Bench) -> None:
    desk = bench.office.desk
    bench.run(event(bench.office.station.started()))
    assert desk.run("epoch", "show", "--json").json() == {"epoch": 1, "commits": 1, "told": True}
    raised = desk.run("epoch", "raise", "--json")
    assert (raised.code, "send what is missing" in raised.err) == (0, True)
    epoch = raised.json()["epoch"]
    assert Witness(desk.home.witness).read() == Reach(epoch, 1), "an older copy that comes now is noticed"
    assert desk.run("epoch", "show").out == f"epoch: {epoch}\ncommits: 1\ntold: False\n"
    assert receipts_of(bench) == [(epoch, 1)]
    assert desk.run("epoch", "show", "--json").json()["told"] is True


def test_only_stations_with_a_good_key_are_told_and_each_in_its_turn(office: Office) -> None:
    stations = [office.station]
    for number in range(2, 5):
        stations.append(Station(f"bkk-00{number}"))
        office.desk.enrol(stations[-1], office.folder)
    for station in stations:
        office.take(station.started(), station=station.id)
    assert office.desk.run("station", "revoke", "bkk-003").code == 0
    news = News(office.database)
    assert news.take(0.0, KID, True) == []
    office.desk.run("epoch", "raise")
    assert news.take(1.0, KID, True) == []  # looks every two seconds
    told = news.take(2.0, KID, True)
    expected = [Address(s.id, s.chain) for s in stations if s.id != "bkk-003"]
    assert sorted(told, key=lambda a: a.station) == expected
    with office.database.read() as connection:
        assert untold(connection, KID) is not None
    assert news.take(2.1, KID, False) == []
    assert news.take(2.2, KID, True) == []
    with office.database.read() as connection:
        assert untold(connection, KID) is None


def test_a_worker_that_dies_while_it_tells_tells_again(office: Office) -> None:
    office.take(office.station.started())
    office.desk.run("epoch", "raise")
    assert len(News(office.database).take(0.0, KID, True)) == 1
    assert len(News(office.database).take(0.0, KID, True)) == 1


def test_a_new_receipt_key_is_news_and_the_first_is_not(office: Office) -> None:
    office.take(office.station.started())
    news = News(office.database)
    assert news.take(0.0, KID, True) == []
    assert len(news.take(5.0, "N" * 43, True)) == 1
    assert news.take(10.0, "N" * 43, True) == []
    assert News(office.database).take(0.0, "N" * 43, True) == []


def test_an_epoch_raised_while_another_is_told_is_told_too(office: Office) -> None:
    office.take(office.station.started())
    office.desk.run("epoch", "raise")
    news = News(office.database)
    assert len(news.take(0.0, KID, True)) == 1
    office.desk.run("epoch", "raise")
    assert news.take(0.1, KID, True) == []
    assert len(news.take(5.0, KID, True)) == 1


def test_a_store_made_before_commits_were_counted_goes_on(office: Office) -> None:
    with office.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key IN ('commits', 'told')")
    with office.database.write() as connection:
        assert count_commit(connection) == Reach(1, 1)
        assert untold(connection, KID) is None
        new = raise_epoch(connection, above=2_000_000_000)
        assert (new, untold(connection, KID)) == (Reach(2_000_000_001, 1), 2_000_000_001)
        note_told(connection, new.epoch, KID)
        assert untold(connection, KID) is None


def test_a_receipt_counts_only_for_the_station_of_its_topic(bench: Bench) -> None:
    keys = KeySet([bench.signer.public("receipt")])
    with bench.office.database.write() as connection:
        assert notice_receipt(connection, kept(bench).payload, keys, "cnx-002") is None
        assert notice_receipt(connection, kept(bench).payload, keys, "bkk-001") is not None


def test_what_show_says_is_json(office: Office) -> None:
    assert set(json.loads(office.desk.run("epoch", "show", "--json").out)) == {"epoch", "commits", "told"}
    with Database.open(office.desk.home.database) as database:
        assert database.meta()["epoch"] == "1"
