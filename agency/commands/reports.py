"""``card-agency attendance``, ``events``, ``verify`` and ``audit``."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from agency.commands import accesses
from agency.commands.output import progress, say, show_json, show_table
from agency.home import Home, read_jwks
from agency.streams import as_far_as_read
from agency.values import parse_day
from appliance.errors import WrongUse

if TYPE_CHECKING:
    from agency.reports.export import Verification
    from agency.store.database import Connection

_MAX_LINE = 65_536  # characters; an event is at most half of that
_EVENT_COLUMNS = ["chain", "sequence", "station", "type", "time", "level", "verdict", "received_at"]


def attendance(home: Home, arguments: argparse.Namespace) -> int:
    """Print who was there on a day."""
    from agency.ingest.bundle import KeyRing
    from agency.reports.attendance import Question, as_csv, as_json
    from agency.reports.attendance import attendance as report_of
    from agency.store.database import Database
    from agency.store.stations import event_keys

    question = Question(parse_day(arguments.date, "--date"), arguments.set, progress("opened"))
    with Database.open(home.database) as database:
        with database.read() as connection:
            _require_set(connection, arguments.set)
            report = report_of(connection, question, home.opening_keys(), KeyRing(event_keys(connection)))
        accesses.note(database, arguments, "attendance", f"{question.date} {arguments.set or 'every set'}")
    wants_json = arguments.json or arguments.format == "json"
    sys.stdout.write(as_json(report.lines) if wants_json else as_csv(report.lines))
    return _left_out(report.unreadable)


def anomalies(home: Home, arguments: argparse.Namespace) -> int:
    """Print what an honest day does not hold, such as one person at two stations at once. A sign is no proof."""
    from datetime import date, timedelta

    from agency import citizen_number
    from agency.ingest.bundle import KeyRing
    from agency.reports.anomalies import find
    from agency.reports.visits import open_visits
    from agency.store.database import Database
    from agency.store.events import accepted_visits
    from agency.store.stations import event_keys

    day = date.fromisoformat(parse_day(arguments.date, "--date"))
    reach = min(arguments.back, day.toordinal() - 1)  # there is no day before the first
    days = [(day - timedelta(days=back)).isoformat() for back in range(reach + 1)]
    with Database.open(home.database) as database:
        with database.read() as connection:
            ring, keys = KeyRing(event_keys(connection)), home.opening_keys()
            opened = [open_visits(accepted_visits(connection, one, ""), keys, ring, progress("opened")) for one in days]
        accesses.note(database, arguments, "anomalies", f"{days[-1]} to {days[0]}")
    found = find(opened[0].visits, [visit for earlier in opened[1:] for visit in earlier.visits])
    lines = [
        {
            "sign": anomaly.sign,
            "from": f"{anomaly.visits[0].at:%H:%M:%S}",
            "to": f"{anomaly.visits[-1].at:%H:%M:%S}",
            "stations": " ".join(sorted({visit.station for visit in anomaly.visits})),
            "people": len({visit.citizen_id for visit in anomaly.visits}),
            "first": citizen_number.mask(anomaly.visits[0].citizen_id),
            "events": " ".join(f"{visit.chain}/{visit.sequence}" for visit in anomaly.visits),
        }
        for anomaly in found
    ]
    if arguments.json:
        show_json(lines)
    else:
        show_table(["sign", "from", "to", "stations", "people", "first", "events"], lines)
    return _left_out(sum(one.unreadable for one in opened))


def officers(home: Home, arguments: argparse.Namespace) -> int:
    """Print what each officer did on a day: when at work, visits, vouches."""
    from dataclasses import fields

    from agency.ingest.bundle import KeyRing
    from agency.reports.officers import Work
    from agency.reports.officers import officers as work_of
    from agency.store.database import Database
    from agency.store.events import events_of_day
    from agency.store.stations import event_keys

    day = parse_day(arguments.date, "--date")
    with Database.open(home.database) as database:
        with database.read() as connection:
            ring, keys = KeyRing(event_keys(connection)), home.opening_keys()
            report = work_of(connection, events_of_day(connection, day), keys, ring)
        accesses.note(database, arguments, "officers", day)
    lines = [asdict(work) for work in report.work]
    if arguments.json:
        show_json(lines)
    else:
        show_table([column.name for column in fields(Work)], lines)
    return _left_out(report.unreadable)


def _left_out(unreadable: int) -> int:
    """Say how many events a report lacks; return the exit code."""
    if unreadable:
        say(f"{unreadable} events are left out: they are not what was signed; see 'card-agency audit'")
    return 1 if unreadable else 0


def _require_set(connection: "Connection", set_id: str | None) -> None:
    from agency.store.rosters import newest_rosters

    sets = [roster.set for roster in newest_rosters(connection)]
    if set_id is not None and set_id not in sets:
        raise WrongUse(f"no roster set {set_id}; there are: {', '.join(sets) or 'none'}")


def list_events(home: Home, arguments: argparse.Namespace) -> int:
    """List events, the newest last."""
    from agency.store.database import Database
    from agency.store.events import Selection, select_events

    day = parse_day(arguments.date, "--date") if arguments.date else None
    with Database.open(home.database) as database, database.read() as connection:
        events = select_events(connection, Selection(arguments.station, day, arguments.limit))
    rows = [{name: getattr(event, name) for name in _EVENT_COLUMNS} for event in events]
    if arguments.json:
        show_json(rows)
    else:
        show_table(_EVENT_COLUMNS, rows)
    return 0


def show_event(home: Home, arguments: argparse.Namespace) -> int:
    """Show one event, its signature checked; what is sealed stays sealed."""
    from agency.ingest.bundle import KeyRing
    from agency.store.database import Database
    from agency.store.events import find_events
    from agency.store.stations import event_keys

    with Database.open(home.database) as database, database.read() as connection:
        events = find_events(connection, arguments.chain, arguments.sequence)
        if not events:
            raise WrongUse("no such event; 'card-agency events list' shows chains and sequence numbers")
        ring = KeyRing(event_keys(connection))
    for event in events:  # more than one only where the audit tells of a clash
        key, payload = ring.open(event.jws)
        show_json({"event": payload, "hash": event.hash, "received_at": event.received_at, "signed_by": key.kid})
    return 0


def export(home: Home, arguments: argparse.Namespace) -> int:
    """Print every event as signed, one a line, chain by chain; quarantined ones too, so that chains stay whole."""
    from agency.store.chains import chain_rows, list_chains
    from agency.store.database import Database
    from agency.store.stations import find_station

    with Database.open(home.database) as database, database.read() as connection:
        if arguments.station is not None and find_station(connection, arguments.station) is None:
            raise WrongUse(f"no station {arguments.station}; 'card-agency station list' shows all")
        for chain in list_chains(connection, arguments.station):
            for row in chain_rows(connection, chain.key):
                print(row.jws)
    return 0


def verify(home: Home, arguments: argparse.Namespace) -> int:
    """Verify an export offline."""
    directory = arguments.keys or home.public
    with _opened(arguments.file) as lines:
        result = _verify(_short(lines), directory)
    with as_far_as_read():
        if arguments.json:
            show_json(asdict(result))
        else:
            for problem in result.problems:
                print(f"line {problem.line}: {problem.code}: {problem.text}")
    if result.unlisted:
        say(f"the first {len(result.problems)} problems are listed; there are {result.unlisted} more")
    if not result.events:
        say("no events in the file")
        return 1
    for station, when in sorted(result.revoked.items()):
        say(f"{station} was revoked at {when}; its signatures hold, whether to believe them is yours to say")
    say(f"{result.events} events in {result.chains} chains, {len(result.problems) + result.unlisted} problems")
    return 1 if result.problems else 0


def _verify(lines: Iterable[str], directory: Path) -> "Verification":
    from agency.ingest.bundle import KeyRing
    from agency.ingest.verification import Rules
    from agency.reports.export import keys_from_jwks, verify_export

    rules = Rules.of(None, read_jwks(directory / "agency.jwks"))
    stations = keys_from_jwks(read_jwks(directory / "stations.jwks"))
    return verify_export(lines, KeyRing(stations), rules, progress("verified"))


def _short(lines: TextIO) -> Iterator[str]:
    """Yield each line, and of one that is longer than any event only its beginning: it may be as large as the file."""
    while text := lines.readline(_MAX_LINE):
        yield text
        while len(text) == _MAX_LINE and not text.endswith("\n"):
            text = lines.readline(_MAX_LINE)


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """Open a file, or standard input for ``-``, without a byte order mark. Bytes that are no text spoil a line only."""
    try:
        if name == "-":
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")  # type: ignore[union-attr]
            yield sys.stdin
        else:
            with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
                yield file
    except OSError as error:
        raise WrongUse(f"cannot read {name}: {error.strerror}") from None
