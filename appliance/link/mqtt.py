"""The line to the broker. Only this file and ``bounded_client`` import paho.

paho's callbacks run in the network thread; here they only append to a queue and wake the loop, because an exception
or a lock in a callback kills or blocks that thread while the library still says "connected". ``take`` hands the loop
what happened. paho holds at most a few messages in flight: the state database is the queue.

Whatever the broker sends, little of it is held (docs/adr/0021): while what was received waits for the loop, nothing
more is read.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.link.address import Address
from appliance.link.backoff import SHORTEST_S, Backoff
from appliance.link.bounded_client import MAX_IN_FLIGHT, BoundedClient
from appliance.link.network_thread import NetworkThread
from appliance.link.reasons import meaning

WAITING_BYTES = 1 << 20
WAITING_MESSAGES = 500
STEADY_S = 20.0
_NO_LIMIT_BYTES = 256 << 20  # what MQTT can say at all
_PACKET_OVERHEAD_BYTES = 32

_log = logging.getLogger(__name__)

_NOT_QUEUED = (MQTTErrorCode.MQTT_ERR_QUEUE_SIZE, MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE)


@dataclass(frozen=True)
class Connected:
    """The broker accepted us. ``in_flight`` is how many messages may wait for their PUBACK."""

    in_flight: int


@dataclass(frozen=True)
class Disconnected:
    """The line is down, or the broker refused us. ``reason`` is the broker's MQTT 5 reason code, 0 without one."""

    reason: int
    words: str


@dataclass(frozen=True)
class Acknowledged:
    """The broker took message ``mid``; it proves nothing about the agency. 0x10 and 0x80 or more are alarms."""

    mid: int
    reason: int


@dataclass(frozen=True)
class Received:
    """A message for us."""

    topic: str
    payload: bytes
    is_retained: bool


@dataclass(frozen=True)
class Subscribed:
    """The broker answered to ``subscribe``; a reason of 0x80 or more is a refusal of one topic."""

    reasons: tuple[int, ...]


@dataclass(frozen=True)
class Breach:
    """The broker did what no honest one does; the connection was ended. ``alarm`` names it."""

    alarm: str


Happening = Connected | Disconnected | Acknowledged | Received | Subscribed | Breach


class MqttLine:
    """One connection that comes back by itself, with growing pauses.

    Args:
        address: where and who.
        will: topic and payload that the broker publishes, retained, when we vanish.
        wake: called from the network thread whenever something happened; must return at once.
        backoff: the pauses.

    Raises:
        DeliveryError: a certificate or key file is missing or unusable.
    """

    def __init__(
        self, address: Address, will: tuple[str, bytes], wake: Callable[[], None], backoff: Backoff | None = None
    ) -> None:
        self._address = address
        self._wake = wake
        self._backoff = backoff or Backoff()
        self._happenings: deque[Happening] = deque()
        self._max_packet_bytes = _NO_LIMIT_BYTES
        self._received_bytes = self._taken_bytes = 0  # each is written by one thread only
        self._up_since_s: float | None = None
        self._parted = 0
        self._client = BoundedClient.made_for(address, will)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._thread = NetworkThread(self._connect, self._turn, self._pause_s)

    def start(self) -> None:
        """Connect in the background and stay connected."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye; the broker then publishes no will."""
        self._client.disable_logger()  # it calls the end of a connection that we end an error
        self._thread.end()  # first, so that a connection that comes up just now is ended by its own thread
        self._client.disconnect()
        self._thread.stop()

    def is_alive(self) -> bool:
        """Say whether the network thread still gets anywhere; a dead or stuck one never comes back."""
        return self._thread.is_alive()

    def meter(self, min_gap_s: float) -> None:
        """Leave at least this much time between two attempts to connect, as the agency asks for."""
        self._backoff.shortest_s = max(SHORTEST_S, min_gap_s)

    def subscribe(self, topics: list[str]) -> None:
        """Ask for ``topics`` with QoS 1."""
        self._client.subscribe([(topic, 1) for topic in topics])

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Hand a message to paho, QoS 1; return its number, None where paho takes no more now.

        The broker hangs up on a message over its limit, and paho would send it again for ever: it is not taken.
        """
        if len(payload) + len(topic) + _PACKET_OVERHEAD_BYTES > self._max_packet_bytes:
            _log.error("a message of %d bytes to %s is over the broker's limit", len(payload), topic)
            return None
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        return None if info.rc in _NOT_QUEUED else info.mid

    def take(self) -> list[Happening]:
        """Return what happened since the last call, in order."""
        taken = []
        while self._happenings:
            taken.append(self._happenings.popleft())
        self._taken_bytes += sum(len(one.payload) for one in taken if isinstance(one, Received))
        return taken

    def _connect(self) -> bool:
        """Connect once; say whether TLS stands. The broker's own answer comes as a happening."""
        self._parted = 0
        address = self._address
        try:
            self._client.call(address)
        except OSError as error:
            self._note(Disconnected(0, f"the broker cannot be reached, or TLS failed: {error.strerror or error}"))
            return False
        if self._thread.is_stopping:
            self._client.disconnect()
        return True

    def _turn(self) -> bool:
        """Send and take what there is; False once the connection is over."""
        if self._is_full() and not self._thread.is_stopping:
            time.sleep(0.02)  # TCP lets the broker wait meanwhile
            return True
        is_up = self._client.loop(1.0) == MQTTErrorCode.MQTT_ERR_SUCCESS
        if self._client.breach and not is_up:
            self._note(Breach(self._client.breach))
        return is_up

    def _is_full(self) -> bool:
        is_many = len(self._happenings) >= WAITING_MESSAGES
        return is_many or self._received_bytes - self._taken_bytes >= WAITING_BYTES

    def _pause_s(self) -> float:
        if self._up_since_s is not None and time.monotonic() - self._up_since_s >= STEADY_S:
            self._backoff.reset()
        self._up_since_s = None
        return max(self._backoff.next_s(), self._backoff.jittered_s(meaning(self._parted).pause_s))

    def _note(self, happening: Happening) -> None:
        self._happenings.append(happening)
        self._wake()

    def _on_connect(
        self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._part(reason)
            return
        self._up_since_s = time.monotonic()
        allowed = getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT)
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", _NO_LIMIT_BYTES)
        self._note(Connected(max(1, min(MAX_IN_FLIGHT, allowed))))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._part(reason)
        else:
            self._note(Disconnected(0, str(reason)))

    def _part(self, reason: ReasonCode) -> None:
        self._parted = reason.value
        self._note(Disconnected(reason.value, str(reason)))

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._note(Acknowledged(mid, reason.value))

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        self._note(Subscribed(tuple(reason.value for reason in reasons)))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._received_bytes += len(message.payload)
        self._note(Received(message.topic, bytes(message.payload), message.retain))
