"""Where the broker is, who we are, and what TLS to it is spoken with."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Settings
from appliance.errors import DeliveryError


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
        protocol: of MQTT: ``5`` or ``3.1.1``.
    """

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path
    keepalive_s: int
    protocol: str = "5"

    @classmethod
    def of(cls, settings: Settings, state: Path) -> "Address":
        """Return the address that the settings name, with the files of the state directory."""
        link = settings.link
        return cls(
            host=link.host,
            port=link.port,
            client_id=settings.station.id,
            ca=state / link.ca,
            certificate=state / link.certificate,
            key=state / link.key,
            keepalive_s=link.keepalive_s,
            protocol=link.protocol.value,
        )

    @property
    def is_mqtt_5(self) -> bool:
        """Say whether MQTT 5 is spoken."""
        return self.protocol == "5"


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
