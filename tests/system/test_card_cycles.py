"""Cards in and out with random faults: no wrong record, no lost card, nothing that grows.

A short run is part of every test; the long one is ``scripts/test --insertions 1000 tests/system/test_card_cycles.py``.
The process that uses PC/SC is the worker: its files, threads and memory are held flat over each of its lives.
Two virtual slots take turns. Good cards must be read whole, and be the card that was put in; a card that misbehaves
must end in a typed error; pcscd and the worker are killed, stopped and started meanwhile.
"""

import gc
import os
import random
import signal
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.cards import reading
from appliance.cards.record import Record
from appliance.cards.thai_id import ALL, CID, TEXT, Field
from appliance.errors import CardError, ReaderUnavailable
from appliance.run.reader import WorkerReader
from appliance.simulate.card import ThaiCard, VirtualCard
from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PORT, PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard

PATIENCE_S = 15.0
SILENCE_S = 1.0
RSS_SLOPE_KB = 1.0
SETTLED_AFTER = 20  # cycles of one worker: by then it has met every kind of card, and its memory is what it needs
WORKER_GROWTH_KB = 8  # a cycle; what one leaked photo would cost

#: What a card may do wrong, and how often of 100 cards.
BAD_CARDS = {
    "bank": 2, "dumb": 1, "mute": 1, "mute-at": 1, "pulled-at": 8, "swapped-at": 3, "endless": 1, "short": 1, "long": 1,
    "no-sw": 1, "empty": 1, "huge": 1, "read-sw-6982": 1, "atr-1-byte": 1,
}  # fmt: skip
#: What may happen to the machine.
ACCIDENTS = {"kill pcscd": 2, "stop pcscd": 1, "freeze pcscd": 1, "kill worker": 2}
FIELD_SETS: tuple[tuple[Field, ...], ...] = (CID, CID, TEXT, ALL)


@dataclass(frozen=True)
class Usage:
    """What a process holds.

    Args:
        files: open file descriptors.
        threads: threads.
        rss_kb: resident memory.
    """

    files: int
    threads: int
    rss_kb: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        proc = Path(f"/proc/{pid}")
        rss = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return cls(len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())), int(rss.split()[1]))


@dataclass
class Table:
    """The reader on the table, the cards, and what happened so far."""

    pcscd: PrivatePcscd
    dice: random.Random
    reader: WorkerReader = field(default_factory=lambda: WorkerReader("Virtual", may_read=ALL, silence_s=SILENCE_S))
    counts: Counter[str] = field(default_factory=Counter)
    turn: int = 0

    def insert(self, card: VirtualCard) -> VpcdCard:
        self.turn += 1
        held = VpcdCard(card, PORT + self.turn % 2)
        held.insert()
        return held

    def patiently(self, act: Callable[[], object]) -> None:
        """Do as the station does: through every outage."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            try:
                if act():
                    return
            except ReaderUnavailable:
                self.counts["outages noticed"] += 1
                time.sleep(0.1)
        raise AssertionError("it did not happen in time")

    def good_card(self, serial: int) -> None:
        """Put a good card in; it must be read, and be that card."""
        fields, card = self.dice.choice(FIELD_SETS), ThaiCard(person(serial))
        held, found = self.insert(card), list[Record]()

        def is_read() -> bool:
            if self.reader.wait_card(1.0) is not None:
                found.append(self.reader.read(fields))
            return bool(found)

        self.patiently(is_read)
        assert found == [in_memory(serial, fields)], f"not the card that was put in: {serial}"
        self.counts["good cards read"] += 1
        self.take_out(held)

    def bad_card(self, name: str) -> None:
        """Put a card in that misbehaves; it must end in a typed error, or not be a wrong record."""
        held = self.insert(deck(name))
        ended: list[str] = []

        def is_over() -> bool:
            if self.reader.wait_card(1.0) is None:
                return False
            try:
                record = self.reader.read(ALL)
                assert record.citizen_id in (person(1).citizen_id, person(2).citizen_id)
                ended.append("read all the same")
            except CardError as error:
                ended.append(error.code)
            return True

        self.patiently(is_over)
        self.counts[f"bad cards: {ended[0]}"] += 1
        self.take_out(held)

    def take_out(self, held: VpcdCard) -> None:
        held.remove()
        self.patiently(lambda: self.reader.wait_removed(1.0))

    def accident(self, what: str) -> None:
        process = self.pcscd._process
        match what:
            case "kill pcscd" | "stop pcscd":
                self.pcscd.kill() if what.startswith("kill") else self.pcscd.stop()
                time.sleep(self.dice.uniform(0, 0.5))
                self.pcscd.start()
            case "freeze pcscd" if process is not None:
                process.send_signal(signal.SIGSTOP)
                time.sleep(self.dice.uniform(0.1, 1.0))
                process.send_signal(signal.SIGCONT)
            case "kill worker" if self.reader._worker is not None:
                self.reader._worker.kill()
                self.reader._worker.wait()
        self.counts[what] += 1


def in_memory(serial: int, fields: tuple[Field, ...]) -> Record:
    """Return the record of a person's card, read without any reader."""
    card = ThaiCard(person(serial))
    return reading.read(lambda command: card.answer(command) or b"", fields)


@pytest.fixture
def pcscd(tmp_path: Path) -> Iterator[PrivatePcscd]:
    with PrivatePcscd(tmp_path) as daemon:
        yield daemon


def chosen(dice: random.Random, odds: dict[str, int]) -> str | None:
    """Return one of ``odds`` (each of 100), or None."""
    names = [name for name, of_100 in odds.items() for _ in range(of_100)]
    at = dice.randrange(100)
    return names[at] if at < len(names) else None


def slope(values: Sequence[int]) -> float:
    """Return by how much ``values`` grow from one to the next, as the straight line through them says."""
    mean_x, mean_y = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(values))
    return above / sum((x - mean_x) ** 2 for x in range(len(values)))


def growth(life: Sequence[Usage]) -> float:
    """Return by how many kB a process grew from one cycle to the next, from the first to the last of these."""
    return (life[-1].rss_kb - life[0].rss_kb) / (len(life) - 1)


@pytest.mark.slow
def test_no_card_is_lost_or_mistaken_and_nothing_grows(pcscd: PrivatePcscd, request: pytest.FixtureRequest) -> None:
    cycles = request.config.getoption("--insertions")
    seed = request.config.getoption("--seed") or random.randrange(1, 1_000_000)
    print(f"\nseed {seed}")
    table = Table(pcscd, random.Random(seed))
    client, rss_kb = Counter[tuple[int, int]](), array("l")  # compact: what the test keeps must not look like a leak
    worker, daemon = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    lives: dict[int, list[Usage]] = {}
    gc.collect()  # what other tests of this process left lying must not go in the middle of the count
    for serial in range(1, cycles + 1):
        if what := chosen(table.dice, ACCIDENTS):
            table.accident(what)
        if name := chosen(table.dice, BAD_CARDS):
            table.bad_card(f"{name}-{table.dice.randint(1, 54)}" if name.endswith("-at") else name)
        table.good_card(serial)
        assert table.reader._worker is not None
        assert pcscd._process is not None
        lives.setdefault(table.reader._worker.pid, []).append(Usage.of(table.reader._worker.pid))
        for held, pid in ((client, os.getpid()), (worker, table.reader._worker.pid), (daemon, pcscd._process.pid)):
            usage = Usage.of(pid)
            if serial > cycles // 10:  # until then everything is still being loaded
                held[usage.files, usage.threads] += 1
                if held is client:
                    rss_kb.append(usage.rss_kb)
    table.reader.close()
    grown = [growth(life[SETTLED_AFTER:]) for life in lives.values() if len(life) >= 2 * SETTLED_AFTER]
    report = {
        "cycles": cycles,
        **dict(sorted(table.counts.items())),
        "client files, threads": dict(client),
        "client RSS, kB, first and last": (rss_kb[0], rss_kb[-1]),
        "its slope, kB a cycle": round(slope(rss_kb), 3),
        "workers, longest life in cycles": (len(lives), max(map(len, lives.values()))),
        "worker files, threads": dict(worker),
        "worker RSS growth, kB a cycle, worst life": round(max(grown, default=0.0), 2),
        "pcscd files, threads": dict(daemon),
    }
    for what, figure in report.items():
        print(f"{what:32} {figure}")
    assert table.counts["good cards read"] == cycles
    ordinary, _ = client.most_common(1)[0]  # other tests of this process may still be letting things go
    assert client[ordinary] > 0.9 * client.total()
    assert all(files <= ordinary[0] + 1 and threads <= ordinary[1] for files, threads in client)
    assert len({(usage.files, usage.threads) for life in lives.values() for usage in life[1:]}) <= 1
    assert max(grown, default=0.0) < WORKER_GROWTH_KB
    assert slope(rss_kb) < RSS_SLOPE_KB or cycles < 100
    assert len({threads for _, threads in daemon}) == 1
