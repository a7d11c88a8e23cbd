"""The command that looks at every real part of this machine."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from appliance.commands.call import Call

if TYPE_CHECKING:
    from appliance.run.doctor.part import Verdict


def doctor(call: Call) -> int:
    """Look at every part, tell each as soon as it is known, and return the exit code of the first that failed."""
    from appliance.run.doctor.machine import parts
    from appliance.run.doctor.part import examine

    is_quiet = not getattr(call.options, "verbose", False)
    _set_up_logging(call, is_quiet)
    verdicts = []
    for verdict in examine(parts(call.config_path, call.state, call.environ, is_quiet)):
        verdicts.append(verdict)
        if not call.is_json:
            call.show(None, _lines(verdict.as_data()))
            sys.stdout.flush()
    if call.is_json:
        call.show([verdict.as_data() for verdict in verdicts], ())
    return _end([verdict for verdict in verdicts if verdict.is_failed])


def _set_up_logging(call: Call, is_quiet: bool) -> None:
    import logging

    if is_quiet:  # what goes wrong is told part by part
        logging.getLogger("appliance").addHandler(logging.NullHandler())
    else:
        call.log("doctor")


def _lines(told: dict[str, str]) -> Iterator[str]:
    yield f"{told['result']:15}  {told['part']:10}  {told['found']}".rstrip()
    if told["mend"]:
        yield f"{'':15}  {'':10}  -> {told['mend']}"


def _end(failed: "Sequence[Verdict]") -> int:
    """Say the first failure once more, on standard error; return its exit code."""
    if not failed:
        return 0
    first, told = failed[0].part, failed[0].as_data()
    with suppress(OSError):  # where nobody can be told, the exit code still tells
        sys.stderr.write(f"card-station: {first.family.code}: {first.name}: {told['found']}; {told['mend']}\n")
    return first.exit_code
