"""One station, its link and its agency in one process, all of them real; between them a broker that loses and lies.

Real are the state database, the events, ``Link`` with window, inbox and delivery, the ingest ``Worker`` and its store.
A crash is an exception that nothing catches, after which the part is made anew from what is on the disk.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from agency.desk.founding import Founding, found
from agency.home import Home
from agency.ingest import batch
from agency.ingest.office import office_of
from agency.ingest.restored import Witness
from agency.ingest.worker import Worker
from agency.reports.audit import Audit
from agency.store import chains
from agency.store.database import Database
from agency.store.epoch import raise_epoch, reach
from agency.store.stations import EventKey, event_keys, put_station, revoke_station
from appliance.config import parse
from appliance.events.chain import Position
from appliance.events.cloud_event import Origin
from appliance.events.sign import KeySet, Signer
from appliance.events.writer import EventWriter
from appliance.outbox.delivery import Delivery
from appliance.outbox.row import Row
from appliance.outbox.store import Outbox
from appliance.outbox.verify import verify
from appliance.papers import AGENCY_KEYS
from appliance.run.link import Link
from appliance.run.nudge import Ear
from appliance.run.query_socket import AnswerSocket
from tests.faults.lossy import Counter, LossyBroker, LossyLine
from tests.unit.agency.fleet import AGENCY, ATTENDANCE, CLOCK, MORNING, audited, citizen_number
from tests.unit.run.scripted import Clock

STATION = "bkk-001"
SETTINGS = f'[station]\nid = "{STATION}"\nagency = "{AGENCY}"\n[link]\nhost = "broker.example"\n'


class Crash(BaseException):
    """The part that was at work is gone."""


class OneTurn:
    """Stops a worker after one turn."""

    def __init__(self) -> None:
        self._is_over = False

    def is_set(self) -> bool:
        was, self._is_over = self._is_over, True
        return was


class _Calendar:
    """Stands where ``time`` stands for epochs: nobody puts a whole machine back twice in one second."""

    def __init__(self) -> None:
        self._now_s = 1_795_000_000

    def time(self) -> float:
        self._now_s += 1
        return self._now_s


@cache
def _founded() -> Path:
    folder = Path(mkdtemp(prefix="agency-"))
    found(Home(folder / "home"), Founding(AGENCY, (), 8883))
    return folder / "home"


@dataclass(frozen=True)
class Copy:
    """A copy of the agency's database, and of the file beside it."""

    database: bytes = field(repr=False)
    witness: bytes | None


class World:
    """The parts.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.patch = pytest.MonkeyPatch()
        self.clock, self.broker = Clock(), LossyBroker()
        self.patch.setattr("appliance.run.link.MqttLine", LossyLine.to(self.broker))
        self.patch.setattr("appliance.run.link.time", self.clock)
        self.patch.setattr("agency.store.epoch.time", _Calendar())
        self.home = Home(Path(shutil.copytree(_founded(), folder / "home")))
        (folder / AGENCY_KEYS).write_text(json.dumps({"keys": self.home.public_keys()}))
        self.signer = Signer.generate()
        sealing = [key for key in self.home.public_keys() if key.get("use") == "enc"]
        self._writer = EventWriter(Origin(AGENCY, STATION, "0.1.0"), self.signer, sealing)
        self.outbox = Outbox.open(folder / "station.db", create=True)
        self.outbox.start_chain(self.signer.kid, MORNING)
        self.chain = chains.ChainKey(self.outbox.head().chain, self.signer.kid)
        self.database = Database.open(self.home.database)
        with self.database.write() as connection:
            key = EventKey(self.signer.kid, STATION, self.signer.public("event"), "", None)
            put_station(connection, key)
        self.is_put_back = self.was_put_back = False
        self._ear = Ear(folder)
        self._questions = AnswerSocket(folder)
        self.link = self._start_link()

    def close(self) -> None:
        self.link._delivery.close()
        self.outbox.close()
        self.database.close()
        self.patch.undo()

    # The station.

    def event(self, position: Position) -> str:
        data: dict[str, Any] = {
            "service": ATTENDANCE,
            "level": "L1",
            "verdict": "accepted",
            "checks": {name: {"result": "pass"} for name in ("applet", "checksum", "roster")},
            "choice": "in",
            "officer": None,
            "clock": CLOCK,
            "card": {"inserted_ms": 800, "apdus": 3},
        }
        secret = {"citizen_id": citizen_number(position.sequence)}
        return self._writer.visit(position, "school.attendance.v1", MORNING, data, secret)

    def append(self) -> int:
        return self.outbox.append(self.event)

    def crash_while_appending(self, is_committed: bool) -> None:
        def build(position: Position) -> str:
            jws = self.event(position)
            if not is_committed:
                raise Crash
            return jws

        with self.patch.context() as patch:
            patch.setattr(self.outbox, "_on_append", _crash)
            with suppress(Crash):
                self.outbox.append(build)
        self.outbox.close()
        self.outbox = Outbox.open(self.folder / "station.db")

    def rows(self) -> list[Row]:
        return list(self.outbox.rows())

    # The link.

    def _start_link(self) -> Link:
        return Link(parse(SETTINGS, "station.toml"), self.folder, self._ear, self._questions)

    def restart_link(self) -> None:
        """Kill the link; what its paho held is gone with it."""
        self.link._delivery.close()
        self.broker.disconnect(forgets_what_is_up=True)
        self.broker.up.clear()
        self.link = self._start_link()

    def crash_on_receipt(self, is_committed: bool) -> None:
        """Let the link take what came, and die with the first receipt in its hands."""
        with self.patch.context() as patch:
            if is_committed:
                patch.setattr(self.link._window, "received", _crash)
            else:
                patch.setattr(self.link._delivery, "_keep_proof", _crash)
            with suppress(Crash):
                self.link.turn()
        self.restart_link()

    # The agency.

    def ingest(self, crash: Callable[[pytest.MonkeyPatch], None] = lambda patch: None) -> None:
        """A new worker takes all that waits, answers, and ends; ``crash`` says where it dies before that."""
        office = office_of(self.home, AGENCY)
        client: Any = Counter(self.broker)
        stop: Any = OneTurn()
        with self.patch.context() as patch:
            crash(patch)
            with suppress(Crash):
                Worker(self.database, client, office, Witness(self.home.witness)).run(stop)
        self.is_put_back = False

    def copy(self) -> Copy:
        file = self.folder / "copy"
        file.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.home.database)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
        witness = self.home.witness
        return Copy(file.read_bytes(), witness.read_bytes() if witness.exists() else None)

    def put_back(self, copy: Copy, is_whole_machine: bool) -> None:
        """Put an older copy in the place of the database; of a whole machine nobody knows better but its operator."""
        self.database.close()
        for end in ("-wal", "-shm"):
            Path(f"{self.home.database}{end}").unlink(missing_ok=True)
        self.home.database.write_bytes(copy.database)
        self.database = Database.open(self.home.database)
        self.is_put_back = self.was_put_back = True
        if not is_whole_machine:
            return
        self.broker.lose_everything()
        self.home.witness.unlink(missing_ok=True)
        if copy.witness is not None:
            self.home.witness.write_bytes(copy.witness)
        with self.database.write() as connection:
            raised = raise_epoch(connection)
        Witness(self.home.witness).write(raised)  # as 'card-agency epoch raise' does

    def revoke(self) -> None:
        with self.database.write() as connection:
            revoke_station(connection, STATION, datetime.now(UTC).isoformat())

    def is_revoked(self) -> bool:
        with self.database.read() as connection:
            return event_keys(connection, STATION)[0].revoked_at is not None

    def held(self) -> list[chains.Event | chains.Quarantined]:
        """Return what the agency holds of the chain, in order."""
        with self.database.read() as connection:
            return list(chains.chain_rows(connection, self.chain))

    def mark(self) -> int:
        with self.database.read() as connection:
            chain = chains.find_chain(connection, self.chain)
        return chain.high_water if chain else 0

    def epoch(self) -> int:
        with self.database.read() as connection:
            return reach(connection).epoch

    def forks(self) -> list[chains.Fork]:
        with self.database.read() as connection:
            return chains.list_forks(connection)

    def audit(self) -> Audit:
        with self.database.read() as connection:
            return audited(connection, self.home)

    # All together.

    def problems(self) -> list[str]:
        """Return what ``card-station outbox verify`` would say."""
        return verify(self.outbox.rows(), KeySet([self.signer.public("event")]), self.signer.kid)

    def delivery(self) -> Delivery:
        return self.link._delivery

    def settle(self, turns: int = 60) -> None:
        """Let everything work without a fault until all is covered, or nothing more can be."""
        for _ in range(turns):
            self.broker.connect()
            self.link.turn()
            while self.broker.up:
                self.broker.take()
            self.ingest()
            for message in self.broker.down:
                self.broker.hand_down(message)
            self.broker.down.clear()
            self.link.turn()
            self.clock.now_s += 5.0
            if self.delivery().backlog()[0] == 0 and not self.broker.up and self._is_told():
                return

    def _is_told(self) -> bool:
        return self.delivery().standing().epoch == self.epoch() or not self.rows()


def crash_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Let the worker die when all is written and nothing is committed."""
    patch.setattr(batch, "count_commit", _crash)


def crash_after_commit(patch: pytest.MonkeyPatch) -> None:
    """Let the worker die when the batch is committed and no receipt is asked for."""
    patch.setattr("agency.ingest.receipts.Pacer.ask", _crash)


def crash_before_receipts(patch: pytest.MonkeyPatch) -> None:
    """Let the worker die when its receipts are about to leave."""
    patch.setattr(Counter, "publish_retained", _crash)


def _crash(*args: Any, **options: Any) -> None:
    raise Crash
