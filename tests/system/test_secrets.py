"""After the cards have left, no number and no name is anywhere: not on a disk, not in a log, not in a core dump.

Looked at are the whole folder of the product (the state directory, the agency's store, the broker's, all logs) and
the memory of station, worker and link, as a core dump would hold it. What is looked for is every
number and name that was used, in each encoding, as hex, base64 and escapes.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.run.core_dumps import OVERWRITES_WHAT_IT_FREES
from appliance.simulate.persons import Person, person
from appliance.simulate.product import Product
from tests.system.memory import find_in_memory
from tests.system.search import clear_text_of, find_in_tree

SERIALS = (1, 9)


class AsByItsUnit(Product):
    """The product with the environment that a station's unit, or ``card-station run``, gives it."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **OVERWRITES_WHAT_IT_FREES}


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with AsByItsUnit(tmp_path) as whole:
        whole.set_up()
        whole.start("ingest", "station", "link")
        whole.wait_until_ready()
        yield whole


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def needles_of(people: list[Person]) -> list[bytes]:
    return [needle for who in people for needle in clear_text_of(who)]


def visits(product: Product) -> list[bytes]:
    """Let people come and go until everything is receipted; return what must be found nowhere."""
    for serial in SERIALS:
        product.visit(f"person-{serial}")
        product.remove()
    product.wait_for(lambda: product.screens()[-1]["state"] == "idle", "an idle panel")
    product.wait_for(lambda: json.loads(product.station("--json", "status"))["backlog"]["count"] == 0, "every receipt")
    return sorted(set(needles_of([person(serial) for serial in SERIALS])))


def test_nothing_of_a_person_is_on_a_disk_or_in_the_link(product: Product) -> None:
    needles = visits(product)
    assert find_in_memory(product.processes["link"].pid, needles) == []
    product.kill("broker", signal.SIGTERM)  # it writes what it holds to the disk
    assert list((product.home / "broker" / "data").iterdir())
    assert find_in_tree(product.folder, needles) == []


def test_nothing_of_a_person_stays_in_the_station(product: Product) -> None:
    needles = visits(product)
    station = product.processes["station"].pid
    (worker,) = children_of(station)
    assert find_in_memory(station, needles) + find_in_memory(worker, needles) == []


def test_what_is_in_memory_is_found() -> None:
    held = bytearray(person(77).citizen_id, "ascii")
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        assert bytes(held) in find_in_memory(child, clear_text_of(person(77)))
        assert find_in_memory(child, [os.urandom(16)[:8] + os.urandom(8)]) == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
