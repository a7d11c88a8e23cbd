"""The joint between a station's question and whoever knows the answer, and what may be said to it.

A source never guesses. What it cannot read is ``unknown``, whoever does not answer is ``unavailable``, and where it may
have written something without hearing so, that is ``outcome_unknown``; none of these is ever "normal".
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Outcome(Enum):
    """The word of an answer (``answer-1.json``)."""

    NORMAL = "normal"
    NOT_NORMAL = "not_normal"
    INCOMPLETE = "incomplete"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    OUTCOME_UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, repr=False)
class Asked:
    """One question about one person. Has no ``repr``: it must never reach a log.

    Args:
        id: of the query; whoever is asked gets it as a correlation id.
        station: who asks.
        question: a word of ``services.vocabulary.Question``.
        service: id of the profile.
        choice: what the person chose, or None.
        about: what the station sealed: ``citizen_id`` and what else the service reads.
        ends_s: monotonic time after which nobody waits for the answer.
    """

    id: str
    station: str
    question: str
    service: str
    choice: str | None
    about: Mapping[str, Any]
    ends_s: float = math.inf

    @property
    def is_awaited(self) -> bool:
        """Say whether somebody still waits for the answer; nothing is begun to be written when nobody does."""
        return time.monotonic() < self.ends_s

    def text(self, name: str) -> str:
        """Return a member of ``about`` where it is a text, else an empty one."""
        value = self.about.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Said:
    """What a source says.

    Args:
        outcome: the word.
        source: who knows, such as ``card-status``.
        as_of: day of the data, YYYY-MM-DD; None for today.
    """

    outcome: Outcome
    source: str
    as_of: str | None = None


class Source(Protocol):
    """Whoever knows. Asked in any thread, several at a time."""

    def answer(self, asked: Asked) -> Said:
        """Answer within the source's own time; never raises for what the far side does."""
        ...


class NotConnected:
    """Stands for a source that this agency has not (``source.Source``)."""

    def answer(self, asked: Asked) -> Said:
        """Say that nobody was asked."""
        return Said(Outcome.UNAVAILABLE, "none")
