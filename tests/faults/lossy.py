"""A broker and its lines in memory that may do everything a network can: lose, repeat, reorder, lie about taking.

``LossyLine`` stands where ``MqttLine`` stands, ``Counter`` where the agency's ``BrokerClient`` stands. What is on its
way lies in plain lists, and a test says what becomes of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from agency.broker.client import Message
from appliance.link.address import Address
from appliance.link.mqtt import Acknowledged, Connected, Disconnected, Happening, Received

IN_FLIGHT = 4


@dataclass(frozen=True)
class Sent:
    """A message of the link that the broker has not seen yet."""

    topic: str
    payload: bytes
    is_retained: bool
    mid: int


@dataclass
class LossyBroker:
    """What is on its way.

    Args:
        up: from the link to the broker.
        events: from the broker to the ingest worker.
        down: from the broker to the link.
        kept: retained messages by topic.
        told: every receipt that ever left, for one that comes late.
    """

    up: list[Sent] = field(default_factory=list)
    events: list[Message] = field(default_factory=list)
    down: list[Message] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    told: list[Message] = field(default_factory=list)
    line: "LossyLine | None" = None

    def connect(self) -> None:
        """Let the link in, unless it is in."""
        if self.line is not None and not self.line.is_up:
            self.line.is_up = True
            self.line.happenings.append(Connected(IN_FLIGHT))

    def disconnect(self, forgets_what_is_up: bool) -> None:
        """Cut the link's line; paho may still hold what was not acknowledged, and send it again."""
        self.down.clear()
        if self.line is None or not self.line.is_up:
            return
        self.line.is_up = False
        self.line.happenings.append(Disconnected(0, "cut"))
        if forgets_what_is_up:
            self.up.clear()

    def take(self, *, passes_on: bool = True, says_so: bool = True, reason: int = 0) -> None:
        """Take the next message of the link: pass it on or not, acknowledge it or not."""
        if not self.up or self.line is None or not self.line.is_up:
            return
        sent = self.up.pop(0)
        if passes_on and sent.is_retained:
            self.kept[sent.topic] = sent.payload
        elif passes_on:
            self.events.append(Message(sent.topic, sent.payload, False))
        if says_so:
            self.line.happenings.append(Acknowledged(sent.mid, reason))

    def hand_down(self, message: Message) -> None:
        """Give a message to the link, if it is there."""
        if self.line is not None and self.line.is_up:
            self.line.happenings.append(Received(message.topic, message.payload, message.is_retained))

    def lose_everything(self) -> None:
        """Die without persistence."""
        self.disconnect(forgets_what_is_up=False)
        self.events.clear()
        self.kept.clear()


class LossyLine:
    """The link's end (``appliance.link.mqtt.MqttLine``)."""

    def __init__(self, broker: LossyBroker) -> None:
        self._broker = broker
        self.is_up = False
        self.happenings: list[Happening] = []
        self._mid = 0
        broker.line = self

    @classmethod
    def to(cls, broker: LossyBroker) -> Callable[[Address, tuple[str, bytes], Callable[[], None]], "LossyLine"]:
        """Return what stands where the class stands."""
        return lambda address, will, wake: cls(broker)

    def start(self) -> None:
        """Wait for the broker."""

    def stop(self) -> None:
        """Say goodbye."""

    def is_alive(self) -> bool:
        return True

    def meter(self, min_gap_s: float) -> None:
        """Nothing is connected by itself here."""

    def subscribe(self, topics: list[str]) -> None:
        """Get what the broker has kept."""
        for topic in topics:
            if topic in self._broker.kept:
                self._broker.hand_down(Message(topic, self._broker.kept[topic], True))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        self._mid += 1
        self._broker.up.append(Sent(topic, payload, retain, self._mid))
        return self._mid

    def take(self) -> list[Happening]:
        taken, self.happenings = self.happenings, []
        return taken


class Counter:
    """The ingest worker's end (``agency.broker.client.BrokerClient``): what the broker has kept, then what waits."""

    def __init__(self, broker: LossyBroker) -> None:
        self._broker = broker
        self._messages = [
            *(Message(topic, payload, True) for topic, payload in broker.kept.items() if topic.endswith("/receipt")),
            *broker.events,
        ]
        broker.events.clear()

    def check(self) -> None:
        """The network thread lives."""

    def next_message(self, seconds: float) -> Message | None:
        return self._messages.pop(0) if self._messages else None

    def publish_retained(self, topic: str, payload: str) -> int:
        receipt = Message(topic, payload.encode(), False)
        self._broker.kept[topic] = receipt.payload
        self._broker.told.append(receipt)
        if self._broker.line is not None and self._broker.line.is_up:
            self._broker.down.append(receipt)
        return len(self._broker.told)

    def is_drained(self) -> bool:
        return True
