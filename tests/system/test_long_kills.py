"""Many minutes of random kills: station, link, a broker that forgets, ingest, and the database put back (T-85).

``pytest --minutes 15 tests/system/test_long_kills.py``; without the option it is skipped. Cards go in all the time.
Meanwhile a thread compares what the station says is receipted with the rows that the agency holds at that moment.
"""

import json
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from agency.ingest.restored import Witness as StoreWitness
from agency.store.epoch import Reach
from appliance.errors import CardStationError
from appliance.simulate.product import SET, Product
from tests.system.test_fault_points import Witness, read
from tests.system.test_random_kills import BEEPS, PATIENCE_S, PROCESSES, cards

MEMBERS = 40
COPY_EVERY_S = 45.0
OLDEST_COPIES = 3
LOOK_EVERY_S = 0.3


class Comparer(threading.Thread):
    """Compares station and agency again and again; ``pause`` is held while the database is being put back."""

    def __init__(self, product: Product) -> None:
        super().__init__(daemon=True)
        self._product, self._witness = product, Witness(product)
        self._over = threading.Event()
        self.pause = threading.Lock()
        self.looks: Counter[str] = Counter()
        self.lies: list[str] = []

    def run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            with self.pause:
                self._look()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        """Ask the station first: what it says then, the agency must hold by now."""
        ((through, epoch, head),) = read(
            self._product.state / "station.db",
            "SELECT through, epoch, (SELECT max(sequence) FROM event) FROM delivery",
        )
        held = set(self._witness.held())
        if epoch != epoch_of(self._product):
            self.looks["not told yet"] += 1
            return
        self.looks["all sent" if through == head else "backlog"] += 1
        if not set(range(1, through + 1)) <= held:
            self.lies.append(f"through {through} of {head}, held {len(held)}")


def epoch_of(product: Product) -> int:
    return int(read(product.home / "agency.sqlite3", "SELECT value FROM meta WHERE key = 'epoch'")[0][0])


def reach_of(path: Path) -> Reach:
    """Return how far a database had come."""
    found = dict(read(path, "SELECT key, value FROM meta WHERE key IN ('epoch', 'commits')"))
    return Reach(int(found["epoch"]), int(found.get("commits", 0)))


class Havoc:
    """Does one bad thing at a time."""

    def __init__(self, product: Product, comparer: Comparer, dice: random.Random) -> None:
        self._product, self._comparer, self._dice = product, comparer, dice
        self._copies: list[Path] = []
        self._copied_s = 0.0
        self.done: Counter[str] = Counter()
        self.failures: list[Exception] = []

    def copy_now_and_then(self) -> None:
        if time.monotonic() - self._copied_s < COPY_EVERY_S:
            return
        self._copied_s = time.monotonic()
        copy = self._product.folder / f"copy-{len(self._copies)}"
        store = self._product.home / "agency.sqlite3"
        with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        self._copies.append(copy)

    def strike_soon(self) -> threading.Thread:
        what = self._dice.choice((*PROCESSES, *PROCESSES, "database"))
        thread = threading.Thread(target=self._strike, args=(what, self._dice.uniform(0, 1.5)))
        thread.start()
        return thread

    def _strike(self, what: str, after_s: float) -> None:
        time.sleep(after_s)
        self.done[what] += 1
        if what == "database":
            try:
                self._put_back()
            except CardStationError as error:
                self.failures.append(error)
            return
        self._product.kill(what)
        time.sleep(self._dice.uniform(0, 1.0))
        self._product.start(what)

    def _put_back(self) -> None:
        """Put one of the older copies in the place of the database, and wait until the ingest has noticed."""
        product, store = self._product, self._product.home / "agency.sqlite3"
        copy = self._dice.choice(self._copies[-OLDEST_COPIES:])
        with self._comparer.pause:
            product.kill("ingest")
            before = epoch_of(product)
            promised = StoreWitness(product.home / "agency.reach").read()
            takes_back = promised is not None and promised > reach_of(copy)  # receipts left that it knows nothing of
            for end in ("-wal", "-shm"):
                Path(f"{store}{end}").unlink(missing_ok=True)
            store.write_bytes(copy.read_bytes())
            product.start("ingest")
            if takes_back:
                product.wait_for(lambda: epoch_of(product) > before, "a new epoch")
                self.done["new epochs"] += 1


def forget_at_restart(product: Product) -> None:
    """Have the broker keep nothing on the disk."""
    file = product.home / "broker" / "mosquitto.conf"
    text = file.read_text()
    assert "persistence true" in text
    file.write_text(text.replace("persistence true", "persistence false"))
    product.kill("broker")
    product.start("broker")
    product.agency("roster", "push", "--set", SET)  # the one that was retained is forgotten


def test_minutes_of_random_kills(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    minutes = request.config.getoption("--minutes")
    if not minutes:
        pytest.skip("--minutes 15")
    dice = random.Random(request.config.getoption("--seed") or None)
    with Product(tmp_path, members=tuple(range(1, MEMBERS + 1))) as product:
        product.set_up()
        forget_at_restart(product)
        product.start("ingest", "station", "link")
        product.wait_until_ready()
        product.visit("person-4999")
        product.remove()
        product.wait_for(lambda: Witness(product).is_all_receipted(), "the first receipts")
        comparer = Comparer(product)
        comparer.start()
        havoc = Havoc(product, comparer, dice)
        inserted = keep_busy(product, havoc, dice, minutes * 60)
        settle(product)
        comparer.stop()
        print(f"{inserted} insertions, {dict(havoc.done)}, looks {dict(comparer.looks)}")
        assert havoc.failures == []
        assert comparer.lies == [], "said to be receipted, and not held"
        check(product)


def keep_busy(product: Product, havoc: Havoc, dice: random.Random, seconds: float) -> int:
    """Put cards in while things break; return how many."""
    end_s, inserted = time.monotonic() + seconds, 0
    names = [*cards(range(1, MEMBERS + 1), dice), *(f"person-{serial}" for serial in range(5000, 20_000))]
    for card in names:
        if time.monotonic() > end_s:
            break
        havoc.copy_now_and_then()
        strike = havoc.strike_soon() if dice.random() < 0.5 else None
        before = len(product.screens())
        product.insert(card)
        product.wait_for(lambda at=before: any(s["reference"] for s in product.screens()[at:]), card, PATIENCE_S)  # type: ignore[misc]
        product.remove()
        inserted += 1
        if strike is not None:
            strike.join()
    return inserted


def settle(product: Product) -> None:
    """One more card, and everything is receipted."""
    product.visit("person-4998")
    product.remove()
    witness = Witness(product)
    product.wait_for(lambda: witness.is_all_receipted() and _is_told(product), "every receipt", PATIENCE_S)


def _is_told(product: Product) -> bool:
    ((epoch,),) = read(product.state / "station.db", "SELECT epoch FROM delivery")
    return bool(epoch == epoch_of(product))


def check(product: Product) -> None:
    beeps = Counter(int(s["reference"]) for s in product.screens() if s["tone"] in BEEPS)
    rows = [event["sequence"] for event in product.events()]
    stored = [event["sequence"] for event in json.loads(product.station("--json", "outbox", "list"))]
    print(f"beeps {beeps.total()}, rows {len(rows)}")
    assert set(beeps.values()) == {1}, "a beep that sounded twice"
    assert set(beeps) <= set(rows), "a beep without a row"
    assert sorted(rows) == stored
    product.agency("audit")
    product.station("outbox", "verify")
