"""``card-agency ingest`` and ``card-agency run``: the programs that stay."""

import argparse
import gc
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING

from agency.home import Home
from agency.lock import held
from agency.supervisor import Program, supervise
from agency.values import BrokerAddress
from appliance.errors import DeliveryError

if TYPE_CHECKING:
    from agency.broker.client import Login

_LAST_RECEIPTS_S = 5.0
_INGEST_LOCK, _RUN_LOCK = "ingest.lock", "run.lock"
_AUDIT_EVERY_MIN = "60"
_log = logging.getLogger(__name__)


def start_log(is_verbose: bool) -> None:
    """Send the log to standard error."""
    level = logging.DEBUG if is_verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)


def stop_on_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def asked(number: int, _: FrameType | None) -> None:
        _log.info("stopping on %s", signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    return stop


def login(home: Home, meta: Mapping[str, str], user: str, broker: BrokerAddress | None) -> "Login":
    """Return how one of the agency's own users reaches the broker: this machine's, unless another is given."""
    from agency.broker.client import Login

    where = broker or BrokerAddress("127.0.0.1", None)
    return Login(
        user=user,
        host=where.host,
        port=where.port or int(meta["port"]),
        ca=home.public / "ca.pem",
        certificate=home.tls / f"{user}.pem",
        key=home.tls / f"{user}.key",
    )


def ingest(home: Home, arguments: argparse.Namespace) -> int:
    """Take events, verify, commit, and answer with receipts, until SIGTERM."""
    start_log(arguments.verbose)
    stop = stop_on_signal()
    if arguments.part is not None:
        return _work(home, arguments, stop)
    with held(home.path / _INGEST_LOCK):
        if arguments.workers == 1:
            arguments.part = (1, 1)
            return _work(home, arguments, stop)
        parts = [f"{number}/{arguments.workers}" for number in range(1, arguments.workers + 1)]
        supervise([_program(home, arguments, f"ingest {part}", "ingest", "--part", part) for part in parts], stop)
    return 0


def _program(home: Home, arguments: argparse.Namespace, name: str, *command: str, has_broker: bool = True) -> Program:
    """Return another command of ours as a program, with the options that we were given."""
    ours = ["--home", str(home.path), *(["--verbose"] if arguments.verbose else [])]
    ours += ["--broker", str(arguments.broker)] if arguments.broker and has_broker else []
    return Program(name, (sys.executable, "-m", "agency", *command, *ours))


def _work(home: Home, arguments: argparse.Namespace, stop: threading.Event) -> int:
    from agency.broker.client import BrokerClient
    from agency.broker.configuration import ingest_user
    from agency.ingest.office import office_of
    from agency.ingest.restored import Witness
    from agency.ingest.worker import LARGEST_MESSAGE, Share, Worker, event_topics, receipt_topics
    from agency.store.database import Database

    part = Share(*arguments.part)
    with Database.open(home.database) as database:
        meta = database.meta()
        agency = meta["agency"]
        where = login(home, meta, ingest_user(part.number), arguments.broker)
        topics, kept = event_topics(agency), receipt_topics(agency)
        client = BrokerClient(where, topics, kept=kept, largest=LARGEST_MESSAGE)
        worker = Worker(database, client, office_of(home, agency), Witness(home.witness), part)
        gc.freeze()  # the libraries stay: the collector need not walk through them at every few bundles
        client.start()
        try:
            worker.run(stop)
        finally:
            client.stop(_LAST_RECEIPTS_S)
    return 0


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Run the broker, ingest, linkage and an hourly audit until SIGTERM; start again what dies."""
    start_log(arguments.verbose)
    stop = stop_on_signal()
    programs = [_program(home, arguments, "ingest", "ingest", "--workers", str(arguments.workers))]
    programs.append(_program(home, arguments, "audit", "audit", "--every", _AUDIT_EVERY_MIN, has_broker=False))
    if (home.keys / "query.jwk").exists():
        programs.append(_program(home, arguments, "linkage", "linkage", "run"))
    if not arguments.no_broker:
        programs.insert(0, Program("mosquitto", (_mosquitto(), "-c", str(home.broker / "mosquitto.conf"))))
    with held(home.path / _RUN_LOCK):
        with held(home.path / _INGEST_LOCK):
            pass  # where it is taken, ours would end as often as it is started
        supervise(programs, stop)
    return 0


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise DeliveryError("mosquitto is not installed: 'apt install mosquitto', or use --no-broker")
    return found
