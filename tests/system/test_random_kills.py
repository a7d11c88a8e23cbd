"""kill -9 of station, link, broker and ingest at random times while cards go in.

Every beep is exactly one row at the agency; the agency's audit and the station's chain are clean. A short run is part
of every test; the long one is ``scripts/test --insertions 200 --kills 20 tests/system/test_random_kills.py``.
"""

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from appliance.simulate.product import Product

PROCESSES = ("station", "link", "broker", "ingest")
BEEPS = ("stored", "refused", "attention")
PATIENCE_S = 90.0


class Vandal:
    """Kills a process at a random moment, waits a moment, and starts it again.

    Args:
        product: the victim.
        dice: where chance comes from.
        share: of insertions during which something is killed.
    """

    def __init__(self, product: Product, dice: random.Random) -> None:
        self._product = product
        self._dice = dice
        self.kills: Counter[str] = Counter()

    def strike_soon(self) -> threading.Thread:
        thread = threading.Thread(target=self._strike, args=(self._dice.choice(PROCESSES), self._dice.uniform(0, 1.2)))
        thread.start()
        return thread

    def _strike(self, name: str, after_s: float) -> None:
        time.sleep(after_s)
        self._product.kill(name)
        self.kills[name] += 1
        time.sleep(self._dice.uniform(0, 0.7))
        self._product.start(name)


def cards(members: range, dice: random.Random) -> list[str]:
    """Return as many names of cards as there are members: mostly those, some strangers, bank cards, repetitions."""
    chosen: list[str] = []
    for member in members:
        kind = dice.random()
        if kind < 0.15 and chosen:
            chosen.append(chosen[-1])
        elif kind < 0.25:
            chosen.append(f"person-{dice.randrange(5000, 6000)}")
        elif kind < 0.3:
            chosen.append("bank")
        else:
            chosen.append(f"person-{member}")
    return chosen


def test_every_beep_is_exactly_one_row(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    insertions, kills = request.config.getoption("--insertions"), request.config.getoption("--kills")
    seed = request.config.getoption("--seed") or random.randrange(1, 1_000_000)
    dice = random.Random(seed)
    print(f"seed {seed}")
    struck = set(dice.sample(range(insertions), kills))
    members = range(1, insertions + 1)
    with Product(tmp_path, members=tuple(members)) as product:
        product.set_up()
        product.start("ingest", "station", "link")
        product.wait_until_ready()
        vandal = Vandal(product, dice)
        for number, card in enumerate(cards(members, dice)):
            strike = vandal.strike_soon() if number in struck else None
            before = len(product.screens())
            product.insert(card)
            product.wait_for(lambda at=before: any(s["reference"] for s in product.screens()[at:]), card, PATIENCE_S)  # type: ignore[misc]
            product.remove()
            if strike is not None:
                strike.join()
        product.wait_for(
            lambda: json.loads(product.station("--json", "status"))["backlog"]["count"] == 0,
            "every receipt",
            PATIENCE_S,
        )
        beeps = Counter(int(s["reference"]) for s in product.screens() if s["tone"] in BEEPS)
        rows = Counter(event["sequence"] for event in product.events())
        stored = json.loads(product.station("--json", "outbox", "list"))
        print(f"{insertions} insertions, kills {dict(vandal.kills)}, beeps {beeps.total()}, rows {rows.total()}")
        assert set(beeps.values()) == {1}, "a beep that sounded twice"
        assert all(rows[sequence] == 1 for sequence in beeps), "a beep without a row"
        assert sorted(rows.elements()) == [event["sequence"] for event in stored]
        product.agency("audit")
        product.station("outbox", "verify")
        assert vandal.kills.total() == kills
