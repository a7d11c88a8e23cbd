"""A service profile: what the station does for one service, as data that the agency signs.

One TOML file a service. What each table and key means stands here, once: the loader (``loading.py``), the published
schema (``events/schemas/service-1.json``) and the page for a data-protection officer all follow it.
Code knows no agency; a new service is a new file and its tests.

A profile's hash goes into every event that it made, so the agency can prove later what the station was told to read,
check and keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from appliance.services.vocabulary import (
    BUTTON,
    BUTTONS,
    CARD_FIELDS,
    CHECKS,
    FIELDS,
    NUMBER_KINDS,
    SENTENCE,
    TITLE,
    WORD,
    Approver,
    Basis,
    Default,
    Labelled,
    OnTimeout,
    Question,
    Role,
    Sex,
)
from appliance.settings_schema import Choice, Flag, Key, Texts, Whole, Words


@dataclass(frozen=True, kw_only=True)
class Title:
    """What the service is called on the panel."""

    th: Annotated[str, Key("In Thai.", TITLE)]
    en: Annotated[str, Key("In English.", TITLE)]


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """Why the data are processed: for the record of processing, and for the notice beside the station."""

    th: Annotated[str, Key("In Thai.", SENTENCE)]
    en: Annotated[str, Key("In English.", SENTENCE)]
    basis: Annotated[Basis, Key("The ground in law.", Choice(Basis))]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What may be read of the person's card; the reader worker refuses every other command."""

    read: Annotated[tuple[str, ...], Key("Fields that are read.", Words(FIELDS, "fields of the card", least=1))]
    never: Annotated[tuple[str, ...], Key("Fields that no later version may read either.", CARD_FIELDS)] = ()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom the service is for."""

    min_age: Annotated[int, Key("Youngest age.", Whole(0, 120), unit="complete years")] = 0
    max_age: Annotated[int, Key("Oldest age.", Whole(0, 150), unit="complete years")] = 150
    sex: Annotated[Sex, Key("Sex on the card.", Choice(Sex))] = Sex.ANY
    numbers: Annotated[tuple[str, ...], Key("Kinds of number.", Words(tuple(NUMBER_KINDS), "kinds", least=1))] = tuple(
        NUMBER_KINDS
    )


@dataclass(frozen=True, kw_only=True)
class Second:
    """A second card, of another person, put in after the first was taken out. A child's card is the subject's."""

    role: Annotated[Role, Key("Whose it is.", Choice(Role))]
    read: Annotated[tuple[str, ...], Key("Fields that are read.", Words(FIELDS, "fields of the card", least=1))]
    sealed: Annotated[tuple[str, ...], Key("Fields that are kept, sealed.", CARD_FIELDS)]
    unless: Annotated[tuple[str, ...], Key("Choices with which it is not asked for.", Texts(WORD))] = ()


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What is checked of the subject; ``applet`` and ``checksum`` hold for a second card too.

    A required check that fails refuses, one that could not be made leaves the visit open.
    """

    required: Annotated[tuple[str, ...], Key("Checks that must pass.", Words(CHECKS, "checks", least=1))]
    advisory: Annotated[tuple[str, ...], Key("Checks that are recorded and decide nothing.", Words(CHECKS, "checks"))]
    duplicate_window_s: Annotated[
        int,
        Key("A card put in again within this time is the same visit; 0 for never.", Whole(0, 86_400), unit="seconds"),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Online:
    """The question to the agency while the card is in."""

    question: Annotated[Question, Key("What is asked.", Choice(Question))]
    on_timeout: Annotated[OnTimeout, Key("What no answer means.", Choice(OnTimeout))]
    deadline_ms: Annotated[int, Key("How long an answer may take.", Whole(500, 10_000), unit="milliseconds")] = 4000


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the buttons ask."""

    default: Annotated[Default, Key("What happens where nobody presses.", Choice(Default))] = Default.ASK
    A: Annotated[Labelled | None, Key("Button A.", BUTTON)] = None
    B: Annotated[Labelled | None, Key("Button B.", BUTTON)] = None
    C: Annotated[Labelled | None, Key("Button C.", BUTTON)] = None

    def offered(self) -> Mapping[str, Labelled]:
        """Return what each button stands for."""
        buttons = {name: getattr(self, name) for name in BUTTONS}
        return {name: choice for name, choice in buttons.items() if choice is not None}


@dataclass(frozen=True, kw_only=True)
class Approve:
    """Who must agree."""

    by: Annotated[Approver, Key("Whose card approves.", Choice(Approver))]


@dataclass(frozen=True, kw_only=True)
class Vouch:
    """The person has no card that can be read; an officer's own card stands in. That is counted and capped."""

    per_officer_day: Annotated[int, Key("How many one officer may vouch for in a day.", Whole(1, 1000))]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is kept. The part in clear is the same for every service (event schema); all of a person is sealed."""

    sealed: Annotated[tuple[str, ...], Key("Fields that are kept, sealed to the agency.", CARD_FIELDS)]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long the station keeps the sealed part."""

    station_after_receipt_days: Annotated[int, Key("After the agency's receipt.", Whole(0, 365), unit="days")]


@dataclass(frozen=True, kw_only=True)
class Display:
    """What the panel shows of the person."""

    name: Annotated[
        bool, Key("Whether the Thai name may be shown while the card is in; this version shows no name.", Flag())
    ] = False


#: Tables of the file, in its order, and whether one may be left out.
TABLES: dict[str, tuple[type, bool]] = {
    "title": (Title, False),
    "purpose": (Purpose, False),
    "card": (Card, False),
    "subject": (Subject, False),
    "second": (Second, True),
    "checks": (Checks, False),
    "online": (Online, True),
    "choices": (Choices, False),
    "approve": (Approve, True),
    "vouch": (Vouch, True),
    "record": (Record, False),
    "retention": (Retention, False),
    "display": (Display, False),
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One service.

    Args:
        id: such as ``school.attendance``.
        version: rises with every change.
        event_type: CloudEvents type of its visits: the id and ``.v1`` to ``.v999``.
        inferred: keys (``table.key``) that rest on no published rule of the agency but on our inference.
        title: and the other tables of the file; None for one that is optional and not there.
        sha256: base64url of SHA-256 of the file.
        text: the file itself.
    """

    id: str
    version: int
    event_type: str
    inferred: tuple[str, ...]
    title: Title
    purpose: Purpose
    card: Card
    subject: Subject
    second: Second | None
    checks: Checks
    online: Online | None
    choices: Choices
    approve: Approve | None
    vouch: Vouch | None
    record: Record
    retention: Retention
    display: Display
    sha256: str
    text: bytes

    @property
    def level(self) -> str:
        """Return the highest level that a visit can reach (contract 5)."""
        if "online" in self.asked:
            return "L3"
        return "L2" if "roster" in self.asked else "L1"

    @property
    def subject_read(self) -> tuple[str, ...]:
        """Return the fields that are read of the card of the person whom the service is about."""
        return self.second.read if self.second and self.second.role is Role.CHILD else self.card.read

    @property
    def asked(self) -> tuple[str, ...]:
        """Return every check that is made, required or advisory."""
        return (*self.checks.required, *self.checks.advisory)

    def as_data(self) -> dict[str, Any]:
        """Return the profile as JSON values."""
        tables = {name: getattr(self, name) for name in TABLES}
        return {
            **{name: getattr(self, name) for name in ("id", "version", "event_type", "sha256", "inferred", "level")},
            **{name: _plain(table) for name, table in tables.items()},
        }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(part) for name, part in vars(value).items() if part is not None}
    return value
