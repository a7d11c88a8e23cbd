"""The command ``card-station``: what it offers, and how it ends (contract 2).

Data goes to standard output, words to standard error. Every failure is one line, ``card-station: CODE:
what; what to do``, and an exit code from one table; a traceback is shown only with ``--verbose``, because
an exception may hold bytes of a card. The commands themselves are in ``commands/``, and whatever is heavy
they import when they run: a Raspberry Pi Zero needs seconds for what a command does not need.

Example::

    card-station --config station.toml outbox list --json
"""

import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from appliance import errors
from appliance.command_line import parser
from appliance.commands.call import Call

INTERRUPTED = 130


#: For each error family: the exit code, and what the person can do. The nearest family of an error counts.
OUTCOMES: dict[type[Exception], tuple[int, str]] = {
    errors.CardStationError: (1, "see the operations guide under this code"),
    errors.VerificationError: (1, "use nothing of it and tell the agency"),
    errors.WrongUse: (2, "see '{program} --help'"),
    errors.OutputError: (7, "free some space there, or name another file"),
    errors.AlreadyRunning: (7, "see 'systemctl status card-station-station card-station-link'"),
    errors.ReaderUnavailable: (7, "check the reader's cable and pcscd"),
    errors.NoReader: (3, "plug in the reader, or correct --reader, or [reader] name and allow in the settings"),
    errors.CardServiceDown: (7, "start pcscd: systemctl start pcscd.socket"),
    errors.NoCard: (4, "put a card in, or wait longer with --wait SECONDS"),
    errors.CardServiceRefuses: (
        7,
        "install systemd/polkit/50-card-station.rules, or restart pcscd",
    ),
    errors.CardError: (6, "put the card in again and leave it in"),
    errors.CardRefused: (6, "put it in once more; else the person needs a new card"),
    errors.CardBusy: (6, "stop the other program that uses the reader"),
    errors.CardUnpowered: (6, "put it in once more; else try another USB port, or another reader"),
    errors.CardVersionUnsupported: (6, "it ran out long ago: the person needs a new card"),
    errors.CommandForbidden: (6, "stop the station and tell the agency"),
    errors.NotAThaiIdCard: (5, "use a Thai national ID card"),
    errors.ClockUnsure: (1, "check the network time"),
    errors.OutboxDamaged: (7, "restart the station: it sets the file aside and goes on; tell the agency"),
    errors.OutboxUnavailable: (7, "look at the end of 'dmesg'; the station goes on by itself when the disk is back"),
    errors.SigningError: (7, "restore keys/event.jwk, or enrol the station anew"),
    errors.StoreError: (7, "check the state directory, its owner and the free space"),
    errors.PanelError: (7, "check that the station runs, and [panel] in its settings"),
    errors.DeliveryError: (7, "check the network and the broker; events are kept"),
    errors.ConfigError: (78, "correct the file, then 'card-station config check'"),
    errors.NotEnrolled: (78, "then start the station"),
}


#: Errors of writing; without the name of a file they come from the output.
_WRITING_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
#: A message that says itself what to do; the table's words would come twice.
_ADVICE = re.compile(r"['`]card-station |: (?:run|free|restore|scripts/deck) |; there (?:is|are) ")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    is_verbose = "--verbose" in (sys.argv[1:] if argv is None else argv)
    _mend_streams()
    try:
        code = _run(argv)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0
    except Exception as error:  # noqa: BLE001 - the outermost frame: nothing may end in a traceback
        code = _say(error, is_verbose)
    return _flush(code)


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(argv)
    except SystemExit:  # --help and --version have been printed
        return 0
    try:
        code: int = options.command(Call(options, os.environ))
    except errors.WrongUse as error:
        error.program = options.program
        raise
    return code


def _mend_streams() -> None:
    """Put /dev/null where a standard stream is closed, and let every text be written in any encoding.

    To a closed output nothing can be written: what prints data fails, what prints none does not.
    """
    names = ("stdin", "stdout", "stderr")
    if any(getattr(sys, name) is None for name in names):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # or the next file that is opened becomes the output
            os.set_inheritable(number, True)
        os.close(number)
    for name in names:
        if getattr(sys, name) is None:
            mode = os.O_WRONLY if name == "stderr" else os.O_RDONLY
            null = io.FileIO(os.open(os.devnull, mode), "r" if name == "stdin" else "w")
            setattr(sys, name, io.TextIOWrapper(null, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """Send what is left in ``stream`` nowhere; else the interpreter complains once more at its end."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _flush(code: int) -> int:
    """Write what is still held back; return the exit code, which is another one where that cannot be done."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)  # who read it has seen enough
    except OSError as error:
        _discard(sys.stdout)
        code = code or _say(OSError(errno.ENOSPC, error.strerror), is_verbose=False)
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    return code


def _say(error: Exception, is_verbose: bool) -> int:
    """Print one line for each thing that is wrong; return the exit code."""
    code, stable, advice, lines = _outcome(error)
    with suppress(OSError):  # where nobody can be told, the exit code still tells
        if is_verbose:
            import traceback

            traceback.print_exception(error)
        for line in lines:
            what = line if _ADVICE.search(line) else f"{line}; {advice}"
            sys.stderr.write(f"card-station: {stable}: {_one_line(what)}\n")
    return code


def _one_line(text: str) -> str:
    """Return ``text`` on one line; what a caller put into it does nothing to a terminal."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in " ".join(text.split())
    )


def _outcome(error: Exception) -> tuple[int, str, str, list[str]]:
    """Return exit code, stable code, what to do, and what is wrong."""
    if isinstance(error, OSError):
        lost = _lost_directory(error)
        why = error.strerror or type(error).__name__
        if lost is not None:
            variable, directory = lost
            stable = errors.StoreError.code if variable == "STATE_DIRECTORY" else "X00"
            return 7, stable, f"{variable} chooses another one", [f"{directory} cannot be used: {why}"]
        if error.errno in _WRITING_FAULTS and error.filename is None:
            return 7, "X00", "free some space, or send the output elsewhere", [f"nothing more can be written: {why}"]
        advice = "check that the path exists and that this user may use it"
        return 1, "X00", advice, [f"{why}: {error.filename or 'this machine'}"]
    for family in type(error).__mro__:
        if isinstance(error, errors.CardStationError) and family in OUTCOMES:
            lines = error.problems if isinstance(error, errors.ConfigError) else [str(error)]
            advice = OUTCOMES[family][1].format(program=error.program if isinstance(error, errors.WrongUse) else "")
            return OUTCOMES[family][0], error.code, advice, lines
    return 1, "X00", "run it again with --verbose and report it", [f"unexpected {type(error).__name__}"]


def _lost_directory(error: OSError) -> tuple[str, Path] | None:
    """Return the station's own directory that an error is about, and the variable that names it."""
    from appliance.config import runtime_directory, state_directory

    if not isinstance(error.filename, str):
        return None
    path = Path(error.filename)
    own = {"STATE_DIRECTORY": state_directory(os.environ), "RUNTIME_DIRECTORY": runtime_directory(os.environ)}
    for variable, directory in own.items():
        if path.is_relative_to(directory) or directory.is_relative_to(path):
            return variable, directory
    return None


if __name__ == "__main__":
    sys.exit(main())
