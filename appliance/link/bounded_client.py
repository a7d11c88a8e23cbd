"""paho's client as we want it: it connects when told to, and holds only so much of what a broker sends.

paho has no bound of its own. It asks for the rest of a packet with the packet's length, so here a packet that is too
large is known before it is read; that method is not part of paho's public face, and ``tests/system/test_rogue_broker``
fails where a new version calls it no more.
"""

import logging

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance.link.address import Address, tls_context

MAX_IN_FLIGHT = 20
SESSION_EXPIRY_S = 86_400
LARGEST_BYTES = 512 << 10  # twice what the agency's broker lets pass

_log = logging.getLogger(__name__)


class BoundedClient(Client):
    """A client that never connects by itself. ``breach`` names what the broker did that no honest one does."""

    breach = ""

    @classmethod
    def made_for(cls, address: Address, will: tuple[str, bytes]) -> "BoundedClient":
        """Return a client for ``address`` with a retained ``will``. Raises DeliveryError."""
        client = cls(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if address.is_mqtt_5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if address.is_mqtt_5 else False,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.enable_logger(_log)  # or an exception in a callback is not even logged
        client.on_socket_register_write = lambda *_: None  # else publish() would write in the thread that calls it
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.max_queued_messages_set(2 * MAX_IN_FLIGHT)
        client.tls_set_context(tls_context(address))
        client.will_set(will[0], will[1], qos=1, retain=True)
        return client

    def call(self, address: Address) -> None:
        """Connect and ask for a session that outlives us; the answer comes later. Raises OSError."""
        self.breach = ""
        if not address.is_mqtt_5:  # there the client said so when it was made
            self.connect(address.host, address.port, address.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = LARGEST_BYTES
        self.connect(address.host, address.port, address.keepalive_s, clean_start=False, properties=properties)

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > LARGEST_BYTES:
            self.breach = "oversized_message"
        elif self._in_messages:  # of QoS 2, which we never ask for, and which paho would keep
            self.breach = "unasked_message"
            self._in_messages.clear()
        if self.breach:
            raise ConnectionAbortedError(self.breach)
        return super()._sock_recv(bufsize)
