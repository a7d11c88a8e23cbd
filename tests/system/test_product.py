"""The whole product as real processes: pcscd, Mosquitto with mutual TLS, SQLite, station, link, ingest."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.run.link import STATUS_EVERY_S
from appliance.simulate.persons import person
from appliance.simulate.product import Product
from tests.system.search import clear_text_of, find_in_tree

ALL = ("ingest", "station", "link")


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with Product(tmp_path) as whole:
        whole.set_up()
        whole.start(*ALL)
        whole.wait_until_ready()
        yield whole


def backlog(product: Product) -> int:
    count: int = json.loads(product.station("--json", "status"))["backlog"]["count"]
    return count


def wait_for_receipts(product: Product, patience_s: float = 40.0) -> None:
    product.wait_for(lambda: backlog(product) == 0, "the receipt of every event", patience_s)


def check_whole(product: Product) -> None:
    """Nothing lost, nothing doubled, nothing broken."""
    wait_for_receipts(product)
    stored = json.loads(product.station("--json", "outbox", "list"))
    held = product.events()
    assert sorted(event["sequence"] for event in held) == [event["sequence"] for event in stored]
    product.agency("audit")
    product.station("outbox", "verify")


def test_from_insertion_to_receipt(product: Product) -> None:
    screen = product.visit("person-1")
    assert (screen["state"], screen["tone"], screen["light"]) == ("accepted", "stored", "green")
    check_whole(product)
    event = next(event for event in product.events() if event["type"] == "school.attendance.v1")
    assert (event["sequence"], event["level"], event["verdict"]) == (int(screen["reference"]), "L2", "accepted")


def test_the_menu_is_there_while_c_is_held_and_a_card_is_served_at_once(product: Product) -> None:
    before = len(product.screens())
    product.press("C", "hold")
    product.wait_for_screen("menu", before)
    assert json.loads(product.station("--json", "status"))["card"] == "none"
    product.press("A")
    assert product.visit("person-2")["state"] == "accepted"
    check_whole(product)


def test_the_same_card_again_makes_no_second_event(product: Product) -> None:
    first = product.visit("person-1")
    product.remove()
    again = product.visit("person-1")
    assert (again["state"], again["tone"], again["reference"]) == ("already_recorded", "again", first["reference"])
    check_whole(product)
    assert len(product.events()) == 2  # the enrolment and one visit


@pytest.mark.parametrize("victim", ["station", "link", "ingest", "broker"])
def test_each_process_is_killed_and_started_again(product: Product, victim: str) -> None:
    product.visit("person-1")
    product.remove()
    product.kill(victim)
    before = len(product.screens())
    if victim != "station":
        product.visit("person-2")
        product.remove()
    product.start(victim)
    if victim == "station":
        product.wait_until_ready(since=before)
        product.visit("person-2")
        product.remove()
    product.visit("person-9")
    check_whole(product)
    assert [event["verdict"] for event in product.events() if event["verdict"]].count("accepted") == 2


def test_a_card_that_was_in_when_the_power_went_is_not_recorded_twice(product: Product) -> None:
    product.visit("person-1")
    product.kill("station")
    before = len(product.screens())
    product.start("station")
    again = product.wait_for(lambda: next((s for s in product.screens()[before:] if s["reference"]), None), "a verdict")
    assert again["state"] == "already_recorded"
    check_whole(product)
    assert len(product.events()) == 2


def test_a_station_works_while_the_agency_is_away(product: Product) -> None:
    product.kill("broker")
    product.kill("ingest")
    for name in ("person-1", "person-2", "person-3"):
        assert product.visit(name)["state"] == "accepted"
        product.remove()
    assert backlog(product) >= 3
    product.start("broker", "ingest")
    check_whole(product)


def test_nothing_is_cleared_while_nobody_commits(product: Product) -> None:
    """The broker acknowledges everything; without an ingest the backlog stays, and the status says why."""
    product.kill("ingest")
    product.visit("person-1")
    time.sleep(2.0)
    assert backlog(product) >= 1
    assert "nobody_listens" in (product.folder / "log" / "link.log").read_text()
    product.start("ingest")
    check_whole(product)


def test_a_roster_pushed_while_running_is_taken_up(product: Product) -> None:
    assert product.visit("person-5")["state"] == "not_on_roster"
    product.remove()
    product.members = (*product.members, 5)
    roster = product.roster_file()
    product.agency("roster", "import", str(roster), "--set", "school-1")
    product.agency("roster", "push", "--set", "school-1")
    product.wait_for(lambda: "took up roster version 2" in (product.folder / "log/link.log").read_text(), "the roster")
    assert product.visit("person-5")["state"] == "accepted"


def test_sigterm_ends_everything_in_order(product: Product) -> None:
    for name in ("station", "link", "ingest"):
        process = product.processes[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, name


def test_no_number_and_no_name_lies_anywhere_in_clear(product: Product) -> None:
    people = [person(serial) for serial in (1, 2, 3, 9)]
    for serial in (1, 2, 3, 9):
        product.visit(f"person-{serial}")
        product.remove()
    product.visit("bad-number")
    check_whole(product)
    product.agency("attendance", "--date", time.strftime("%Y-%m-%d", time.gmtime(time.time() + 7 * 3600)))
    product.kill("broker", signal.SIGTERM)  # it writes what it holds to the disk
    assert list((product.home / "broker" / "data").iterdir())
    needles = [needle for who in people for needle in clear_text_of(who)]
    assert find_in_tree(product.folder, needles) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes("ชื่อ ".encode() + person(1).citizen_id.encode())
    assert find_in_tree(tmp_path, clear_text_of(person(1)))


class Outsider:
    """mosquitto_sub and mosquitto_pub, with somebody's certificate."""

    def __init__(self, product: Product, certificate: Path, key: Path) -> None:
        self._options = ["-h", "127.0.0.1", "-p", "8883", "--cafile", str(product.home / "public/ca.pem")]
        self._options += ["--cert", str(certificate), "--key", str(key), "-V", "5", "-q", "1"]

    def hear(self, topic: str, seconds: int = 2) -> list[tuple[str, str]]:
        command = ["mosquitto_sub", *self._options, "-t", topic, "-W", str(seconds), "-F", "%t %p"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line.startswith("cs/")]

    def say(self, topic: str, message: str) -> str:
        command = ["mosquitto_pub", *self._options, "-t", topic, "-m", message, "-d"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def second_station(product: Product) -> Outsider:
    """Enrol a second station beside the first, and return somebody who holds its certificate."""
    other = Product(product.folder / "second", station="bkk-002")
    other.home = product.home
    for folder in (other.state, other.runtime):
        folder.mkdir(parents=True)
    other.write_settings()
    other.enrol()
    return Outsider(product, other.state / "tls/station.pem", other.state / "tls/station.key")


def test_a_client_outside_our_code_sees_only_what_the_contract_allows(product: Product) -> None:
    product.visit("person-1")
    check_whole(product)
    eye = Outsider(product, product.home / "tls/agency-ingest.pem", product.home / "tls/agency-ingest.key")
    time.sleep(STATUS_EVERY_S + 1)
    product.kill("ingest")  # the broker binds the client id to the certificate: one of a name at a time
    heard = dict(eye.hear("cs/#"))
    assert set(heard) <= {f"cs/1/obec/bkk-001/{kind}" for kind in ("status", "receipt", "event")}
    status: dict[str, Any] = json.loads(heard["cs/1/obec/bkk-001/status"])
    assert status["state"] == "ready"
    assert status["tallies"] == {"accepted": 1}
    assert status["backlog"]["count"] == 0


def test_a_second_station_neither_writes_nor_reads_the_first_one_s_topics(product: Product) -> None:
    product.visit("person-1")
    check_whole(product)
    other = second_station(product)
    heard = other.hear("#")
    assert not [topic for topic, _ in heard if "bkk-001" in topic]
    before = len(product.events())
    for kind in ("event", "status", "receipt", "document/roster", "command"):
        assert "135" in other.say(f"cs/1/obec/bkk-001/{kind}", "forged"), "0x87, not authorised"
    time.sleep(0.5)
    assert len(product.events()) == before
    product.remove()
    assert product.visit("person-2")["state"] == "accepted"
    check_whole(product)


def test_the_will_says_that_the_link_was_lost(product: Product) -> None:
    product.visit("person-1")
    check_whole(product)
    product.kill("link")
    product.kill("ingest")
    eye = Outsider(product, product.home / "tls/agency-ingest.pem", product.home / "tls/agency-ingest.key")
    status = json.loads(dict(eye.hear("cs/1/obec/bkk-001/status"))["cs/1/obec/bkk-001/status"])
    assert (status["state"], status["boot"]) == ("lost", 1)
