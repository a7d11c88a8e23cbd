"""``card-agency``: the agency's commands (contract 2). Parses, calls one function, turns errors into one line.

Data goes to standard output, words to standard error; every failure is one line. Exit codes: 0 done, 1 the answer is
no, 2 wrong use, 7 a service of the machine is not there (broker, database, disk), 78 bad configuration. The options
that every command has may stand at any place: before the command, in a group (``station --json list``), after it.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from agency import streams
from agency.command_line import parser
from agency.commands import reports, setup
from agency.home import Home
from appliance.errors import (
    AlreadyRunning,
    CardStationError,
    ConfigError,
    DeliveryError,
    StoreError,
    VerificationError,
    WrongUse,
)

_INTERRUPTED = 130
_EXIT_CODES: tuple[tuple[type[CardStationError], int], ...] = (
    (VerificationError, 1),
    (WrongUse, 2),
    (AlreadyRunning, 7),
    (StoreError, 7),
    (DeliveryError, 7),
    (ConfigError, 78),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``--help`` and ``--version`` raise ``SystemExit(0)``."""
    streams.mend()
    is_verbose = "--verbose" in (sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parse(argv)
        home = Home.find(arguments.home, os.environ)
        if arguments.command is not setup.init and not _works_without_home(arguments):
            _require(home, arguments)
        code: int = arguments.command(home, arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        streams.drop_broken_output()  # who read it has seen enough
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost loop: one line, never a traceback unasked
        return _complain(error, is_verbose)
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser().parse_args(argv)
    except SystemExit:
        sys.stdout.flush()  # the help may meet a full disk too
        raise


def _require(home: Home, arguments: argparse.Namespace) -> None:
    try:
        home.require()
    except ConfigError as error:
        if arguments.command is not reports.verify:
            raise
        raise ConfigError([f"{error}; or name the agency's public documents with --keys DIR"]) from None


def _works_without_home(arguments: argparse.Namespace) -> bool:
    return arguments.command is reports.verify and arguments.keys is not None


def _complain(error: Exception, is_verbose: bool) -> int:
    """Say in one line what is wrong, and return the exit code."""
    streams.drop_broken_output()
    if is_verbose:
        streams.say_line("".join(traceback.format_exception(error)).rstrip())
    for family, code in _EXIT_CODES:
        if isinstance(error, family):
            streams.say_line(f"card-agency: {error.code}: {'; '.join(str(error).splitlines())}")
            return code
    if isinstance(error, OSError):
        streams.say_line(f"card-agency: {error.filename or 'the output'}: {error.strerror}")
        return 7
    streams.say_line(f"card-agency: internal error {type(error).__name__}; --verbose shows where")
    return 1
