"""The command line of ``card-agency``: every command with its options (contract 2). Parses, and does nothing else."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from agency.broker.configuration import MAX_WORKERS
from agency.commands import (
    accesses,
    auditing,
    denylist,
    epoch,
    keys,
    linkage,
    receipts,
    reports,
    rosters,
    serve,
    services,
    setup,
    stations,
)
from agency.home import DEFAULT_HOME, Home
from agency.values import MAX_PORT, MAX_SEQUENCE, broker_address, part_of, whole
from appliance import __version__
from appliance.errors import WrongUse
from appliance.events.agency_keys import PURPOSES

_SIMULATOR_PORT = 8099

Commands: TypeAlias = "argparse._SubParsersAction[Any]"
Command = Callable[[Home, argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """Complains in one line, and takes no abbreviated options: they change their meaning as options are added."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise WrongUse(f"{' '.join(message.split())}; see '{self.prog} --help'")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = _common_options(argparse.SUPPRESS)
    whole_line = _Parser(
        prog="card-agency",
        description="The agency's side of Card Station: takes signed events, answers with receipts, reports.",
        parents=[_common_options(None)],
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong use, 7 a service of the machine is missing, 78 bad "
        "configuration, 130 interrupted.",
    )
    whole_line.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = whole_line.add_subparsers(metavar="COMMAND", required=True)
    _add_setup(commands, common)
    _add_stations(commands, common)
    _add_rosters(commands, common)
    _add_denylist(commands, common)
    _add_profiles(commands, common)
    _add_services(commands, common)
    _add_linkage(commands, common)
    _add_receipts(commands, common)
    _add_keys(commands, common)
    _add_epoch(commands, common)
    _add_reports(commands, common)
    return whole_line


def _common_options(default: str | None) -> argparse.ArgumentParser:
    """Return the options that every command has; none given at a later place must not undo one before."""
    common = argparse.ArgumentParser(add_help=False)
    home_help = f"the agency's directory; else $CARD_AGENCY_HOME, else {DEFAULT_HOME}"
    common.add_argument("--home", metavar="DIR", default=default, help=home_help)
    for name, words in (("--json", "print data as JSON"), ("--verbose", "say more; show tracebacks")):
        common.add_argument(name, action="store_true", default=default or False, help=words)
    return common


def _add(commands: Commands, common: argparse.ArgumentParser, name: str, command: Command) -> argparse.ArgumentParser:
    words = (command.__doc__ or "").strip()
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=[common], help=words.splitlines()[0], description=words
    )
    parser.set_defaults(command=command)
    return parser


def _group(commands: Commands, common: argparse.ArgumentParser, name: str, words: str) -> Commands:
    parser: argparse.ArgumentParser = commands.add_parser(name, parents=[common], help=words, description=words)
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _add_setup(commands: Commands, common: argparse.ArgumentParser) -> None:
    init = _add(commands, common, "init", setup.init)
    init.add_argument("--agency", metavar="ID", required=True, help="the agency's id, such as obec")
    host_help = "a name or address under which stations reach the broker; the first goes into grants"
    init.add_argument("--host", metavar="NAME", action="append", default=[], help=host_help)
    init.add_argument("--port", metavar="N", type=whole(1, MAX_PORT), default=8883, help="of the broker (8883)")


def _add_stations(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "station", "The fleet, and enrolment by file.")
    approve = _add(group, common, "approve", stations.approve)
    approve.add_argument("request", metavar="REQUEST.json", type=Path, help="from the station")
    approve.add_argument("--grant", metavar="FILE", type=Path, help="where the grant goes; else standard output")
    approve.add_argument("--fingerprint", metavar="TEXT", help="only if it is this: --fingerprint=TEXT")
    _add(group, common, "list", stations.list_)
    _add(group, common, "show", stations.show).add_argument("station", metavar="ID", help="of the station")
    for decide in (_add(group, common, "excuse", stations.excuse), _add(group, common, "clear", stations.clear)):
        decide.add_argument("station", metavar="ID", help="of the station")
        decide.add_argument("--purpose", metavar="TEXT", default="", help="why; it stands in 'card-agency access'")
    revoke = _add(group, common, "revoke", stations.revoke)
    revoke.add_argument("station", metavar="ID", help="of the station")
    revoke.description = (
        "Revoke a station's keys: what it sends from now on is quarantined with the code 'revoked'. The broker still "
        "lets its certificate connect until that expires; certificate revocation lists come with a later version."
    )


def _add_rosters(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "roster", "Who belongs: import a school's list, push it to stations.")
    import_ = _add(group, common, "import", rosters.import_)
    import_.add_argument("file", metavar="FILE.csv", type=Path, help="columns citizen_id,member,name[,role]")
    import_.add_argument("--set", metavar="NAME", required=True, help="id of the set, such as school-1")
    import_.add_argument("--as-of", metavar="DATE", help="date of the data, YYYY-MM-DD (today)")
    push = _add(group, common, "push", rosters.push)
    push.add_argument("--set", metavar="NAME", help="which set; may be left out where there is only one")
    _add_push_options(push)


def _add_denylist(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "denylist", "People whom the agency stopped: import a list, push it again.")
    import_ = _add(group, common, "import", denylist.import_)
    import_.add_argument("file", metavar="FILE.csv", type=Path, help="columns citizen_id,member,name")
    import_.add_argument("--set", metavar="NAME", required=True, help="id of the list, such as stopped")
    import_.add_argument("--as-of", metavar="DATE", help="date of the data, YYYY-MM-DD (today)")
    _add_push_options(import_)
    _add_broker_option(_add(group, common, "push", denylist.push))


def _add_profiles(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "service", "What stations may read, check and keep: list it, push new versions.")
    _add(group, common, "list", services.list_)
    push = _add(group, common, "push", services.push)
    push.add_argument("file", metavar="FILE.toml", type=Path, nargs="+", help="a service profile")
    _add_push_options(push)


def _add_push_options(push: argparse.ArgumentParser) -> None:
    push.add_argument("--station", metavar="ID", action="append", default=[], help="only to this one (all)")
    push.add_argument("--days", metavar="N", type=whole(1, 3650), default=30, help="how long it is good (30)")
    _add_broker_option(push)


def _add_services(commands: Commands, common: argparse.ArgumentParser) -> None:
    ingest = _add(commands, common, "ingest", serve.ingest)
    ingest.add_argument("--part", type=part_of, help=argparse.SUPPRESS)
    _add_broker_option(ingest)
    run = _add(commands, common, "run", serve.run)
    run.add_argument("--no-broker", action="store_true", help="the broker runs elsewhere")
    _add_broker_option(run)
    for parser in (ingest, run):
        words = f"processes that share the stations, up to {MAX_WORKERS} (1)"
        parser.add_argument("--workers", metavar="N", type=whole(1, MAX_WORKERS), default=1, help=words)


def _add_linkage(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "linkage", "The online question: asks whoever knows, and signs the answer.")
    _add_broker_option(_add(group, common, "run", linkage.run))
    _add(group, common, "check", linkage.check)
    simulate = _add(group, common, "simulate", linkage.simulate)
    port_help = f"on this machine ({_SIMULATOR_PORT})"
    simulate.add_argument("--port", metavar="N", type=whole(1, MAX_PORT), default=_SIMULATOR_PORT, help=port_help)
    simulate.add_argument("--fault", metavar="NAME", default="none", help="what is wrong with it (none); '?' lists all")
    for option in ("--normal", "--not-normal"):
        words = "a citizen number that is so, given as often as needed; an unknown one is not normal"
        simulate.add_argument(option, metavar="NUMBER", action="append", default=[], help=words)
    visits = _add(commands, common, "visits", linkage.visits)
    visits.add_argument("--state", choices=("opening", "open", "closed", "disputed"), help="only these")
    visits.add_argument("--station", metavar="ID", help="only of this station")


def _add_receipts(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "receipt", "Is a visit recorded? By what the panel showed, for whoever was there.")
    check = _add(group, common, "check", receipts.check)
    check.add_argument("station", metavar="STATION", help="its id")
    check.add_argument("number", metavar="NUMBER", help="on the screen, such as 1042")
    check.add_argument("--date", metavar="D", required=True, help="Thai calendar day, YYYY-MM-DD")
    check.add_argument("--time", metavar="HH:MM", required=True, help="on the screen")
    serving = _add(group, common, "serve", receipts.serve)
    serving.add_argument("--port", metavar="N", type=whole(1, MAX_PORT), required=True, help="on this machine")
    proxy_help = "believe the last address in X-Forwarded-For"
    serving.add_argument("--behind-proxy", action="store_true", help=proxy_help)


def _add_keys(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "keys", "The agency's own keys: receipt, document, duty, escrow.")
    _add(group, common, "list", keys.list_)
    rotate, retire = _add(group, common, "rotate", keys.rotate), _add(group, common, "retire", keys.retire)
    for parser in (rotate, retire):
        parser.add_argument("purpose", metavar="PURPOSE", choices=tuple(PURPOSES), help=", ".join(PURPOSES))
    for parser in (rotate, retire, _add(group, common, "push", keys.push)):
        _add_broker_option(parser)


def _add_epoch(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _group(commands, common, "epoch", "After the database was put back from an older copy.")
    _add(group, common, "show", epoch.show)
    _add(group, common, "raise", epoch.raise_)


def _add_broker_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broker", metavar="HOST[:PORT]", type=broker_address, help="where the broker is (this machine)"
    )


def _add_reports(commands: Commands, common: argparse.ArgumentParser) -> None:
    attendance = _add(commands, common, "attendance", reports.attendance)
    attendance.add_argument("--date", metavar="D", required=True, help="Thai calendar day, YYYY-MM-DD")
    attendance.add_argument("--set", metavar="NAME", help="this set only")
    attendance.add_argument("--format", choices=("csv", "json"), default="csv", help="of the lines (csv)")
    anomalies = _add(commands, common, "anomalies", reports.anomalies)
    anomalies.add_argument("--date", metavar="D", required=True, help="Thai calendar day, YYYY-MM-DD")
    back_help = "compare with so many days before (7)"
    anomalies.add_argument("--back", metavar="N", type=whole(0, 60), default=7, help=back_help)
    officers = _add(commands, common, "officers", reports.officers)
    officers.add_argument("--date", metavar="D", required=True, help="Thai calendar day, YYYY-MM-DD")
    verify = _add(commands, common, "verify", reports.verify)
    verify.add_argument("file", metavar="FILE", help="an export; - for standard input")
    keys_help = "directory of agency.jwks and stations.jwks (public/ of the home)"
    verify.add_argument("--keys", metavar="DIR", type=Path, help=keys_help)
    for opens_seals in (attendance, anomalies, officers):
        words = "what for; it stands in 'card-agency access'"
        opens_seals.add_argument("--purpose", metavar="TEXT", default="", help=words)
    access = _add(commands, common, "access", accesses.list_)
    access.add_argument("--limit", metavar="N", type=whole(1, MAX_SEQUENCE), default=50, help="the newest so many (50)")
    audit = _add(commands, common, "audit", auditing.audit)
    every_help = "stay, audit every so many minutes, and log what is new"
    audit.add_argument("--every", metavar="N", type=whole(1, 10_080), help=every_help)
    against_help = "a copy of an earlier agency.heads: what was held then must be held now"
    audit.add_argument("--against", metavar="FILE", type=Path, help=against_help)
    group = _group(commands, common, "events", "The events that are held.")
    list_ = _add(group, common, "list", reports.list_events)
    list_.add_argument("--station", metavar="ID", help="only of this station")
    list_.add_argument("--date", metavar="D", help="Thai calendar day, YYYY-MM-DD")
    list_.add_argument("--limit", metavar="N", type=whole(1, MAX_SEQUENCE), default=50, help="the newest so many (50)")
    show = _add(group, common, "show", reports.show_event)
    show.add_argument("chain", metavar="CHAIN", help="its ULID")
    show.add_argument("sequence", metavar="SEQ", type=whole(1, MAX_SEQUENCE), help="number of the event in it")
    export = _add(group, common, "export", reports.export)
    export.add_argument("--station", metavar="ID", help="only of this station")
