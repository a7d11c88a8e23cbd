"""What mosquitto is told: who may connect, as whom, and which topics each may write and read.

The broker is trusted with delivery and nothing else. Identity comes from the certificate alone: its CN is the user
name and the client id, so no station can take over another's session. A station reaches its own topics only.

Source: mosquitto.conf(5); docs of the traps: ``max_queued_messages 0`` disconnects a client at each denied publish,
and without ``set_tcp_nodelay`` a TLS 1.3 handshake waits for a delayed ACK. ``max_packet_size`` bounds what comes over
MQTT 3.1.1 too, so the deprecated ``message_size_limit`` is not needed.
"""

from dataclasses import dataclass
from pathlib import Path

INGEST_USER = "agency-ingest"
MAX_WORKERS = 8
LINKAGE_USER = "agency-linkage"
DESK_USER = "agency-desk"
MAX_PACKET_BYTES = 262144  # a roster of 10,000

_CONFIGURATION = """\
# Made by card-agency init. mosquitto 2.0.11 or newer.
per_listener_settings false
allow_anonymous false
acl_file {broker}/acl

listener {port}
cafile {ca}
certfile {tls}/server.pem
keyfile {tls}/server.key
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
set_tcp_nodelay true

max_queued_messages 10000
max_inflight_messages 20
max_packet_size {packet}
persistent_client_expiration 2d

persistence true
persistence_location {broker}/data/
autosave_interval 60

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
user {user}
"""

_INGEST_ACCESS = """\
user {user}
topic read cs/1/{agency}/+/event
topic read cs/1/{agency}/+/status
topic readwrite cs/1/{agency}/+/receipt
"""

_ACCESS = """\
# Made by card-agency init. A user that is named here is the agency's own; no station may be called agency-*.
{ingest}
user {linkage}
topic read cs/1/{agency}/+/query
topic write cs/1/{agency}/+/answer

user {desk}
topic read cs/1/{agency}/+/status
topic read cs/1/{agency}/+/reply
topic write cs/1/{agency}/+/document/#
topic write cs/1/{agency}/+/command

# Every station, %u being the CN of its certificate
pattern write cs/1/{agency}/%u/event
pattern write cs/1/{agency}/%u/status
pattern write cs/1/{agency}/%u/query
pattern write cs/1/{agency}/%u/reply
pattern read cs/1/{agency}/%u/answer
pattern read cs/1/{agency}/%u/receipt
pattern read cs/1/{agency}/%u/document/#
pattern read cs/1/{agency}/%u/command
"""


def ingest_user(number: int) -> str:
    """Return the name of an ingest worker, from 1: the broker lets in one client of a name."""
    return INGEST_USER if number == 1 else f"{INGEST_USER}-{number}"


@dataclass(frozen=True)
class Broker:
    """Where the broker's files lie and what it serves.

    Args:
        agency: agency id.
        port: TCP port, 1-65535.
        directory: of ``acl`` and ``data/``.
        tls: directory of the server's certificate and key.
        ca: the CA's certificate.
        user: the system user it runs as.
    """

    agency: str
    port: int
    directory: Path
    tls: Path
    ca: Path
    user: str

    def configuration(self) -> str:
        """Return ``mosquitto.conf``."""
        return _CONFIGURATION.format(
            broker=self.directory,
            port=self.port,
            ca=self.ca,
            tls=self.tls,
            packet=MAX_PACKET_BYTES,
            user=self.user,
        )

    def access(self) -> str:
        """Return the ACL file."""
        workers = (_INGEST_ACCESS.format(agency=self.agency, user=ingest_user(n)) for n in range(1, MAX_WORKERS + 1))
        ingest = "\n".join(workers)
        return _ACCESS.format(agency=self.agency, ingest=ingest, linkage=LINKAGE_USER, desk=DESK_USER)
