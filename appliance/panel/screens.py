"""The states of the panel and what each one shows: the values that the flow hands to it.

The table of words, symbols, lights and tones for every state is in ``words.py``; drawing is in ``render.py``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Button(Enum):
    """The three buttons."""

    A = "A"
    B = "B"
    C = "C"


class State(Enum):
    """Everything that the panel can be saying."""

    STARTING = "starting"
    IDLE = "idle"
    READING = "reading"
    ACCEPTED = "accepted"
    ALREADY_RECORDED = "already_recorded"
    NOT_ON_ROSTER = "not_on_roster"
    EXPIRED = "expired"
    BAD_NUMBER = "bad_number"
    NOT_A_THAI_CARD = "not_a_thai_card"
    COULD_NOT_CHECK = "could_not_check"
    UNREADABLE = "unreadable"
    REMOVE_CARD = "remove_card"
    NO_READER = "no_reader"
    CANNOT_STORE = "cannot_store"
    NOT_ENROLLED = "not_enrolled"
    BAD_CONFIG = "bad_config"


@dataclass(frozen=True)
class Screen:
    """One thing to say.

    Args:
        state: which row of the table.
        at: when it happened, in Thai local time; for ALREADY_RECORDED the time of the first record.
        choice: ``in`` or ``out`` where the service asks for it; on IDLE the direction that a button chose.
        as_of: the date of the roster, YYYY-MM-DD, where a claim rests on one.
        reference: the sequence number of the stored event; a screen without it never sounds the stored tone.
        code: the stable code of the error, such as ``C02``.
        is_repeated: the verdict of an insertion that is the same visit again; nothing new was stored.
    """

    state: State
    at: datetime | None = None
    choice: str | None = None
    as_of: str | None = None
    reference: str = ""
    code: str = ""
    is_repeated: bool = False
