"""What it costs to make an event durable: ``Outbox.append`` beside bare SQLite and beside append + fdatasync.

    .venv/bin/python benchmarks/outbox.py [--events N] [--folder FOLDER]

All write to one file system in one run, in turn, in another order each round, so that noise hits all alike; the
folder must lie on the disk that is meant (the default is under this repository). Each commit is one event, and each is
flushed to the disk before the next begins.

``append`` is what the station does: seal, sign, check against the schema, link, insert, remember the visit, commit.
``append, made before`` is given events that were made before, so that what storing costs and what the cryptography
costs can be told apart. ``bare SQLite`` inserts the same bytes into a table of number and text, WAL and
``synchronous=FULL``, one row a transaction. ``fdatasync`` appends the same bytes to a file and flushes it: the floor.

How to read it: events/s are of the median; us are the median, in brackets the middle half; CPU is user and system time
of this process. ``ratio`` is events/s against ``append``: above 1 is faster than we are.
"""

import argparse
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from appliance.events.chain import Position
from appliance.events.schema import EVENT
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Signer
from appliance.outbox.store import Outbox

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from benchmarks.visits import Visitors  # noqa: E402

OURS = "append"
ROUND_EVENTS = 50
Store = Callable[[str], object]


@dataclass
class Taken:
    """What one of them took: seconds of each event, and of the processor for all."""

    times_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def note(self, act: Callable[[], object]) -> None:
        """Run ``act`` and note what it took."""
        cpu_s, start_s = time.process_time(), time.perf_counter()
        act()
        self.times_s.append(time.perf_counter() - start_s)
        self.cpu_s += time.process_time() - cpu_s

    @property
    def rate(self) -> float:
        """Return events per second, of the median."""
        return 1 / statistics.median(self.times_s)


def bare_sqlite(path: Path) -> tuple[sqlite3.Connection, Store]:
    """Return a bare database, and what stores one event in it."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE event (sequence INTEGER PRIMARY KEY, jws TEXT NOT NULL)")
    return database, lambda jws: database.execute("INSERT INTO event (jws) VALUES (?)", (jws,))


def bare_file(path: Path) -> tuple[int, Store]:
    """Return a bare file, and what stores one event in it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def store(jws: str) -> None:
        os.write(handle, jws.encode() + b"\n")
        os.fdatasync(handle)

    return handle, store


def measure(folder: Path, events: int) -> dict[str, Taken]:
    """Let each make ``events`` events durable, in turn; return what they took."""
    signer = Signer.generate()
    recipients = [public_sealing_key(generate_sealing_key(), use) for use in ("duty", "escrow")]
    visitors = Visitors("obec", "bkk-001", signer, recipients)
    EVENT.prepare()
    with ExitStack() as stack:
        ours, stored = (stack.enter_context(closing(_outbox(folder / name, signer))) for name in ("a.db", "b.db"))
        database, into_sqlite = bare_sqlite(folder / "bare.db")
        stack.callback(database.close)
        handle, into_file = bare_file(folder / "bare.jsonl")
        stack.callback(os.close, handle)
        acts: Mapping[str, Store] = {
            OURS: lambda jws: ours.append(visitors.event, visitors.memory()),
            "append, made before": lambda jws: stored.append(lambda position: jws, visitors.memory()),
            "bare SQLite": into_sqlite,
            "fdatasync": into_file,
        }
        return _in_turn(acts, visitors, events)


def _in_turn(acts: Mapping[str, Store], visitors: Visitors, events: int) -> dict[str, Taken]:
    taken = {name: Taken() for name in acts}
    position = Position("01J00000000000000000000000", 1, "A" * 43)
    for _ in range(max(1, events // ROUND_EVENTS)):
        lines = [visitors.event(position) for _ in range(ROUND_EVENTS)]
        for name in random.sample(list(acts), len(acts)):
            for jws in lines:
                taken[name].note(lambda act=acts[name], jws=jws: act(jws))  # type: ignore[misc]
    return taken


def _outbox(path: Path, signer: Signer) -> Outbox:
    outbox = Outbox.open(path, create=True)
    outbox.start_chain(signer.kid, datetime.now(UTC))
    return outbox


def report(taken: Mapping[str, Taken]) -> str:
    """Return the table."""
    lines = [f"{'':<20} {'events/s':>9} {'us: median (middle half)':>28} {'CPU us':>8} {'ratio':>6}"]
    for name, one in taken.items():
        ratio = one.rate / taken[OURS].rate
        cpu_us = one.cpu_s / len(one.times_s) * 1e6
        lines.append(f"{name:<20} {one.rate:>9.0f} {_microseconds(one.times_s):>28} {cpu_us:>8.0f} {ratio:>6.2f}")
    return "\n".join(lines)


def _microseconds(times_s: Sequence[float]) -> str:
    low, middle, high = (each * 1e6 for each in statistics.quantiles(times_s, n=4, method="inclusive"))
    return f"{middle:.0f} ({low:.0f}-{high:.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="how fast events are made durable, and what the floor is")
    parser.add_argument("--events", type=int, default=2000, help="each makes so many (2000)")
    parser.add_argument("--folder", type=Path, default=_ROOT / ".cache", help="on the disk that is meant")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(
        f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.2f}", flush=True
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        taken = measure(Path(folder), options.events)
        size = (Path(folder) / "bare.jsonl").stat().st_size // len(taken[OURS].times_s)
    print(f"{len(taken[OURS].times_s)} events of {size} bytes each\n{report(taken)}\nload {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
