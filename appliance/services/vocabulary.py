"""The words that a service profile may use: fields of the card, checks, kinds of number, and the other closed sets."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.settings_schema import Kind, Text, Words

FIELDS = (
    "version", "citizen_id", "name_th", "name_en", "birth_date", "sex", "request_number", "issuer", "issuer_code",
    "issue_date", "expiry_date", "card_type", "address", "photo_number", "photo", "laser_number", "chip_number",
    "health",
)  # fmt: skip
CHECKS = (
    "applet", "checksum", "dates", "consistency", "expiry", "age", "number_kind", "sex", "roster", "denylist",
    "two_persons", "online",
)  # fmt: skip
NUMBER_KINDS = {"thai": "12345", "resident": "8", "temporary": "67", "no_status": "0"}  # by the first digit
BUTTONS = ("A", "B", "C")

#: Control characters and invisible ones: nothing that could hide or turn around what a person reads.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
TITLE = Text(rf"(?=.*\S)[^{_UNSEEN}]{{1,60}}", "1 to 60 characters that can be seen")
SENTENCE = Text(rf"(?=.*\S)[^{_UNSEEN}]{{1,200}}", "1 to 200 characters that can be seen")
LABEL = Text(rf"(?=.*\S)[^{_UNSEEN}|]{{1,24}}", "1 to 24 characters that can be seen, no '|'")
WORD = Text(r"[a-z][a-z_]{0,39}", "a word of a-z and '_'")
ID_PATTERN = r"[a-z][a-z_]*(\.[a-z][a-z_]*)+"  # as in the schema of events, which holds id and event_type
CARD_FIELDS = Words(FIELDS, "fields of the card")


class Basis(StrEnum):
    """Why the agency may process the data (PDPA sections 24 and 26)."""

    PUBLIC_TASK = "public_task"
    LEGAL_DUTY = "legal_duty"


class Sex(StrEnum):
    """Whom a service is for."""

    ANY = "any"
    MALE = "male"
    FEMALE = "female"


class Role(StrEnum):
    """Whose the second card is."""

    GUARDIAN = "guardian"
    CHILD = "child"


#: By this service officers vouch for people, beside whatever service is active.
VOUCHING = "common.vouch"


class Question(StrEnum):
    """What the agency is asked while the card is in."""

    REGISTRY_STATUS = "registry_status"
    ENTITLEMENT = "entitlement"
    AGENCY_RECORD = "agency_record"
    VISIT_OPEN = "visit_open"
    VISIT_CLOSE = "visit_close"


class OnTimeout(StrEnum):
    """What an answer that did not come means: a question can be asked again, what was written cannot."""

    COULD_NOT_CHECK = "could_not_check"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Default(StrEnum):
    """What is recorded where nobody presses."""

    ASK = "ask"
    ALTERNATE = "alternate"


class Approver(StrEnum):
    """Who must agree with an own card, and is never the subject."""

    OFFICER = "officer"


@dataclass(frozen=True)
class Labelled:
    """A choice: the word for the event, and what stands beside the button in both languages."""

    word: str
    th: str
    en: str


@dataclass(frozen=True)
class LabelledKind:
    """How a choice is written: ``{ word = "in", th = "เข้า", en = "In" }``."""

    def read(self, value: object) -> Labelled:
        """Return the choice."""
        if not isinstance(value, dict) or set(value) != {"word", "th", "en"}:
            raise ValueError(f"must be {self.describe()}")
        kinds = {"word": WORD, "th": LABEL, "en": LABEL}
        return Labelled(**{name: kinds[name].read(text) for name, text in value.items()})

    def describe(self) -> str:
        """Return how it is written."""
        return '{ word = "…", th = "…", en = "…" }: a word of a-z and \'_\', and two labels of 1 to 24 characters'


BUTTON: Kind = LabelledKind()
