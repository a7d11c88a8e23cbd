"""Whatever the network does to a chain (loses, repeats, reorders, bundles), the store ends the same.

A model with sets and no database says what must be held, covered and missing after each step.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agency.desk.founding import Founding, found
from agency.home import Home
from agency.ingest.batch import Bundle, take
from agency.ingest.receipts import Address, compose
from agency.ingest.verification import Rules
from agency.store import chains
from agency.store.database import Database
from agency.store.stations import EventKey, put_station
from appliance.events.receipt import Receipt
from tests.unit.agency.fleet import AGENCY, Pupil, Station, audited, jws_hash

EVENTS = 24


@dataclass
class Model:
    """What an agency holds of a chain of ``lines``, in plain sets.

    Args:
        lines: the whole chain, in order.
        poison: sequence numbers of the events that must be set apart.
    """

    lines: list[str]
    poison: frozenset[int]
    held: set[int] = field(default_factory=set)

    @property
    def through(self) -> int:
        through = 0
        while through + 1 in self.held:
            through += 1
        return through

    @property
    def missing(self) -> list[list[int]]:
        ranges: list[list[int]] = []
        for sequence in range(self.through + 1, max(self.held, default=0)):
            if sequence in self.held:
                continue
            if ranges and ranges[-1][1] == sequence - 1:
                ranges[-1][1] = sequence
            else:
                ranges.append([sequence, sequence])
        return ranges

    def check(self, receipt: Receipt, kid: str) -> None:
        assert receipt.through == self.through
        assert receipt.hash == (jws_hash(self.lines[self.through - 1]) if self.through else kid)
        assert receipt.missing == self.missing
        assert {item["sequence"] for item in receipt.quarantined} == self.held & self.poison


@pytest.mark.parametrize("seed", range(12))
def test_any_delivery_ends_in_the_same_store(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    home = Home(tmp_path / "home")
    found(home, Founding(AGENCY, (), 8883))
    recipients = [key for key in home.public_keys() if key["use"] == "enc"]
    station = Station("bkk-001", recipients)
    poison = frozenset(dice.sample(range(2, EVENTS), 3))
    lines = [station.started()]
    for sequence in range(2, EVENTS + 1):
        lines.append(station.poison() if sequence in poison else station.visit(Pupil.make(sequence)))
    model = Model(lines, poison)
    rules = Rules.of(AGENCY, recipients)
    with Database.open(home.database) as database:
        with database.write() as connection:
            put_station(connection, EventKey(station.signer.kid, station.id, station.signer.public("event"), "", None))
        deliver(dice, database, rules, station, model)
        with database.read() as connection:
            stored = [row.jws for row in chains.chain_rows(connection, station.chain)]
            report = audited(connection, home)
    assert stored == lines
    assert {problem.code for problem in report.problems} == {"quarantine"}
    assert (report.counts["events"], report.counts["quarantined"]) == (EVENTS - 3, 3)


def deliver(dice: random.Random, database: Database, rules: Rules, station: Station, model: Model) -> None:
    """Send random bundles, some twice, until everything is covered; compare with the model after each."""
    address = Address(station.id, station.chain)
    while model.through < EVENTS:
        chosen = dice.sample(range(1, EVENTS + 1), dice.randint(1, 6))
        payload = "\n".join(model.lines[sequence - 1] for sequence in chosen).encode()
        for _ in range(dice.choice([1, 1, 2])):
            take(database, rules, [Bundle(station.id, payload)])
        model.held |= set(chosen)
        with database.read() as connection:
            model.check(compose(connection, address, 1), station.signer.kid)


@pytest.mark.parametrize("size", [1, 3, 24])
def test_the_size_of_a_batch_makes_no_difference(size: int, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    found(home, Founding(AGENCY, (), 8883))
    recipients = [key for key in home.public_keys() if key["use"] == "enc"]
    stations = [Station(f"bkk-{number}", recipients) for number in range(3)]
    rules = Rules.of(AGENCY, recipients)
    bundles = [
        Bundle(station.id, (station.started() if turn == 0 else station.visit(Pupil.make(turn))).encode())
        for turn in range(8)
        for station in stations
    ]
    with Database.open(home.database) as database:
        with database.write() as connection:
            for station in stations:
                key = EventKey(station.signer.kid, station.id, station.signer.public("event"), "", None)
                put_station(connection, key)
        for start in range(0, len(bundles), size):
            take(database, rules, bundles[start : start + size])
        with database.read() as connection:
            marks = {chain.station: chain.high_water for chain in chains.list_chains(connection)}
    assert marks == {station.id: 8 for station in stations}
