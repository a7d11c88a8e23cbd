"""What was saved of an earlier chain goes to the agency after the live one, and leaves by its receipts alone."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import OutboxDamaged, OutboxUnavailable
from appliance.events.chain import Position, jws_hash
from appliance.events.receipt import Receipt
from appliance.link.leftovers import FIRST_PATIENCE_S, LONGEST_PATIENCE_S, PUBACK_PATIENCE_S
from appliance.link.mqtt import Acknowledged
from appliance.outbox.check import suspect
from appliance.outbox.retention import DAMAGED_NAME
from appliance.run import link as subject
from appliance.run.notify import SystemdNotifier
from appliance.run.nudge import Ear
from tests.unit.run.scripted import NOW, Bench

OLD = "01M83BXH2R7R0A5EVXPK4651AQ"


class Broken(Bench):
    """A link on a database that holds events 5 to 7, 9 and 10 of the chain before."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, patch)
        self.old: dict[int, str] = {}
        previous = "p" * 43
        for number in range(1, 11):
            self.old[number] = self.station.build(Position(OLD, number, previous))
            previous = jws_hash(self.old[number])
        self.sql("INSERT INTO damage VALUES ('folder', '2026-11-23', ?)", OLD)
        for number in (5, 6, 7, 9, 10):
            row = (OLD, number, jws_hash(self.old[number]), self.old[number])
            self.sql("INSERT INTO salvaged VALUES (?, ?, ?, ?)", *row)

    def sql(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.station.path)) as other, other:
            other.execute(statement, values)

    def left(self) -> list[int]:
        with closing(sqlite3.connect(self.station.path)) as other:
            return [number for (number,) in other.execute("SELECT sequence FROM waiting ORDER BY 1")]

    def old_receipt(self, through: int, digest: str = "", epoch: int = 1) -> str:
        receipt = Receipt("bkk-001", epoch, OLD, through, digest or jws_hash(self.old[through]), NOW.isoformat())
        return receipt.sign(self.receipts)

    def leftovers(self) -> list[list[int]]:
        """Return what was published of the chain before, bundle by bundle, and forget it."""
        numbers = {jws: number for number, jws in self.old.items()}
        bundles, self.line.published = self.bundles(), []
        lines = [bundle.payload.decode().split("\n") for bundle in bundles]
        return [[numbers[line] for line in one] for one in lines if one[0] in numbers]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(tmp_path, monkeypatch)


def take(bench: Broken) -> None:
    """The broker takes everything that was published."""
    bench.happen(*(Acknowledged(mid, 0) for mid in range(1, bench.line.mid + 1)))


def test_they_wait_until_the_live_chain_is_covered(bench: Broken) -> None:
    bench.append(3)
    bench.connect()
    assert bench.leftovers() == []
    bench.receive("receipt", bench.receipt(2))
    assert bench.leftovers() == []
    bench.receive("receipt", bench.receipt(3))
    assert bench.leftovers() == [[5, 6, 7]]


def test_they_go_one_message_at_a_time_and_no_bundle_spans_a_hole(bench: Broken) -> None:
    bench.connect()
    assert bench.leftovers() == [[5, 6, 7]]
    bench.link.turn()
    assert bench.leftovers() == [], "the broker has not taken the first"
    take(bench)
    assert bench.leftovers() == [[9, 10]]


def test_no_bundle_holds_events_of_two_chains(bench: Broken) -> None:
    other = OLD[:-1] + "R"
    bench.old[11] = bench.station.build(Position(other, 11, "p" * 43))
    bench.sql("INSERT INTO salvaged VALUES (?, 11, ?, ?)", other, jws_hash(bench.old[11]), bench.old[11])
    bench.connect()
    take(bench)
    take(bench)
    take(bench)
    assert bench.leftovers() == [[5, 6, 7], [9, 10], [11]]


def test_only_the_receipt_for_that_chain_takes_them_out(bench: Broken) -> None:
    bench.append(10)
    bench.connect()
    bench.receive("receipt", bench.receipt(10))
    assert bench.left() == [5, 6, 7, 9, 10]
    bench.receive("receipt", bench.old_receipt(7))
    assert bench.left() == [9, 10]
    assert bench.through() == 10, "and it moves nothing of ours"
    bench.receive("receipt", bench.old_receipt(10))
    assert bench.left() == []
    assert "bad_receipt" not in bench.said()["alarms"]


def test_a_receipt_with_another_hash_takes_nothing_out(bench: Broken) -> None:
    bench.connect()
    bench.receive("receipt", bench.old_receipt(7, "x" * 43))
    assert bench.left() == [5, 6, 7, 9, 10]
    assert "bad_receipt" in bench.said()["alarms"]


def test_an_old_receipt_of_the_chain_before_is_no_alarm(bench: Broken) -> None:
    bench.connect()
    bench.receive("receipt", bench.old_receipt(3), is_retained=True)
    assert bench.left() == [5, 6, 7, 9, 10]
    assert bench.said()["alarms"] == ["chain_broken", "station_silent"]


def test_a_receipt_of_before_the_agency_was_put_back_takes_nothing_out(bench: Broken) -> None:
    bench.append(3)
    bench.connect()
    bench.receive("receipt", bench.receipt(3, epoch=2))
    bench.receive("receipt", bench.old_receipt(10, epoch=1))
    assert bench.left() == [5, 6, 7, 9, 10], "the agency that signed it had them; the one that is now does not"
    bench.receive("receipt", bench.old_receipt(10, epoch=2))
    assert bench.left() == []
    assert "bad_receipt" not in bench.said()["alarms"]


def test_what_an_agency_lost_that_was_put_back_goes_to_it_again(bench: Broken) -> None:
    bench.append(3)
    bench.connect()
    bench.receive("receipt", bench.receipt(3))
    take(bench)
    take(bench)
    bench.receive("receipt", bench.old_receipt(10))
    assert bench.left() == []
    bench.leftovers()
    bench.receive("receipt", bench.receipt(3, epoch=2))
    assert bench.left() == [5, 6, 7, 9, 10]
    bench.later(FIRST_PATIENCE_S * 1.3)
    assert bench.leftovers() == [[5, 6, 7]]
    bench.receive("receipt", bench.old_receipt(7, epoch=2))
    assert bench.left() == [9, 10]
    bench.receive("receipt", bench.old_receipt(6, epoch=3))
    assert bench.left() == [7, 9, 10], "put back once more"
    bench.receive("receipt", bench.old_receipt(10, epoch=2))
    assert bench.left() == [7, 9, 10]
    bench.receive("receipt", bench.old_receipt(5, epoch=3))
    assert bench.left() == [7, 9, 10], "an older one of the same agency takes nothing back"


def test_without_a_receipt_they_come_again_ever_more_slowly(bench: Broken) -> None:
    bench.connect()
    take(bench)
    take(bench)
    assert bench.leftovers() == [[5, 6, 7], [9, 10]]
    bench.later(FIRST_PATIENCE_S * 1.3)
    assert bench.leftovers() == [[5, 6, 7]]
    take(bench)
    take(bench)
    bench.leftovers()
    bench.later(FIRST_PATIENCE_S * 1.3)
    assert bench.leftovers() == []
    bench.later(FIRST_PATIENCE_S * 1.3)
    assert bench.leftovers() == [[5, 6, 7]]


def test_only_the_broker_s_word_for_the_first_lets_the_next_one_go(bench: Broken) -> None:
    bench.connect()
    (first,) = bench.bundles()
    assert bench.leftovers() == [[5, 6, 7]]
    bench.happen(Acknowledged(first.mid + 100, 0))
    assert bench.leftovers() == [], "that was a status"
    bench.happen(Acknowledged(first.mid, 0))
    assert bench.leftovers() == [[9, 10]]


def test_that_nobody_listens_to_them_is_an_alarm(bench: Broken) -> None:
    bench.connect()
    (first,) = bench.bundles()
    bench.happen(Acknowledged(first.mid + 100, 0x10))
    assert "nobody_listens" not in bench.said()["alarms"], "nobody has to listen to a status"
    bench.happen(Acknowledged(first.mid, 0x10))
    assert "nobody_listens" in bench.said()["alarms"]


def test_the_agency_has_its_time_before_they_come_again(bench: Broken) -> None:
    bench.connect()
    take(bench)
    take(bench)
    bench.leftovers()
    bench.later(FIRST_PATIENCE_S * 0.99)
    assert bench.leftovers() == []


def test_however_long_the_agency_is_silent_they_come_again_within_some_minutes(bench: Broken) -> None:
    bench.connect()
    for _ in range(20):
        take(bench)
        take(bench)
        bench.later(LONGEST_PATIENCE_S * 1.3)
        assert bench.leftovers()[-1] == [5, 6, 7]


def test_after_a_new_connection_the_agency_is_asked_at_the_first_pace(bench: Broken) -> None:
    bench.connect()
    for _ in range(5):
        take(bench)
        take(bench)
        bench.later(LONGEST_PATIENCE_S * 1.3)
    bench.disconnect()
    bench.connect()
    take(bench)
    take(bench)
    bench.leftovers()
    bench.later(FIRST_PATIENCE_S * 1.3)
    assert bench.leftovers() == [[5, 6, 7]]


def test_what_is_missing_again_after_a_long_silence_goes_at_once(bench: Broken) -> None:
    bench.append(3)
    bench.connect()
    bench.receive("receipt", bench.receipt(3))
    bench.receive("receipt", bench.old_receipt(10))
    for _ in range(20):
        bench.later(LONGEST_PATIENCE_S * 1.3)
    bench.leftovers()
    bench.receive("receipt", bench.receipt(3, epoch=2))
    assert bench.leftovers() == [[5, 6, 7]]


def test_a_broker_that_never_answers_is_asked_again(bench: Broken) -> None:
    bench.connect()
    assert bench.leftovers() == [[5, 6, 7]]
    bench.later(PUBACK_PATIENCE_S + 1)
    assert bench.leftovers() == [[9, 10]]


def test_a_new_connection_starts_over(bench: Broken) -> None:
    bench.connect()
    take(bench)
    bench.leftovers()
    bench.disconnect()
    bench.link.turn()
    assert bench.leftovers() == []
    bench.connect()
    assert bench.leftovers() == [[5, 6, 7]]


def test_a_frozen_queue_sends_none(bench: Broken) -> None:
    bench.append(2)
    bench.receive("receipt", bench.receipt(1, hash="x" * 43))
    bench.sql("UPDATE delivery SET through = 2")
    bench.connect()
    assert bench.leftovers() == []


def test_the_link_notices_that_another_file_took_the_place(bench: Broken) -> None:
    bench.connect()
    new = bench.station.path.with_name("new")
    new.write_bytes(bench.station.path.read_bytes())
    new.rename(bench.station.path)
    with pytest.raises(OutboxUnavailable, match="another file"):
        bench.link.turn()


def test_damage_that_the_link_meets_is_told_to_the_station(bench: Broken) -> None:
    class Failing:
        def turn(self) -> float:
            raise OutboxDamaged("a page")

    stop = type("Stop", (), {"is_set": False})()
    with pytest.raises(OutboxDamaged):
        subject._run(Failing(), bench.folder, bench.ear, bench.questions, stop, SystemdNotifier({}))  # type: ignore[arg-type]
    assert suspect(bench.folder).exists()


def test_a_link_that_starts_while_the_database_is_replaced_waits_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / DAMAGED_NAME / "one"
    aside.mkdir(parents=True)
    (aside / "station.db").touch()
    stop = type("Stop", (), {"is_set": False})()
    monkeypatch.setattr(subject, "STATUS_EVERY_S", 0.05)
    timer = threading.Timer(0.2, (tmp_path / "station.db").touch)
    timer.start()
    asked = []

    def start() -> Any:
        asked.append((tmp_path / "station.db").exists())
        return "a link"

    ear = Ear(tmp_path)
    found: Any = subject._when_possible(tmp_path, start, ear, stop, SystemdNotifier({}))
    timer.join()
    assert (found, asked) == ("a link", [True])
