"""What an event costs the agency: from the bytes of a message to a row that is on the disk, verified.

Beside it stand two floors, measured in the same run so that a slow machine slows all alike: one bare Ed25519 signature
verified for each event, and the bare rows inserted, one commit a batch. No broker and no network here; what those
add is another benchmark's question. Run it on a quiet machine:

    .venv/bin/python benchmarks/ingest.py

``bundles`` holds as many events as fit into 32 KiB, as a station sends its backlog; ``singles`` one event a message,
as a fleet sends on a morning. CPU is of this process, the median of the batches; events/s is what one core does.
"""

import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parents[1]))

from agency.desk.founding import Founding, found
from agency.home import Home
from agency.ingest.batch import Bundle, take
from agency.ingest.bundle import MAX_BUNDLE_BYTES, MAX_BUNDLE_LINES
from agency.ingest.verification import Rules
from agency.store import chains
from agency.store.database import Database
from agency.store.events import Selection, select_events
from agency.store.stations import EventKey, put_station
from tests.unit.agency.fleet import AGENCY, Pupil, Station

STATIONS = 224
EVENTS_EACH = 27
BATCH_EVENTS = 224  # bundles of 17 stations, or one event of each


def main() -> None:
    """Print one line a way of sending, and one a floor."""
    print(f"{'':34}{'CPU us/event':>13}{'events/s':>10}")
    _show("floor: one bare signature", _time(_bare_signatures(), 1))
    for name, most in (("bundles of up to 32 KiB", MAX_BUNDLE_LINES), ("singles", 1)):
        with tempfile.TemporaryDirectory() as folder:
            database, rules, batches = _prepare(Path(folder), most)
            _show(name, _time([_taking(database, rules, batch) for batch in batches], BATCH_EVENTS))
            if most > 1:
                with database.read() as connection:
                    rows = select_events(connection, Selection())
                _show("floor: the same rows, bare", _time(list(_bare_inserts(database, rows)), BATCH_EVENTS))
            database.close()


def _show(name: str, cpu_us: float) -> None:
    print(f"{name:34}{cpu_us:13.0f}{1e6 / cpu_us:10.0f}")


def _time(tasks: Sequence[Callable[[], object]], events: int) -> float:
    """Return the CPU time of one event in microseconds: the median of the tasks, each of ``events`` events."""
    times = []
    for task in tasks:
        begin = time.process_time()
        task()
        times.append((time.process_time() - begin) * 1e6 / events)
    return statistics.median(times[1:])


def _bare_signatures() -> list[Callable[[], object]]:
    key, message = Ed25519PrivateKey.generate(), secrets.token_bytes(2300)
    public, signature = key.public_key(), key.sign(message)
    return [lambda: public.verify(signature, message)] * 500


def _taking(database: Database, rules: Rules, batch: Sequence[Bundle]) -> Callable[[], object]:
    return lambda: take(database, rules, batch)


def _bare_inserts(database: Database, rows: Sequence[chains.Event]) -> Iterator[Callable[[], object]]:
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM event")

    def insert(part: Sequence[chains.Event]) -> None:
        with database.write() as connection:
            chains.put_events(connection, part)

    for at in range(0, len(rows) - BATCH_EVENTS, BATCH_EVENTS):
        yield partial(insert, rows[at : at + BATCH_EVENTS])


def _prepare(folder: Path, most: int) -> tuple[Database, Rules, list[list[Bundle]]]:
    """Return an agency with a fleet, and what that fleet sends, in batches of ``BATCH_EVENTS`` events."""
    home = Home(folder / "home")
    found(home, Founding(AGENCY, (), 8883))
    sealing = [key for key in home.public_keys() if key["use"] == "enc"]
    stations = [Station(f"bkk-{number:03d}", sealing) for number in range(STATIONS)]
    database = Database.open(home.database)
    with database.write() as connection:
        for station in stations:
            put_station(connection, EventKey(station.signer.kid, station.id, station.signer.public("event"), "", None))
    sent = [_bundles(station, most) for station in stations]
    turns = [bundle for turn in zip(*sent, strict=True) for bundle in turn]
    batches: list[list[Bundle]] = [[]]
    for bundle in turns:
        if sum(_events(one) for one in batches[-1]) + _events(bundle) > BATCH_EVENTS:
            batches.append([])
        batches[-1].append(bundle)
    return database, Rules.of(AGENCY, sealing), batches[:-1]


def _events(bundle: Bundle) -> int:
    return bundle.payload.count(b"\n") + 1


def _bundles(station: Station, most: int) -> list[Bundle]:
    lines = [station.started().encode()]
    lines += [station.visit(Pupil.make(number)).encode() for number in range(EVENTS_EACH - 1)]
    per_message = min(most, MAX_BUNDLE_BYTES // (len(lines[-1]) + 1))
    parts = [lines[at : at + per_message] for at in range(0, len(lines) - per_message + 1, per_message)]
    return [Bundle(station.id, b"\n".join(part)) for part in parts]


if __name__ == "__main__":
    main()
