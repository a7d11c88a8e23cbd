"""kill -9 at the fault points in the whole product: real pcscd, broker, station, link and ingest.

For each point: a card goes in, the process dies there and is started again, and the card that made no sound is read
again by itself. What must hold at each moment: no sound and no "stored" without a row, no row twice, nothing covered
that the agency has not got. A sample runs every time; ``--every-fault-point`` runs them all, some seconds each.
"""

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.simulate.product import Product
from tests.faults.points import POINTS, Point

MEMBERS_DIE_AT = ("append COMMIT/before", "append COMMIT/after", "show verdict/before")
STRANGERS = 5000
BEEPS = ("stored", "refused", "attention")
SAMPLE = (
    "append COMMIT/before",
    "append COMMIT/after",
    "show verdict/before",
    "show verdict/after",
    "publish events/after",
    "receipt COMMIT/after",
    "batch COMMIT/after",
    "publish receipt/before",
)


class FaultyProduct(Product):
    """The product with fault points in station, link and ingest; ``armed`` names the next one."""

    @property
    def armed(self) -> Path:
        return self.folder / "fault"

    def command(self, name: str) -> list[str]:
        python, _, module, *rest = usual = super().command(name)
        if name == "broker":
            return usual
        assert module in ("appliance.cli", "agency")
        return [python, "-m", "tests.system.faulty", str(self.armed), name, "--", *rest]

    def dies(self, point: Point, patience_s: float = 20.0) -> None:
        """Wait until the process of ``point`` has died there."""
        process = self.processes[point.process]
        self.wait_for(lambda: process.poll() is not None, f"the death at {point.name}", patience_s)
        assert process.returncode == -signal.SIGKILL
        assert not self.armed.exists()

    def revive(self, name: str) -> None:
        self.processes.pop(name, None)
        self.start(name)


class Witness:
    """Looks at the two databases from outside, and at what the panel showed."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def rows(self) -> list[int]:
        return [row[0] for row in read(self._product.state / "station.db", "SELECT sequence FROM event")]

    def through(self) -> int:
        return int(read(self._product.state / "station.db", "SELECT through FROM delivery")[0][0])

    def held(self) -> list[int]:
        return [row[0] for row in read(self._product.home / "agency.sqlite3", "SELECT sequence FROM event")]

    def beeps(self) -> Counter[int]:
        return Counter(int(s["reference"]) for s in self._product.screens() if s["tone"] in BEEPS and s["reference"])

    def look(self) -> None:
        """Check what must hold at every moment; the earlier truth is asked for first."""
        screens, through = self._product.screens(), self.through()
        rows, held = self.rows(), Counter(self.held())
        shown = {int(screen["reference"]) for screen in screens if screen["reference"]}
        assert shown <= set(rows), "shown as stored, and no row"
        assert set(held.values()) <= {1}, "doubled at the agency"
        assert set(range(1, through + 1)) <= set(held), "covered, and not held"

    def is_all_receipted(self) -> bool:
        return self.through() == max(self.rows())


def read(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProduct]:
    with FaultyProduct(tmp_path_factory.mktemp("product"), members=tuple(range(1, len(MEMBERS_DIE_AT) + 1))) as whole:
        whole.set_up()
        whole.start("ingest", "station", "link")
        whole.wait_until_ready()
        yield whole
        check_whole(whole)


def check_whole(product: FaultyProduct) -> None:
    """Nothing lost, nothing doubled, nothing broken, over all points together."""
    witness = Witness(product)
    product.wait_for(witness.is_all_receipted, "every receipt", 40.0)
    witness.look()
    assert set(witness.beeps().values()) <= {1}, "a beep that sounded twice"
    rows = [event["sequence"] for event in json.loads(product.station("--json", "outbox", "list"))]
    assert sorted(event["sequence"] for event in product.events()) == rows
    product.agency("audit")
    product.station("outbox", "verify")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the points."""
    if "point" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-fault-point")
        chosen = [point for point in POINTS if every or point.name in SAMPLE]
        assert len(chosen) == (len(POINTS) if every else len(SAMPLE)), "the sample names a point that is gone"
        metafunc.parametrize("point", chosen, ids=lambda point: point.name)


def test_kill_9(point: Point, product: FaultyProduct) -> None:
    witness = Witness(product)
    rows = witness.rows()
    if point.stimulus == "start":
        die_at_start(product, point)
    else:
        product.armed.write_text(point.name)
        visit(product, point, card_for(point))
        assert len(witness.rows()) == len(rows) + 1, "one visit is one event"
    witness.look()
    product.wait_for(witness.is_all_receipted, "the receipt", 30.0)
    witness.look()


def die_at_start(product: FaultyProduct, point: Point) -> None:
    before = len(product.screens())
    product.kill(point.process)
    product.armed.write_text(point.name)
    product.start(point.process)
    product.dies(point)
    product.revive(point.process)
    if point.process == "station":
        product.wait_until_ready(since=before)


def card_for(point: Point) -> str:
    """Return a card of its own: a member's for the points where most depends on it, else a stranger's."""
    if point.name in MEMBERS_DIE_AT:
        return f"person-{MEMBERS_DIE_AT.index(point.name) + 1}"
    return f"person-{STRANGERS + POINTS.index(point)}"


def visit(product: FaultyProduct, point: Point, card: str) -> None:
    """Put a card in; when the process has died, start it again, and wait for a verdict if none was shown yet."""
    before = len(product.screens())

    def verdict() -> bool:
        return any(screen["reference"] for screen in product.screens()[before:])

    product.insert(card)
    process = product.processes[point.process]
    product.wait_for(lambda: verdict() or process.poll() is not None, f"the death at {point.name}, or a verdict")
    if verdict() and point.process == "station":
        time.sleep(0.3)  # some points lie just behind the verdict
    if process.poll() is None:
        product.remove()
    product.dies(point)
    Witness(product).look()
    product.revive(point.process)
    product.wait_for(verdict, f"a verdict on {card}")
    product.remove()
    if point.process == "station":
        product.wait_for(lambda: product.screens()[-1]["state"] == "idle", "an idle panel")


def test_the_launcher_changes_nothing_while_nothing_is_armed(product: FaultyProduct) -> None:
    assert not product.armed.exists()
    visited = product.visit(f"person-{STRANGERS - 1}")
    product.remove()
    assert visited["reference"]
    assert os.path.exists(f"/proc/{product.processes['station'].pid}")  # noqa: PTH110
