"""The few joints between the flow and the world. Each names its real and its simulated class.

A joint exists only where a test uses its simulator, and one contract suite runs against both sides of it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.events.chain import Position
from appliance.events.roster import SignedRoster
from appliance.events.writer import EventWriter
from appliance.panel.screens import Button, Screen
from appliance.services.profile import Profile

if TYPE_CHECKING:
    from appliance.inquiry import Inquiry

OFFLINE = b"offline "  # and the hash of the query: what a ``QueryLine`` says at once where there is no connection

Tell: TypeAlias = Callable[[Record | None], None]


def silence(so_far: Record | None) -> None:
    """Tell nobody."""


class CardChannel(Protocol):
    """An open line to one card. Real: ``hardware.pcsc.PcscChannel``. Simulated: ``simulate.slot.InMemoryChannel``."""

    atr: bytes

    def transmit(self, command: bytes) -> bytes:
        """Send one command APDU, return data and status word (2 bytes or more). Raises CardError."""


class CardSlot(Protocol):
    """The slot of one reader. Real: ``hardware.pcsc.PcscSlot``. Simulated: ``simulate.slot.InMemorySlot``.

    ``is_doubtful``: after an outage a card is in that may be the one returned last, or another of its kind.
    """

    is_doubtful: bool

    def settle(self, is_same: bool) -> None:
        """End the doubt; a card that is not the same is a new insertion."""

    def wait_card(self, timeout_s: float) -> "Insertion | None":
        """Return the insertion that has not been returned yet, or None. Raises ReaderUnavailable."""

    def open(self) -> AbstractContextManager[CardChannel]:
        """Connect to the card that is in. Raises CardError, ReaderUnavailable."""

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""

    def is_held(self) -> bool:
        """Say whether another program has the card for itself alone. Raises ReaderUnavailable."""

    def readers(self) -> list[str]:
        """Return the names of all readers there are. Raises ReaderUnavailable."""


@dataclass(frozen=True)
class Insertion:
    """One card put in once.

    Args:
        number: counts insertions since the slot was opened.
        reader: the reader's full name.
        atr: answer to reset; empty where the card gives none.
        at_monotonic_s: when it was noticed, in seconds since boot.
        turn: the slot's own count of insertions and removals, by which a new worker knows the card again.
    """

    number: int
    reader: str
    atr: bytes
    at_monotonic_s: float
    turn: int = 0


class CardReader(Protocol):
    """What the flow sees of the reader. Real: ``run.reader.WorkerReader``. Simulated: ``run.slot_reader.SlotReader``
    on an ``InMemorySlot`` (the same class runs inside the worker on a ``PcscSlot``).
    """

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None after ``timeout_s``. Raises ReaderUnavailable."""

    def read(self, fields: Sequence[Field], tell: "Tell" = silence) -> Record:
        """Read ``fields`` of the card that is in, all or nothing. Raises CardError, ReaderUnavailable.

        Args:
            fields: what is wanted; what the active service does not name is refused.
            tell: called with the record so far after each stage (number, text, photo), and with None several times a
                second while the card is silent, so that whoever waits can do something else.
        """

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""


class QueryLine(Protocol):
    """The way to the agency for a question that cannot wait. Real: ``run.query_socket.QuerySocket``, through the link.
    Simulated: ``simulate.agency.SimulatedAgency``. Nothing here is durable, and nothing that comes is verified yet.
    """

    def send(self, jws: str) -> bool:
        """Hand over a query; False where nobody takes it. Never raises."""

    def receive(self) -> list[bytes]:
        """Return what came since the last call, at most a few. Never waits, never raises."""


class Panel(Protocol):
    """Screen, lights, buzzer and buttons. Real: ``run.panel.PanelThread``. Simulated: ``tests`` use the real one on
    ``simulate.panel.VirtualPanel``; the flow's tests record screens with ``simulate.panel.RecordingPanel``.
    """

    def show(self, screen: Screen) -> None:
        """Show ``screen``, set its lights and sound its tone; returns at once and never raises."""

    def pressed(self) -> Button | None:
        """Return the oldest press that was not yet taken, or None."""

    def held(self) -> Button | None:
        """Return a button that is being held down, once for each time; None where none is."""


@dataclass(frozen=True)
class Moment:
    """A time and how far it can be trusted.

    Args:
        time: aware, Thai local time (+07:00).
        quality: ``synchronised``, ``unsure`` or ``simulated``.
        offset_ms: last known offset from the time source, or None.
        boot: the kernel's boot id.
        monotonic_s: seconds since boot, suspended time included.
        last_sync_age_s: seconds since the time source last corrected the clock; None where it never did in this boot.
    """

    time: datetime
    quality: str
    offset_ms: int | None
    boot: str
    monotonic_s: float
    last_sync_age_s: float | None = None

    @property
    def is_sure(self) -> bool:
        """Say whether a date may be judged by this time."""
        return self.quality != "unsure"

    def as_data(self) -> dict[str, object]:
        """Return the ``clock`` member of an event."""
        return {
            "quality": self.quality,
            "offset_ms": self.offset_ms,
            "boot": self.boot,
            "monotonic_s": round(self.monotonic_s, 3),
            "last_sync_age_s": None if self.last_sync_age_s is None else round(self.last_sync_age_s),
        }


class Clock(Protocol):
    """Real: ``hardware.clock.SystemClock``. Simulated: ``simulate.clock.SimulatedClock``. The station puts either
    into a ``hardware.steady_clock.SteadyClock``, which never goes below what was signed.
    """

    def now(self) -> Moment:
        """Return the present moment."""


@dataclass(frozen=True)
class Attendance:
    """What the station remembers of a person's last visit today, without knowing the person.

    Args:
        subject: memory-hard digest with the secret of today, and what is remembered of it.
        outcome: verdict and cause.
        choice: the choice that was recorded, such as ``in``.
        at: when.
        sequence: of the event; 0 where it is not stored yet.
    """

    subject: bytes
    outcome: str
    choice: str | None
    at: Moment
    sequence: int = 0


class Outbox(Protocol):
    """The durable queue. Real: ``outbox.store.Outbox``. Simulated: the flow's tests wrap the real one in
    ``tests.flow.crash.Crashing``, which stops the flow after any call.
    """

    def append(self, build: Callable[[Position], str], visit: Attendance | None = None) -> int:
        """Commit the event that ``build`` makes for the next position, with fsync; return its sequence number.

        Where ``visit`` is given, it is remembered in the same transaction. Raises StoreError.
        """

    def status(self) -> dict[str, Any]:
        """Return how the station stands, as ``card-station status`` prints it. Raises StoreError."""

    def last_visit(self, subject: bytes) -> Attendance | None:
        """Return today's last visit of a subject."""

    def day_salt(self, day: str) -> bytes:
        """Return the secret of ``day`` (YYYY-MM-DD), 32 bytes. Raises StoreError."""


@dataclass
class OfficerSession:
    """Who of the officers is at work here; forgotten when the process ends.

    Args:
        handle: of the officer, as events have it; None for nobody.
        source: the roster that the handle is of.
        seen_s: when the officer last did something, seconds since boot.
        began_s: when the officer signed on, likewise.
    """

    handle: str | None = None
    source: str = ""
    seen_s: float = 0.0
    began_s: float = 0.0


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class World:
    """The joints of the flow, built in ``run.wiring``.

    Args:
        reader: the card reader.
        panel: screen, lights, buzzer, buttons.
        clock: the time and its quality.
        outbox: the durable queue.
        writer: seals and signs.
        roster: returns the roster in force, None where there is none.
        denylist: likewise, the people whom the agency stopped.
        vouching: returns the service by which officers vouch, None where there is none.
        session: who of the officers is at work.
        inquiry: asks the agency; None where nobody can be asked.
    """

    reader: CardReader
    panel: Panel
    clock: Clock
    outbox: Outbox
    writer: EventWriter
    roster: Callable[[], SignedRoster | None]
    denylist: Callable[[], SignedRoster | None] = _nothing
    vouching: Callable[[], Profile | None] = _nothing
    session: OfficerSession = field(default_factory=OfficerSession)
    inquiry: "Inquiry | None" = None
