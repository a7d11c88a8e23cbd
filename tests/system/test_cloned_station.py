"""A cloned state directory on a second machine: the same key, the same chain, another history. Real link processes."""

import shutil
import sqlite3

from appliance.outbox.store import DATABASE_NAME, Outbox
from tests.contract.line_bench import ID
from tests.system.test_link_process import Box
from tests.unit.agency.site import wait_until


def cloned(box: Box) -> Outbox:
    """Copy the state directory of a station that is off, as a thief copies its card; return the copy's outbox."""
    box.outbox.close()
    copy = box.state.with_name("clone")
    shutil.copytree(box.state, copy)
    box.outbox = Outbox.open(box.state / DATABASE_NAME)
    return Outbox.open(copy / DATABASE_NAME)


def test_a_clone_is_flagged_and_the_first_station_loses_nothing(box: Box) -> None:
    site = box.bench.site
    site.start_ingest()
    box.append(5)
    link = box.start()
    box.wait_through(5)
    link.end()
    clone = cloned(box)
    box.append(4)
    for _ in range(3):
        clone.append(box.build)
    theirs = [row.jws for row in clone.rows()][5:]
    clone.close()
    ours = [row.jws for row in box.outbox.rows()]
    first = box.start()
    box.wait_through(9)
    first.end()

    box.state, honest = box.state.with_name("clone"), box.state
    second = box.start()
    wait_until(lambda: second.said("the queue is frozen"), 20)  # the receipt at the broker names another history
    box.state = honest
    assert {row.jws for row in site.rows()} == set(ours)
    with sqlite3.connect(honest.with_name("clone") / DATABASE_NAME) as connection:
        assert connection.execute("SELECT frozen FROM delivery").fetchone()[0] is not None

    device = site.device(box.bench.station)  # and what a clone sends that has been taught to ignore receipts
    device.send(*theirs)
    wait_until(lambda: site.desk.run("station", "show", ID, "--json").json()["forks"])
    shown = site.desk.run("station", "show", ID, "--json").json()
    assert (shown["flag"], len(shown["forks"]), shown["through"]) == ("fork", 3, 9)
    audited = site.desk.run("audit", "--json").json()["problems"]
    assert [(problem["code"], problem["station"]) for problem in audited] == [("flag", ID), *[("fork", ID)] * 3]
    assert {row.jws for row in site.rows()} == set(ours)
