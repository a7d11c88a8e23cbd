"""``card-agency audit``: recomputes everything in the store, once or every so often."""

import argparse
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from agency.commands.output import progress, say, show_json
from agency.commands.serve import start_log, stop_on_signal
from agency.home import Home, read_jwks, write_public
from agency.lock import held
from agency.streams import as_far_as_read
from appliance.errors import ConfigError, VerificationError, WrongUse

if TYPE_CHECKING:
    from agency.reports.audit import Audit
    from agency.reports.contents import Contents
    from agency.reports.heads import Heads
    from agency.reports.problems import Problem
    from agency.store.database import Connection, Database

_NICE = 10  # events come first
_ALTERED = ("edited", "signature", "broken", "high_water", "restored", "gone")  # not to be taken for what is held

_log = logging.getLogger(__name__)


def audit(home: Home, arguments: argparse.Namespace) -> int:
    """Recompute everything in the store."""
    if arguments.every is not None:
        return _watch(home, arguments)
    result = _audited(home, arguments.against, is_told=True)
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
    found = set(_audited(home, None, is_told=False).problems)
    for problem in sorted(found - told, key=_words):
        _log.error("audit: %s", _words(problem))
    _log.info("audit: %s", f"not clean: {len(found)} findings" if found else "clean")
    return found


def _wait(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)


def _words(problem: "Problem") -> str:
    """Return a finding as one line; what somebody wrote into the database does nothing to a terminal."""
    words = f"{problem.code}: {problem.station or '-'} {problem.place}: {problem.text}"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)


def _audited(home: Home, against: Path | None, *, is_told: bool) -> "Audit":
    """Audit; where the rows are what was held, leave the heads behind for the next one."""
    from agency.ingest.restored import Witness
    from agency.reports.audit import Witnesses
    from agency.reports.audit import audit as audit_of
    from agency.reports.problems import Problem
    from agency.store.database import Database

    heads, faults = [], []
    for path in filter(None, (home.heads if home.heads.exists() else None, against)):
        try:
            heads.append(_read_heads(home, path))
        except (VerificationError, OSError, ValueError) as error:
            if path == against:
                raise WrongUse(f"{path} holds no heads of this agency: {_why(error)}") from None
            faults.append(Problem("gone", "", path.name, f"tells nothing: {_why(error)}; look, then move it away"))
    with Database.open(home.database) as database:
        agency = database.meta()["agency"]
        seen, published = Witness(home.witness).read(), read_jwks(home.public / "stations.jwks")  # before the snapshot
        with database.read() as connection:
            contents = _contents(home, connection, agency)
            witnesses = Witnesses(seen, published, heads, home.ca())
            say_so = progress("audited") if is_told else lambda done: None
            result = audit_of(connection, home.public_keys(), contents, say_so, witnesses)
            result.problems.extend(faults)
            _look_again_at_keys(home, database, result)
            altered = sorted({problem.code for problem in result.problems} & set(_ALTERED))
            if not altered:
                _leave_heads(home, connection)
            elif is_told:
                why = " or ".join(altered)
                say(f"{home.heads} stays as it was until nothing is {why}; after a restore see docs/operations.md")
    return result


def _look_again_at_keys(home: Home, database: "Database", result: "Audit") -> None:
    """Drop what differed for a moment only: a station was approved between the looks at the file and at the rows."""
    from agency.reports.problems import guarded
    from agency.reports.registers import PUBLISHED, audit_keys

    if any(one.place == PUBLISHED for one in result.problems):
        with database.read() as connection:
            still = set(guarded(audit_keys(connection, read_jwks(home.public / "stations.jwks")), "", "keys"))
        result.problems[:] = [one for one in result.problems if one.place != PUBLISHED or one in still]


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _read_heads(home: Home, path: Path) -> "Heads":
    from agency.reports.heads import read
    from appliance.events.sign import KeySet

    return read(path.read_text("utf-8"), KeySet(home.public_keys()))


def _leave_heads(home: Home, connection: "Connection") -> None:
    from agency.reports.heads import compose
    from appliance.events.sign import Signer

    try:
        write_public(home.heads, compose(connection, Signer(home.key("document"))))
    except (ConfigError, OSError) as error:
        say(f"{home.heads} stays as it was, for later audits to look at: {_why(error)}")


def _contents(home: Home, connection: "Connection", agency: str) -> "Contents":
    from agency.desk.documents import every_service
    from agency.ingest.verification import Rules
    from agency.reports.contents import Contents
    from appliance.events.sign import KeySet

    public = home.public_keys()
    keys = {**home.private_keys("duty"), **home.private_keys("escrow")}  # where there are any
    return Contents(Rules.of(agency, public, every_service(connection, KeySet(public))), keys)
