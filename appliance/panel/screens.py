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
    MENU = "menu"
    IDLE = "idle"
    IDLE_UNANSWERED = "idle_unanswered"
    OFFICER_FIRST = "officer_first"
    READING = "reading"
    CHOOSE = "choose"
    SECOND_CARD = "second_card"
    ASKING = "asking"
    ACCEPTED = "accepted"
    RECORDED = "recorded"
    REGISTRY_NORMAL = "registry_normal"
    ALREADY_RECORDED = "already_recorded"
    NOT_ON_ROSTER = "not_on_roster"
    EXPIRED = "expired"
    DATA_DISAGREE = "data_disagree"
    CONDITIONS_NOT_MET = "conditions_not_met"
    SAME_PERSON = "same_person"
    ON_DENYLIST = "on_denylist"
    REGISTRY_NOT_NORMAL = "registry_not_normal"
    BAD_NUMBER = "bad_number"
    NOT_A_THAI_CARD = "not_a_thai_card"
    COULD_NOT_CHECK = "could_not_check"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CANCELLED = "cancelled"
    UNREADABLE = "unreadable"
    REMOVE_CARD = "remove_card"
    SIGNED_ON = "signed_on"
    SIGNED_OFF = "signed_off"
    VOUCHED = "vouched"
    CAP_REACHED = "cap_reached"
    NO_READER = "no_reader"
    CANNOT_STORE = "cannot_store"
    NOT_ENROLLED = "not_enrolled"
    BAD_CONFIG = "bad_config"


NO_CARD_IS_IN = (State.IDLE, State.IDLE_UNANSWERED, State.OFFICER_FIRST, State.MENU)


@dataclass(frozen=True)
class Label:
    """A word in both languages.

    Args:
        word: as events have it, such as ``in``.
        th: as the panel shows it in Thai.
        en: in English.
    """

    word: str
    th: str
    en: str

    def text(self, language: str) -> str:
        """Return it in ``language``, ``th`` or ``en``."""
        return self.en if language == "en" else self.th


@dataclass(frozen=True)
class Screen:
    """One thing to say.

    Args:
        state: which row of the table.
        at: when it happened, in Thai local time; for ALREADY_RECORDED the time of the first record.
        choice: what was chosen, such as ``in``; on IDLE what was chosen before the card; on SECOND_CARD whose it is; on
            MENU which page.
        labels: what the buttons A, B and C stand for, in this order; on MENU the title and the lines of the page.
        title: what the service is called, on IDLE.
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
    labels: tuple[Label, ...] = ()
    title: Label | None = None
