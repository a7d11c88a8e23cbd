"""The command line of ``card-station``: which commands there are, and what each takes (contract 2)."""

import argparse
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from appliance import __version__, errors
from appliance.commands import card, doctor, outbox, services, settings, simulate, station
from appliance.commands.call import Call

MAX_SEQUENCE = (1 << 63) - 1
MAX_WAIT_S = 86_400

_Verbs: TypeAlias = "argparse._SubParsersAction[Any]"


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise errors.WrongUse(f"{message}; see '{self.prog} --help'")

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own is silent where that fails


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = _Parser(
        prog="card-station",
        description="A service point for the Thai national ID card.",
        parents=[_common()],
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 no reader, 4 no card, 5 not a Thai ID card, "
        "6 card not read whole, 7 a service of the machine is missing, 78 bad configuration, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(verbs, "station", station.station, "run the card process: reader, checks, panel, outbox; no network")
    _command(verbs, "link", station.link, "run the network process: MQTT; no card, no panel, no signing key")
    _command(verbs, "run", station.run, "run both under one supervisor, in the foreground")
    _add_read(verbs)
    _command(verbs, "status", station.status, "show reader, panel, clock, backlog, last receipt, versions")
    _command(verbs, "doctor", doctor.doctor, "look at every real part of this machine, and say how to mend each")
    _add_outbox(verbs)
    _add_config(verbs)
    _add_service(verbs)
    _add_enrol(verbs)
    _add_simulate(verbs)
    return top


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before and after every command."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--config", metavar="FILE", type=_named, help="settings file; else $CARD_STATION_CONFIG, else /etc"
    )
    common.add_argument("--json", action="store_true", help="print data as JSON")
    common.add_argument("--verbose", action="store_true", help="log, and show tracebacks")
    return common


def _named(text: str) -> str:
    """Read the name of a file."""
    if not text:
        raise argparse.ArgumentTypeError("name a file")
    return text


def _command(verbs: _Verbs, name: str, run: Callable[[Call], int], about: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about, parents=[_common()])
    verb.set_defaults(command=run, program=verb.prog)
    return verb


def _group(verbs: _Verbs, name: str, about: str) -> _Verbs:
    group: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about, parents=[_common()])
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _whole(high: int) -> Callable[[str], int]:
    """Return what reads a whole number from 1 to ``high``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and 1 <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {high}")
        return int(text)

    return read


def _add_read(verbs: _Verbs) -> None:
    verb = _command(verbs, "read", card.read, "read the card that is in and print its record")
    fields_help = "the number, all text, text and photo, or everything the card holds (default %(default)s)"
    verb.add_argument("--fields", choices=card.SETS, default="all", help=fields_help)
    reader_help = "beginning of the reader's name, in its own capitals; else [reader] of the settings"
    verb.add_argument("--reader", metavar="NAME", type=_reader, help=reader_help)
    wait_help = "how long to wait for a card (default %(default)s)"
    verb.add_argument("--wait", metavar="SECONDS", type=_seconds, default=1.0, help=wait_help)
    verb.add_argument("--photo", metavar="FILE", help="save the photo here as JPEG, for its owner only")


def _reader(text: str) -> str:
    """Read the beginning of a reader's name, as the settings do."""
    from appliance.config import READER_NAME

    try:
        return READER_NAME.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    """Read a time to wait, 0 to a day."""
    found = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else -1.0
    if not 0 <= found <= MAX_WAIT_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 to {MAX_WAIT_S}")
    return found


def _add_outbox(verbs: _Verbs) -> None:
    group = _group(verbs, "outbox", "the queue of events and its chain")
    _command(group, "list", outbox.list_events, "list the stored events")
    show = _command(group, "show", outbox.show, "show one event")
    show.add_argument("sequence", metavar="SEQ", type=_whole(MAX_SEQUENCE), help="its sequence number")
    chain_help = "of this chain: an earlier one, out of a damaged file (default: the present one)"
    show.add_argument("--chain", metavar="ULID", help=chain_help)
    _command(group, "export", outbox.export, "print every event as a compact JWS, one a line")
    _command(group, "verify", outbox.verify_chain, "recompute every hash and signature")


def _add_config(verbs: _Verbs) -> None:
    group = _group(verbs, "config", "the settings")
    _command(group, "check", settings.check, "check the settings file")
    show = _command(group, "show", settings.show, "show the effective settings and where each came from")
    show.add_argument("--defaults", action="store_true", help="print a commented file with every default instead")


def _add_service(verbs: _Verbs) -> None:
    group = _group(verbs, "service", "the service profiles")
    list_ = _command(group, "list", services.list_, "list them")
    show = _command(group, "show", services.show, "show one: which bytes of the card are read, what is kept, how long")
    show.add_argument("id", metavar="ID", help="such as school.attendance")
    for command, page in ((list_, "the table of docs/services.md"), (show, "a draft for the record of processing")):
        markdown_help = f"markdown: {page} (default: lines, or JSON with --json)"
        command.add_argument("--format", choices=("text", "markdown"), default="text", help=markdown_help)


def _add_enrol(verbs: _Verbs) -> None:
    verb = _command(verbs, "enrol", station.enrol, "make this station's keys, or take up the agency's grant")
    way = verb.add_mutually_exclusive_group(required=True)
    way.add_argument("--request", metavar="FILE", help="make the keys where there are none; write the request here")
    way.add_argument("--grant", metavar="FILE", help="take up the agency's answer")


def _add_simulate(verbs: _Verbs) -> None:
    group = _group(verbs, "simulate", "virtual hardware")
    card = _command(group, "card", simulate.card, "put a virtual card into the virtual reader")
    card.add_argument("name", metavar="NAME", nargs="?", help="which, such as person-1; --deck lists them")
    deck_help = "list the cards there are; with NAME the same as NAME alone"
    card.add_argument("--deck", metavar="NAME", nargs="?", const="", help=deck_help)
    port_help = "TCP port of the virtual reader (default %(default)s)"
    card.add_argument("--port", metavar="PORT", type=_whole(65535), default=35963, help=port_help)
    line_help = "answer as late as a real card with this F/D, such as 372/1 or 512/32 (default: at once)"
    card.add_argument("--line", metavar="F/D", help=line_help)
    clock_help = "the reader's clock for --line (default %(default)s)"
    card.add_argument("--clock-hz", metavar="HZ", type=_whole(20_000_000), default=4_000_000, help=clock_help)
    _command(group, "panel", simulate.panel, "show the virtual panel in this terminal; A, B, C press buttons")
