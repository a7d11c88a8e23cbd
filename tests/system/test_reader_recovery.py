"""Whatever card, reader and pcscd do, the station goes on: its process is the same, and the next good card is served.

The station's real process with its real worker, the real pcscd, the virtual panel.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from appliance.simulate.product import Product

NEXT_CARD_S = 5.0


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose agency is away: what is proved here needs the station alone, and every test leaves it well."""
    with Product(tmp_path_factory.mktemp("product"), members=tuple(range(1, 60))) as whole:
        whole.set_up()
        whole.start("station", "link")
        whole.wait_until_ready()
        yield whole


def press(product: Product, button: str) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(product.runtime / "panel.sock"))
        line.recv(1)
        line.sendall(b'{"press": "%s"}\n' % button.encode())
        time.sleep(0.2)


def process_of(product: Product) -> int:
    return product.processes["station"].pid


def pcscd_of(product: Product) -> int:
    process = product.pcscd._process
    assert process is not None
    return process.pid


def worker_of(product: Product) -> int:
    """Return the process number of the reader worker."""
    station = process_of(product)
    children = Path(f"/proc/{station}/task/{station}/children").read_text().split()
    return int(children[0])


@pytest.fixture(scope="module")
def people() -> Iterator[str]:
    """Somebody else for every insertion: the same person twice is one visit."""
    return (f"person-{serial}" for serial in count(1))


def check_next_card(product: Product, people: Iterator[str]) -> dict[str, Any]:
    """The next good card is recorded soon, by the same process."""
    before, station = len(product.screens()), process_of(product)
    product.insert(next(people))
    screen: dict[str, Any] = product.wait_for(
        lambda: next((one for one in product.screens()[before:] if one["state"] == "accepted"), None),
        "the next card",
        NEXT_CARD_S,
    )
    product.remove()
    assert product.processes["station"].poll() is None
    assert process_of(product) == station
    return screen


def test_a_mute_card_keeps_nobody_from_the_buttons_and_the_next_card_is_read(
    station: Product, people: Iterator[str]
) -> None:
    before = len(station.screens())
    worker = worker_of(station)
    station.insert("mute")
    station.wait_for(lambda: any(one["state"] == "reading" for one in station.screens()[before:]), "the reading")
    began_s = time.monotonic()
    seen = len(station.screens())
    for button, choice in (("A", "in"), ("B", "out"), ("C", None)):
        press(station, button)
        station.wait_for(partial(has_more_screens, station, seen), f"an answer to {button}", 2.0)
        answered = station.screens()[-1]
        assert (answered["state"], answered["choice"]) == ("reading", choice)
        seen = len(station.screens())
    screen = station.wait_for(
        lambda: next((one for one in station.screens()[seen:] if one["reference"]), None), "the verdict", 5.0
    )
    assert time.monotonic() - began_s < 4.0
    assert (screen["state"], screen["code"]) == ("unreadable", "C03")
    assert not Path(f"/proc/{worker}").exists(), "the worker that hung was killed"
    station.remove()
    assert check_next_card(station, people)["choice"] == "in"


def has_more_screens(product: Product, seen: int) -> bool:
    return len(product.screens()) > seen


def kill_pcscd(product: Product) -> None:
    product.pcscd.kill()
    time.sleep(1.0)
    product.pcscd.start()


def stop_pcscd(product: Product) -> None:
    product.pcscd.stop()
    time.sleep(1.0)
    product.pcscd.start()


def freeze_pcscd(product: Product) -> None:
    os.kill(pcscd_of(product), signal.SIGSTOP)
    time.sleep(5.0)
    os.kill(pcscd_of(product), signal.SIGCONT)


def kill_worker(product: Product) -> None:
    os.kill(worker_of(product), signal.SIGKILL)


def freeze_worker(product: Product) -> None:
    os.kill(worker_of(product), signal.SIGSTOP)


@pytest.mark.slow
@pytest.mark.parametrize("accident", [kill_pcscd, stop_pcscd, freeze_pcscd, kill_worker, freeze_worker])
def test_after_an_accident_the_next_card_is_read(
    station: Product, people: Iterator[str], accident: Callable[[Product], None]
) -> None:
    accident(station)
    check_next_card(station, people)


@pytest.mark.slow
@pytest.mark.parametrize("accident", [kill_pcscd, freeze_pcscd, kill_worker])
def test_an_accident_while_a_card_is_in_records_nothing_twice(
    station: Product, people: Iterator[str], accident: Callable[[Product], None]
) -> None:
    before = len(station.screens())
    station.visit(next(people))
    accident(station)
    time.sleep(1.0)
    station.remove()
    check_next_card(station, people)
    references = [one["reference"] for one in station.screens()[before:] if one["state"] == "accepted"]
    assert len(references) == len(set(references)) == 2


@pytest.mark.slow
def test_a_station_that_is_up_before_pcscd_waits_for_it(station: Product, people: Iterator[str]) -> None:
    station.kill("station", signal.SIGTERM)
    station.pcscd.stop()
    before = len(station.screens())
    station.start("station")
    station.wait_for(lambda: any(one["code"] == "R02" for one in station.screens()[before:]), "R02 on the panel")
    time.sleep(8.0)
    station.pcscd.start()
    check_next_card(station, people)


@pytest.mark.slow
def test_a_reader_under_another_name_is_found(station: Product, people: Iterator[str]) -> None:
    """As after a replug: another name, the same beginning. With USB it is done in ``tests/image``."""
    station.pcscd.stop()
    station.pcscd.start("Virtual PCD [CCID] (2)")
    check_next_card(station, people)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("card", "code"),
    [("pulled-at-2", "C01"), ("short", "C04"), ("bank", "C05"), ("read-sw-6982", "C06"), ("atr-1-byte", "C10")],
)
def test_after_a_bad_card_the_next_one_is_read(station: Product, people: Iterator[str], card: str, code: str) -> None:
    screen = station.visit(card)
    assert screen["code"] == code
    station.remove()
    check_next_card(station, people)
