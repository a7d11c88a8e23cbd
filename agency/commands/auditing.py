"""``card-agency audit``: recomputes everything in the store, once or every so often."""

import argparse
import logging
import os
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from agency.commands.output import progress, say, show_json
from agency.commands.serve import start_log, stop_on_signal
from agency.home import Home, read_jwks
from agency.lock import held
from agency.streams import as_far_as_read

if TYPE_CHECKING:
    from agency.reports.audit import Audit
    from agency.reports.contents import Contents
    from agency.reports.problems import Problem
    from agency.store.database import Connection

_NICE = 10  # events come first

_log = logging.getLogger(__name__)


def audit(home: Home, arguments: argparse.Namespace) -> int:
    """Recompute everything in the store."""
    if arguments.every is not None:
        return _watch(home, arguments)
    result = _audited(home, is_told=True)
    clean = not result.problems
    if unopened := result.counts["seals_not_opened"]:
        say(f"{unopened} seals were not opened: none of their keys is in {home.keys}")
    with as_far_as_read():
        if arguments.json:
            show_json({"clean": clean, "counts": result.counts, "problems": [asdict(p) for p in result.problems]})
        else:
            for problem in result.problems:
                print(_words(problem))
            print(", ".join(f"{count} {name}" for name, count in sorted(result.counts.items())))
            print("clean" if clean else f"not clean: {len(result.problems)} findings")
    return 0 if clean else 1


def _watch(home: Home, arguments: argparse.Namespace) -> int:
    """Audit every so many minutes until SIGTERM, and log each finding once."""
    start_log(arguments.verbose)
    stop = stop_on_signal()
    os.nice(_NICE)
    with held(home.path / "audit.lock"):
        told: set[Problem] = set()
        while not stop.is_set():
            told = _look(home, told)
            _wait(stop, arguments.every * 60)
    return 0


def _look(home: Home, told: "set[Problem]") -> "set[Problem]":
    """Audit once and log what is new; return what is found now."""
    found = set(_audited(home, is_told=False).problems)
    for problem in sorted(found - told, key=_words):
        _log.error("audit: %s", _words(problem))
    _log.info("audit: %s", f"not clean: {len(found)} findings" if found else "clean")
    return found


def _wait(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)


def _words(problem: "Problem") -> str:
    return f"{problem.code}: {problem.station or '-'} {problem.place}: {problem.text}"


def _audited(home: Home, *, is_told: bool) -> "Audit":
    from agency.ingest.restored import Witness
    from agency.reports.audit import Witnesses
    from agency.reports.audit import audit as audit_of
    from agency.store.database import Database

    with Database.open(home.database) as database:
        agency = database.meta()["agency"]
        with database.read() as connection:
            contents = _contents(home, connection, agency)
            witnesses = Witnesses(Witness(home.witness).read(), read_jwks(home.public / "stations.jwks"))
            say_so = progress("audited") if is_told else lambda done: None
            return audit_of(connection, home.public_keys(), contents, say_so, witnesses)


def _contents(home: Home, connection: "Connection", agency: str) -> "Contents":
    from agency.desk.documents import every_service
    from agency.ingest.verification import Rules
    from agency.reports.contents import Contents
    from appliance.events.sign import KeySet

    public = home.public_keys()
    keys = {**home.private_keys("duty"), **home.private_keys("escrow")}  # where there are any
    return Contents(Rules.of(agency, public, every_service(connection, KeySet(public))), keys)
