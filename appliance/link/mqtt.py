"""The line to the broker: the only file of the appliance that imports paho.

paho's callbacks run in its own thread; here they only append to a queue and wake the loop, because an exception or
a lock in a callback kills or blocks that thread while the library still says "connected". ``take`` hands the loop
what happened. paho holds at most a few messages in flight: the state database is the queue.
"""

import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.errors import DeliveryError

MAX_IN_FLIGHT = 20
SESSION_EXPIRY_S = 86_400
NO_MATCHING_SUBSCRIBERS = 0x10
SESSION_TAKEN_OVER = 0x8E
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
    """The line is down, or the broker refused us. ``reason`` is the MQTT 5 reason code, 0 where there is none."""

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


Happening = Connected | Disconnected | Acknowledged | Received


@dataclass(frozen=True)
class Address:
    """Where the broker is, who we are, and how we prove it.

    Args:
        host: name that the broker's certificate must carry.
        port: TCP port.
        client_id: station id; the broker takes it from the certificate anyway.
        ca: the agency's CA, PEM.
        certificate: ours, PEM.
        key: its private key, PEM.
        keepalive_s: longest silence on the line.
    """

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path
    keepalive_s: int


class MqttLine:
    """One connection that comes back by itself, with growing pauses.

    Args:
        address: where and who.
        will: topic and payload that the broker publishes, retained, when we vanish.
        wake: called from paho's thread whenever something happened; must return at once.

    Raises:
        DeliveryError: a certificate or key file is missing or unusable.
    """

    def __init__(self, address: Address, will: tuple[str, bytes], wake: Callable[[], None]) -> None:
        self._address = address
        self._wake = wake
        self._happenings: deque[Happening] = deque()
        self._max_packet_bytes = _NO_LIMIT_BYTES
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.suppress_exceptions = True
        client.enable_logger(_log)  # or an exception in a callback is not even logged
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.max_queued_messages_set(2 * MAX_IN_FLIGHT)
        client.reconnect_delay_set(1, 60)
        client.tls_set_context(tls_context(address))
        client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect in the background and stay connected."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect_async(
            self._address.host,
            self._address.port,
            keepalive=self._address.keepalive_s,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye; the broker then publishes no will."""
        self._client.disable_logger()  # it calls the end of a connection that we end an error
        self._client.disconnect()
        self._client.loop_stop()

    def is_alive(self) -> bool:
        """Say whether paho's thread still runs; a dead one never comes back."""
        thread = self._client._thread
        return thread is not None and thread.is_alive()

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
        return taken

    def _note(self, happening: Happening) -> None:
        self._happenings.append(happening)
        self._wake()

    def _on_connect(
        self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._note(Disconnected(reason.value, str(reason)))
            return
        allowed = getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT)
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", _NO_LIMIT_BYTES)
        self._note(Connected(max(1, min(MAX_IN_FLIGHT, allowed))))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._note(Disconnected(reason.value, str(reason)))

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._note(Disconnected(0, "the broker cannot be reached, or TLS failed"))

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._note(Acknowledged(mid, reason.value))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._note(Received(message.topic, bytes(message.payload), message.retain))


def tls_context(address: Address) -> ssl.SSLContext:
    """Return what TLS to the broker is spoken with. Raises DeliveryError."""
    try:
        context = ssl.create_default_context(cafile=str(address.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(address.certificate), str(address.key), password="")  # or OpenSSL asks a terminal
    except OSError as error:  # ssl.SSLError is one too
        raise DeliveryError(
            f"TLS files are not usable ({error.strerror or error}): run 'card-station enrol', or mend [link]"
        ) from None
    return context
