"""The agency's MQTT 5 client: the only import of paho in this package.

Callbacks only enqueue and log; whoever owns the client reads ``next_message`` in its own thread. The session is
clean: what the broker forgets, stations send again until a receipt covers it, and a persistent session of a dead
worker would starve the fleet. ``check`` raises once the network thread is gone: a client that is deaf without
anybody noticing is worse than none.
"""

import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agency.broker.configuration import MAX_PACKET_BYTES
from appliance.errors import DeliveryError

_log = logging.getLogger(__name__)

_KEEPALIVE_S = 30
_MAX_WAITING_MESSAGES = 1000
_MAX_OUTGOING_MESSAGES = 10_000
_REMEMBERED_REASONS = 1000


@dataclass(frozen=True)
class Login:
    """Where the broker is and who we are.

    Args:
        user: our name, the CN of our certificate.
        host: of the broker.
        port: of the broker.
        ca: certificate of the CA.
        certificate: ours.
        key: its private key.
    """

    user: str
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Message:
    """A message as it came.

    Args:
        topic: its topic.
        payload: its bytes.
        is_retained: the broker kept it, or its sender asked for that.
    """

    topic: str
    payload: bytes
    is_retained: bool


class BrokerClient:
    """One connection to the broker, kept up by itself.

    Args:
        login: where and who.
        topics: what to subscribe to, anew at every connect, with QoS 1.
        kept: of these topics, what the broker has kept; what comes too fast is passed over, and what comes later is
            not marked as kept.
        largest: a message of more bytes is dropped and logged before it waits for anybody: this bounds our memory.

    Raises:
        DeliveryError: our certificate or key cannot be used.
    """

    def __init__(
        self,
        login: Login,
        topics: tuple[str, ...] = (),
        *,
        kept: tuple[str, ...] = (),
        largest: int = MAX_PACKET_BYTES,
    ) -> None:
        self._login = login
        self._kept = kept
        self._largest = largest
        self._topics = topics
        self._messages: queue.Queue[Message] = queue.Queue(_MAX_WAITING_MESSAGES)
        self._is_connected = threading.Event()
        self._published = 0
        self._acknowledged = 0
        self._reasons: deque[tuple[int, ReasonCode]] = deque(maxlen=_REMEMBERED_REASONS)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_missed = False
        self._client = self._make_client()

    def _make_client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._login.user, protocol=MQTTv5)
        try:
            client.tls_set(str(self._login.ca), str(self._login.certificate), str(self._login.key))
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the certificate of {self._login.user} cannot be used: {error}") from None
        client.suppress_exceptions = True  # an exception would end the network thread without a word
        client.max_queued_messages_set(_MAX_OUTGOING_MESSAGES)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def start(self) -> None:
        """Start connecting; returns at once."""
        self._client.connect_async(self._login.host, self._login.port, _KEEPALIVE_S, clean_start=True)
        before = set(threading.enumerate())
        self._client.loop_start()
        started = [t for t in threading.enumerate() if t not in before and t.name.startswith("paho-mqtt-client")]
        self._thread = started[0] if started else None

    def check(self) -> None:
        """Check that the network thread lives.

        Raises:
            DeliveryError: it does not; this client will never do anything again.
        """
        if self._thread is None or not self._thread.is_alive():
            raise DeliveryError("the network thread of the MQTT client has ended")

    def wait_connected(self, seconds: float) -> None:
        """Wait for the connection.

        Raises:
            DeliveryError: there is none within that time.
        """
        if not self._is_connected.wait(seconds):
            where = f"{self._login.host}:{self._login.port}"
            raise DeliveryError(
                f"no broker at {where} within {seconds:.0f} s: 'card-agency run' starts it, --broker names another"
            )

    def next_message(self, seconds: float) -> Message | None:
        """Return the next message, or None if none came within ``seconds``."""
        try:
            return self._messages.get(timeout=seconds) if seconds > 0 else self._messages.get_nowait()
        except queue.Empty:
            return None

    def publish_retained(self, topic: str, payload: str) -> int:
        """Give a retained QoS 1 message to the broker, now or when it is back; return its number.

        Raises:
            DeliveryError: too many messages wait already.
        """
        return self._publish(topic, payload, is_retained=True)

    def publish(self, topic: str, payload: str) -> int:
        """Give a QoS 1 message to the broker that it does not keep; return its number. May be called in any thread.

        Raises:
            DeliveryError: too many messages wait already.
        """
        return self._publish(topic, payload, is_retained=False)

    def _publish(self, topic: str, payload: str, *, is_retained: bool) -> int:
        info = self._client.publish(topic, payload.encode(), qos=1, retain=is_retained)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            raise DeliveryError(f"the MQTT client takes no more messages: {info.rc.name}")
        with self._changed:
            self._published += 1
        return info.mid

    def wait_acknowledged(self, number: int, seconds: float) -> None:
        """Wait for the broker's PUBACK of message ``number``, and read its reason code.

        Raises:
            DeliveryError: none came within that time, or the broker refused.
        """
        with self._changed:
            self._changed.wait_for(lambda: number in dict(self._reasons), seconds)
            reason = dict(self._reasons).get(number)
        if reason is None:
            raise DeliveryError(f"the broker did not acknowledge within {seconds:.0f} s")
        if reason.is_failure:
            raise DeliveryError(f"the broker refused: {reason}")

    def is_drained(self) -> bool:
        """Say whether the broker has acknowledged everything that was published."""
        with self._changed:
            return self._acknowledged >= self._published

    def stop(self, seconds: float) -> None:
        """Give what was published up to ``seconds`` to be acknowledged, then disconnect."""
        with self._changed:
            self._changed.wait_for(lambda: self._acknowledged >= self._published, seconds)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None) -> None:
        if reason.is_failure:
            _log.error("the broker refused the connection: %s", reason)
            return
        for name in self._kept:  # first: what these say must be known before anything new comes
            client.subscribe(name, options=SubscribeOptions(qos=0, noLocal=True))
        for name in self._topics:
            client.subscribe(name, options=SubscribeOptions(qos=1, retainAsPublished=True))
        _log.info("connected to the broker at %s:%d", self._login.host, self._login.port)
        self._is_missed = False
        self._is_connected.set()

    def _on_connect_fail(self, _: Client, __: Any) -> None:
        level = logging.DEBUG if self._is_missed else logging.WARNING  # once until it is back
        self._is_missed = True
        _log.log(level, "no broker at %s:%d; trying again", self._login.host, self._login.port)

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._is_connected.clear()
        _log.log(logging.WARNING if reason.is_failure else logging.INFO, "disconnected: %s", reason)

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("the broker refused a subscription: %s", ", ".join(map(str, reasons)))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        if len(message.payload) > self._largest:
            _log.warning("%s: dropped: the bundle is over %d KiB", message.topic, self._largest // 1024)
            return
        try:
            self._messages.put_nowait(Message(message.topic, bytes(message.payload), message.retain))
        except queue.Full:
            if any(topic_matches_sub(name, message.topic) for name in self._kept):
                return
            _log.warning("overloaded: dropped a message of %s; its sender will send again", message.topic)

    def _on_publish(self, _: Client, __: Any, number: int, reason: ReasonCode, ___: Properties | None) -> None:
        if reason.is_failure:
            _log.error("the broker refused a message: %s", reason)
        with self._changed:
            self._acknowledged += 1
            self._reasons.append((number, reason))
            self._changed.notify_all()
