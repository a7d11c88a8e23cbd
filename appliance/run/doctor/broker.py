"""The way to the agency's broker, step by step: its name, its port, its certificate, ours.

Only TLS is spoken. An MQTT CONNECT with the station's client id would end the running link's session.
"""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.config import Link, Settings
from appliance.errors import DeliveryError
from appliance.link.handshake import Greeting
from appliance.run.doctor.part import Finding, bad, good, unknown, within

WHOLE_PATIENCE_S = 4.5
_NAME_PATIENCE_S = 2.0
_ENROL = "'card-station enrol' brings the certificates"
_NETWORK = "look at the network ('ip route', 'resolvectl status') and at [link] host and port"

Addresses = list[tuple[Any, ...]]  # as socket.getaddrinfo returns them

#: Greeting -> what it means and how it is mended; ``{broker}`` is host and port.
_MEANINGS: dict[Greeting, tuple[str, str]] = {
    Greeting.UNTRUSTED: (
        "the certificate of {broker} is not by the CA in [link] ca",
        "correct [link] host and ca; where the agency has a new CA, enrol anew; else somebody stands in between",
    ),
    Greeting.TOO_EARLY: (
        "the certificate of {broker} does not count yet, so this machine's clock is wrong",
        "set the clock: 'timedatectl set-ntp true'",
    ),
    Greeting.TOO_LATE: (
        "the certificate of {broker} ran out, or this machine's clock is ahead",
        "look at the clock; where it is right, the agency must renew the broker's certificate",
    ),
    Greeting.OTHER_NAME: (
        "the certificate of {broker} is for another name",
        "set [link] host to the name that the agency's grant told",
    ),
    Greeting.REFUSED: (
        "{broker} refuses this station's certificate",
        "ask the agency whether this station was revoked; where its CA is a new one, enrol anew: 'card-station enrol'",
    ),
    Greeting.EXPIRED: (
        "{broker} refuses this station's certificate: it ran out",
        "'card-station enrol --request FILE', and take the file to the agency",
    ),
    Greeting.HUNG_UP: (
        "{broker} hangs up on this station",
        "look at the broker's log; the station's certificate may be refused or revoked",
    ),
    Greeting.NO_TLS: ("{broker} does not speak TLS", "correct [link] port: 8883 is usual"),
    Greeting.SILENT: ("{broker} takes the connection and says nothing", "correct [link] port; restart the broker"),
}


def broker(
    settings: Settings,
    state: Path,
    resolve: Callable[[str, int], Addresses],
    connect: Callable[[Addresses, float], Any],
    greet: Callable[[Any, float], Greeting],
) -> Finding:
    """Look for the broker.

    Args:
        settings: of this station; an empty host means that they could not be read.
        state: state directory.
        resolve: returns the addresses of a name, as ``resolve`` below.
        connect: returns a connected socket within so many seconds, as ``connect`` below.
        greet: speaks TLS on it within so many seconds; raises DeliveryError where our own files are not usable.
    """
    return _papers(settings, state) or _way(settings.link, resolve, connect, greet)


def _papers(settings: Settings, state: Path) -> Finding | None:
    """Return what is missing here for a try."""
    link = settings.link
    if not link.host:
        return unknown("without settings nobody knows the broker", "mend the settings first")
    for path in (state / link.ca, state / link.certificate, state / link.key):
        try:
            path.open("rb").close()
        except FileNotFoundError:
            return unknown(f"this station is not enrolled: there is no {path}", _ENROL)
        except OSError as error:
            return unknown(f"{path} cannot be read: {error.strerror}", "run it as the station's user, or as root")
    return None


def _way(
    link: Link,
    resolve: Callable[[str, int], Addresses],
    connect: Callable[[Addresses, float], Any],
    greet: Callable[[Any, float], Greeting],
) -> Finding:
    shown, end_s = f"{link.host}:{link.port}", time.monotonic() + WHOLE_PATIENCE_S
    try:
        addresses = within(_NAME_PATIENCE_S, lambda: resolve(link.host, link.port))
    except TimeoutError:
        return bad(f"no name server tells the address of {link.host}", _NETWORK)
    except (OSError, UnicodeError):
        return bad(f"the name {link.host} is not known", _NETWORK)
    try:
        line = connect(addresses, end_s - time.monotonic())
    except ConnectionRefusedError:
        return bad(f"{shown} refuses connections", "start the broker, or correct [link] port; look at its firewall")
    except TimeoutError:
        return bad(f"{shown} does not answer", f"{_NETWORK}; a firewall may be in between")
    except OSError as error:
        return bad(f"{shown} cannot be reached: {error.strerror}", _NETWORK)
    with closing(line):
        return _finding(shown, lambda: greet(line, max(end_s - time.monotonic(), 0.5)))


def _finding(shown: str, greet: Callable[[], Greeting]) -> Finding:
    try:
        greeting = greet()
    except DeliveryError as error:
        return bad(str(error), _ENROL)
    if greeting is Greeting.WELCOME:
        return good(f"{shown} is trusted, and takes this station's certificate")
    found, mend = _MEANINGS[greeting]
    return bad(found.format(broker=shown), mend)


def resolve(host: str, port: int) -> Addresses:
    """Return the addresses of a name. Raises OSError; may block for long."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def connect(addresses: Addresses, patience_s: float) -> socket.socket:
    """Return a connection to the first address that takes one.

    Args:
        addresses: as ``resolve`` returned them, at least one.
        patience_s: for all of them together.

    Raises:
        OSError: why the last one failed; TimeoutError where it did not answer.
    """
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        line, begun_s = socket.socket(family, kind, protocol), time.monotonic()
        try:
            line.settimeout(max(patience_s / left, 0.2))
            line.connect(address)
        except OSError:
            line.close()
            patience_s -= time.monotonic() - begun_s
            if left == 1:
                raise
        else:
            return line
    raise OSError("the name has no address")
