"""What can go wrong, in families named after what the caller does.

* ``CardError``: tell the person, take the next card.
* ``ReaderUnavailable``: say so on the panel, try again.
* ``StoreError``: stop accepting cards until it is mended; nothing may be shown as stored.
* ``PanelError``: go on without what does not work, try again.
* ``DeliveryError``: keep the events, back off, try again.
* ``ConfigError``: refuse to start (exit 78: systemd must not restart).

Every class carries ``code``, the short stable code that the screen, the log and the operations guide show, and
``why``, the word that an event's check carries (contract 5). No message ever holds a byte that came from a card.
"""

from typing import ClassVar


class CardStationError(Exception):
    """The root of all errors of this project."""

    code: ClassVar[str] = "X00"


class CardError(CardStationError):
    """This card could not be read; the reader is fine."""

    code = "C00"
    why: ClassVar[str] = "unreadable"


class CardRemoved(CardError):
    """The card left the reader before the read was whole."""

    code = "C01"
    why = "removed"


class CardMute(CardError):
    """A card is in, but it does not answer: upside down, dirty contacts, a dead chip, or still starting."""

    code = "C02"
    why = "mute"


class CardDeadline(CardError):
    """The card or the reader gave no answer in time; the reader worker was killed and started anew."""

    code = "C03"
    why = "timeout"


class CardGarbled(CardError):
    """An answer without a status word, of the wrong length, or that never ends."""

    code = "C04"
    why = "bad_answer"


class NotAThaiIdCard(CardError):
    """The card works, but holds no applet of the Ministry of Interior."""

    code = "C05"
    why = "not_a_thai_id_card"


class CardRefused(CardError):
    """The applet answered a read with an error status word.

    Args:
        sw: the status word, 0x0000-0xFFFF.
        has_begun: the card had announced the answer before it refused.
    """

    code = "C06"
    why = "refused"

    def __init__(self, sw: int, has_begun: bool = False) -> None:
        super().__init__(f"the card refused with status word {sw:04X}")
        self.sw, self.has_begun = sw, has_begun


class CardBusy(CardError):
    """Another program on this machine holds the card."""

    code = "C07"
    why = "busy"


class CardReset(CardError):
    """The card was reset, and with it the applet was lost: another program, or the card itself."""

    code = "C08"
    why = "reset"


class CardUnpowered(CardMute):
    """The reader gives the card no power, or none that the card takes."""

    code = "C09"
    why = "unpowered"


class CardProtocolMismatch(NotAThaiIdCard):
    """Reader and card have no protocol in common; a Thai ID card speaks T=0, which every reader does."""

    code = "C10"
    why = "protocol_mismatch"


class CardVersionUnsupported(CardError):
    """A Thai ID card of a version whose layout is not known well enough to read it without guessing."""

    code = "C11"
    why = "version_unsupported"


class CommandForbidden(CardError):
    """Somebody asked the reader worker for a command that the active service may not send; it was not sent."""

    code = "C12"
    why = "forbidden"


class ReaderUnavailable(CardStationError):
    """No reader to talk to now; it may come back by itself."""

    code = "R00"


class NoReader(ReaderUnavailable):
    """pcscd runs, but lists no reader whose name starts with the configured one."""

    code = "R01"


class CardServiceDown(ReaderUnavailable):
    """pcscd is not running, or does not answer."""

    code = "R02"


class ReaderGone(NoReader):
    """The reader was unplugged while it was in use."""

    code = "R03"


class CardServiceRefuses(CardServiceDown):
    """pcscd runs and refuses this user (polkit), or has no room for another client."""

    code = "R04"


class NoCard(CardStationError):
    """No card was put in within the wait (exit 4)."""

    code = "R05"


class StoreError(CardStationError):
    """An event cannot be made durable now: stop accepting cards."""

    code = "S00"


class OutboxFull(StoreError):
    """The disk or the outbox's limit is reached."""

    code = "S01"


class OutboxDamaged(StoreError):
    """The state database holds what it must not: damage that no waiting mends."""

    code = "S02"


class SigningError(StoreError):
    """The event key is missing or does not work."""

    code = "S03"


class OutboxUnavailable(StoreError):
    """The state database cannot be read or written now (read-only, a disk error); it may come back by itself."""

    code = "S04"


class PanelError(CardStationError):
    """The panel could not be driven; the reading of cards goes on without it."""

    code = "P00"


class PanelFault(PanelError):
    """The OLED, the lights or the buttons do not answer; they may come back by themselves."""

    code = "P01"


class DeliveryError(CardStationError):
    """The broker could not be reached, or refused; events are kept and tried again."""

    code = "D00"


class NotAuthorised(DeliveryError):
    """The broker does not take this station's certificate, its name, or one of its topics."""

    code = "D01"


class BrokerBusy(DeliveryError):
    """The broker has no room or no time for this station now."""

    code = "D02"


class SessionTakenOver(DeliveryError):
    """Another client came with this station's certificate, and the broker put this one out."""

    code = "D03"


class MessageTooLarge(DeliveryError):
    """The broker does not take a message of this size."""

    code = "D04"


class WrongProtocol(DeliveryError):
    """The broker does not speak the version of MQTT that ``[link] protocol`` names, or does not follow it."""

    code = "D05"


class BrokerRefuses(DeliveryError):
    """The broker refused for a reason that has no code of its own here; the log has its words."""

    code = "D06"


class VerificationError(CardStationError):
    """A signature, a hash, a schema or a claim does not hold: use nothing of this document."""

    code = "V00"


class ConfigError(CardStationError):
    """The configuration cannot be used; ``problems`` holds one line for each reason."""

    code = "F00"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotEnrolled(ConfigError):
    """The station has no keys, no chain, or nothing from its agency yet (exit 78 until it is enrolled)."""

    code = "F01"

    def __init__(self, what: str) -> None:
        super().__init__([f"{what}: run 'card-station enrol --request FILE' and take the file to the agency"])


class AlreadyRunning(CardStationError):
    """Another process of this kind works with the same state directory (exit 7)."""

    code = "X01"


class WrongUse(CardStationError):
    """The command line asks for something that does not exist or does not fit together (exit 2).

    ``program`` is the command whose ``--help`` tells what does.
    """

    code = "U00"
    program = "card-station"


class OutputError(CardStationError):
    """What a command found cannot be written where it was asked to (exit 7)."""

    code = "X02"


class ClockUnsure(CardStationError):
    """The machine's clock cannot be trusted; cards are read all the same."""

    code = "T00"
