"""A part of the machine, what was found there, and the way through all parts.

A part is looked at in a thread of its own, because a disk, a bus or a name server can hang where no time limit
reaches; one that gives no answer in time is left behind, and the next one is looked at. A part that needs another
one is not looked at where that one is not good: its own faults would only be echoes.

Example::

    for verdict in examine(parts):
        print(verdict.part.name, verdict.finding.found)
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

from appliance.checks.result import Result
from appliance.errors import CardStationError

PATIENCE_S = 6.0  # a part that keeps its own time limits is done before

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What a look at a part found.

    Args:
        result: fail needs mending; could_not_check means that this user or this moment did not allow the look.
        found: in a few words, for a person.
        mend: what to do; on a pass, what would make it better. Empty for nothing.
    """

    result: Result
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Part:
    """One part of the machine.

    Args:
        name: unique in its list.
        family: error whose code stands for the part's failure in the operations guide.
        exit_code: of the command, where this is the first part that failed (contract 2).
        look: finds out; may block.
        needs: name of an earlier part without which a look makes no sense.
    """

    name: str
    family: type[CardStationError]
    exit_code: int
    look: Callable[[], Finding]
    needs: str = ""


@dataclass(frozen=True)
class Verdict:
    """A part with what was found there."""

    part: Part
    finding: Finding

    @property
    def is_failed(self) -> bool:
        """Say whether the part has to be mended."""
        return self.finding.result is Result.FAIL

    def as_data(self) -> dict[str, str]:
        """Return it as JSON values."""
        finding = self.finding
        texts = {"found": one_line(finding.found), "mend": one_line(finding.mend)}
        return {"part": self.part.name, "result": finding.result.value, **texts}


def good(found: str, mend: str = "") -> Finding:
    """Return that the part works."""
    return Finding(Result.PASS, found, mend)


def bad(found: str, mend: str) -> Finding:
    """Return that the part has to be mended."""
    return Finding(Result.FAIL, found, mend)


def unknown(found: str, mend: str) -> Finding:
    """Return that nobody can tell now."""
    return Finding(Result.COULD_NOT_CHECK, found, mend)


def unused(found: str) -> Finding:
    """Return that the station does not use the part."""
    return Finding(Result.NOT_ASKED, found)


def examine(parts: Iterable[Part], patience_s: float = PATIENCE_S) -> Iterator[Verdict]:
    """Look at one part after the other; each verdict comes as soon as it is known.

    Args:
        parts: in their order; a part is taken from it when its turn has come.
        patience_s: the longest time for one part.
    """
    seen: dict[str, Result] = {}
    for part in parts:
        before = seen.get(part.needs, Result.PASS)
        if before is Result.PASS:
            finding = _look(part, patience_s)
        elif before is Result.NOT_ASKED:
            finding = unused("not used by this station")
        else:
            finding = unknown(f"not looked at: {part.needs} comes first", f"mend {part.needs}, then look again")
        seen[part.name] = finding.result
        yield Verdict(part, finding)


def within(patience_s: float, ask: Callable[[], T]) -> T:
    """Return what ``ask`` returns, or raise what it raises.

    Raises:
        TimeoutError: it takes longer; it is left behind in its thread, which ends with the process.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(patience_s)


def one_line(text: str) -> str:
    """Return ``text`` on one line, without characters that would do something to a terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _look(part: Part, patience_s: float) -> Finding:
    try:
        return within(patience_s, part.look)
    except TimeoutError:
        return bad(f"gave no answer within {patience_s:.0f} s", "look at the end of 'dmesg', then restart the machine")
    except ImportError as error:
        return bad(f"the Python package {error.name} cannot be loaded", "install the station's software anew")
    except Exception as error:  # noqa: BLE001 - one look that fails must not hide the others
        _log.debug("unexpected at %s", part.name, exc_info=True)
        return unknown(f"unexpected {type(error).__name__}", "run it again with --verbose and report it")
