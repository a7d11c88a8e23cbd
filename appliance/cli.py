"""The command ``card-station``: what it offers, and how it ends (contract 2).

Data goes to standard output, words to standard error. Every failure is one line, ``card-station: CODE:
what; what to do``, and an exit code from one table; a traceback is shown only with ``--verbose``, because
an exception may hold bytes of a card. The commands themselves are in ``commands.py``, and whatever is heavy
they import when they run: a Raspberry Pi Zero needs seconds for what a command does not need.

Example::

    card-station --config station.toml outbox list --json
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from appliance import __version__, commands, errors

INTERRUPTED = 130

_Verbs: TypeAlias = "argparse._SubParsersAction[Any]"

#: For each error family: the exit code, and what the person can do. The nearest family of an error counts.
OUTCOMES: dict[type[Exception], tuple[int, str]] = {
    errors.CardStationError: (1, "see the operations guide under this code"),
    errors.VerificationError: (1, "use nothing of it and tell the agency"),
    errors.WrongUse: (2, "see 'card-station --help'"),
    errors.AlreadyRunning: (7, "see 'systemctl status card-station-station card-station-link'"),
    errors.ReaderUnavailable: (7, "check the reader's cable and pcscd"),
    errors.NoReader: (3, "plug in the reader, or correct [reader] in the settings"),
    errors.CardServiceDown: (7, "start pcscd: systemctl start pcscd.socket"),
    errors.CardError: (6, "put the card in again and leave it in"),
    errors.NotAThaiIdCard: (5, "use a Thai national ID card"),
    errors.StoreError: (7, "check the state directory, its owner and the free space"),
    errors.PanelError: (7, "check that the station runs, and [panel] in its settings"),
    errors.DeliveryError: (7, "check the network and the broker; events are kept"),
    errors.ConfigError: (78, "correct the file, then 'card-station config check'"),
    errors.NotEnrolled: (78, "then start the station"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise errors.WrongUse(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    verbose = "--verbose" in (sys.argv[1:] if argv is None else argv)
    try:
        options = parser().parse_args(argv)
        code: int = options.command(commands.Call(options, os.environ))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has seen enough; without this the interpreter complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost frame: nothing may end in a traceback
        if verbose:
            import traceback

            traceback.print_exc()
        return _say(error)


def exit_code(error: Exception) -> int:
    """Return the exit code for an error: that of its nearest family."""
    return _outcome(error)[0]


def _outcome(error: Exception) -> tuple[int, str]:
    for family in type(error).__mro__:
        if family in OUTCOMES:
            return OUTCOMES[family]
    return 1, "run it again with --verbose and report it"


def _say(error: Exception) -> int:
    """Print one line for each thing that is wrong; return the exit code."""
    code, advice = _outcome(error)
    if isinstance(error, errors.ConfigError):
        lines = error.problems
    elif isinstance(error, errors.CardStationError):
        lines = [str(error)]
    elif isinstance(error, OSError):
        lines = [f"{error.strerror or type(error).__name__}: {error.filename or 'this machine'}"]
        advice = "check that the path exists and that this user may use it"
    else:
        lines = [f"unexpected {type(error).__name__}"]
    stable = getattr(error, "code", "X00") if isinstance(error, errors.CardStationError) else "X00"
    for line in lines:
        sys.stderr.write(f"card-station: {stable}: {' '.join(line.split())}; {advice}\n")
    return code


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = _Parser(
        prog="card-station",
        description="A service point for the Thai national ID card.",
        parents=[_common()],
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 no reader, 4 no card, 5 not a Thai ID card, "
        "6 card not read whole, 7 a service of the machine is missing, 78 bad configuration.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(verbs, "station", commands.station, "run the card process: reader, checks, panel, outbox; no network")
    _command(verbs, "link", commands.link, "run the network process: MQTT; no card, no panel, no signing key")
    _command(verbs, "run", commands.run, "run both under one supervisor, in the foreground")
    _command(verbs, "status", commands.status, "show reader, panel, clock, backlog, last receipt, versions")
    _add_outbox(verbs)
    _add_config(verbs)
    _add_service(verbs)
    _add_enrol(verbs)
    _add_simulate(verbs)
    return top


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before and after every command."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", metavar="FILE", help="settings file; else $CARD_STATION_CONFIG, else /etc")
    common.add_argument("--json", action="store_true", help="print data as JSON")
    common.add_argument("--verbose", action="store_true", help="show tracebacks")
    return common


def _command(verbs: _Verbs, name: str, run: Callable[[commands.Call], int], about: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about, parents=[_common()])
    verb.set_defaults(command=run)
    return verb


def _group(verbs: _Verbs, name: str, about: str) -> _Verbs:
    group: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about, parents=[_common()])
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_outbox(verbs: _Verbs) -> None:
    group = _group(verbs, "outbox", "the queue of events and its chain")
    _command(group, "list", commands.outbox_list, "list the stored events")
    show = _command(group, "show", commands.outbox_show, "show one event")
    show.add_argument("sequence", metavar="SEQ", type=int, help="its sequence number")
    _command(group, "export", commands.outbox_export, "print every event as a compact JWS, one a line")
    _command(group, "verify", commands.outbox_verify, "recompute every hash and signature")


def _add_config(verbs: _Verbs) -> None:
    group = _group(verbs, "config", "the settings")
    _command(group, "check", commands.config_check, "check the settings file")
    show = _command(group, "show", commands.config_show, "show the effective settings and where each came from")
    show.add_argument("--defaults", action="store_true", help="print a commented file with every default instead")


def _add_service(verbs: _Verbs) -> None:
    group = _group(verbs, "service", "the service profiles")
    _command(group, "list", commands.service_list, "list them")
    show = _command(group, "show", commands.service_show, "show one, and which bytes of the card it may read")
    show.add_argument("id", metavar="ID", help="such as school.attendance")


def _add_enrol(verbs: _Verbs) -> None:
    verb = _command(verbs, "enrol", commands.enrol, "make this station's keys, or take up the agency's grant")
    way = verb.add_mutually_exclusive_group(required=True)
    way.add_argument("--request", metavar="FILE", help="make the keys where there are none; write the request here")
    way.add_argument("--grant", metavar="FILE", help="take up the agency's answer")


def _add_simulate(verbs: _Verbs) -> None:
    group = _group(verbs, "simulate", "virtual hardware")
    card = _command(group, "card", commands.simulate_card, "put a virtual card into the virtual reader")
    card.add_argument("name", metavar="NAME", help="person-N, expired, bad-number, bank or mute")
    card.add_argument("--port", type=int, default=35963, help="TCP port of the virtual reader (default %(default)s)")
    _command(group, "panel", commands.simulate_panel, "show the virtual panel in this terminal; A, B, C press buttons")


if __name__ == "__main__":
    sys.exit(main())
