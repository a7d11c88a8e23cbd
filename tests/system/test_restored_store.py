"""The agency's database is put back from an older copy, with real processes: stations send again, nothing is lost."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.contract.line_bench import ID
from tests.system.test_link_process import Box
from tests.unit.agency.site import Running, wait_until


def copy_of(box: Box) -> Path:
    """Return a copy of the agency's database, taken while everything runs."""
    copy = box.bench.site.folder / "copy.sqlite3"
    with (
        contextlib.closing(sqlite3.connect(box.bench.site.desk.home.database)) as running,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        running.backup(target)
    return copy


def put_back(box: Box, copy: Path) -> None:
    database = box.bench.site.desk.home.database
    for part in ("-wal", "-shm"):
        database.with_name(database.name + part).unlink(missing_ok=True)
    shutil.copyfile(copy, database)


def forgetful_broker(box: Box) -> None:
    """Have the broker keep nothing on its disk."""
    file = box.bench.site.desk.home.broker / "mosquitto.conf"
    file.write_text(file.read_text().replace("persistence true", "persistence false"))
    box.bench.site.programs[0].kill()
    box.bench.site.start_broker()


def check_whole(box: Box) -> None:
    held = [row.jws for row in box.outbox.rows()]
    wait_until(lambda: [row.jws for row in sorted(box.bench.site.rows(), key=lambda row: row.sequence)] == held, 40)
    box.wait_through(len(held), 40)
    audited = box.bench.site.desk.run("audit")
    assert audited.code == 0, audited.out


def epoch(box: Box) -> int:
    return int(box.bench.site.desk.run("epoch", "show", "--json").json()["epoch"])


def lose_thirty(box: Box, ingest: Running, also: Callable[[], None] = lambda: None) -> Running:
    """Deliver 40 events, copy the store, deliver 30 more, put the copy back; return the next worker."""
    box.append(40)
    box.start()
    box.wait_through(40)
    copy = copy_of(box)
    box.append(30)
    box.wait_through(70)
    ingest.kill()
    also()
    put_back(box, copy)
    assert len(box.bench.site.rows()) == 40
    return box.bench.site.start_ingest()


def test_a_store_put_back_after_the_broker_forgot_everything_is_whole_again(box: Box) -> None:
    forgetful_broker(box)
    broker = box.bench.site.programs[1]

    def broker_dies() -> None:
        broker.kill()
        box.bench.site.start_broker()

    worker = lose_thirty(box, box.bench.site.start_ingest(), also=broker_dies)
    check_whole(box)
    assert worker.said("put back from an older copy")
    assert epoch(box) > 1
    box.append(5)
    check_whole(box)


def test_the_receipts_that_the_broker_kept_tell_as_well(box: Box) -> None:
    worker = lose_thirty(box, box.bench.site.start_ingest(), also=box.bench.site.desk.home.witness.unlink)
    wait_until(lambda: worker.said("put back from an older copy"))
    check_whole(box)


def test_where_every_witness_was_put_back_too_the_operator_says_so(box: Box) -> None:
    forgetful_broker(box)
    broker = box.bench.site.programs[1]

    def everything_forgets() -> None:
        box.bench.site.desk.home.witness.unlink()
        broker.kill()
        box.bench.site.start_broker()

    worker = lose_thirty(box, box.bench.site.start_ingest(), also=everything_forgets)
    box.append(1)
    wait_until(lambda: len(box.bench.site.rows()) == 41, 40)  # the newest is held, thirty before it are missing
    assert not worker.said("put back")
    assert box.bench.site.desk.run("epoch", "raise").code == 0
    check_whole(box)


def test_what_stations_no_longer_hold_is_given_up_by_an_operator_and_the_rest_is_covered(box: Box) -> None:
    site = box.bench.site
    ingest = site.start_ingest()
    box.append(10)
    box.start()
    box.wait_through(10)
    copy = copy_of(box)
    box.append(20)
    box.wait_through(30)
    ingest.kill()
    assert box.outbox.sweep(datetime.now(UTC) + timedelta(days=8), 7, 30) > 0  # the retention of the service is over
    put_back(box, copy)
    worker = site.start_ingest()
    wait_until(lambda: worker.said("put back from an older copy"))
    box.append(5)
    wait_until(lambda: len(site.rows()) == 15, 60)
    assert site.desk.run("station", "excuse", ID).code == 0
    box.wait_through(35, 90)
    audited = site.desk.run("audit", "--json").json()["problems"]
    assert [(problem["code"], problem["text"]) for problem in audited] == [
        ("excused", "11 to 30 are not held: an operator gave them up")
    ]
