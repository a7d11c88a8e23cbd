"""TLS with the broker and not a byte more: whether we trust it, and whether it takes our certificate.

Nothing of MQTT is sent, so a link that runs with the same certificate keeps its session. With TLS 1.3 a server tells
that it refuses a client's certificate only after the client is done with the handshake: so the line is read for a
moment. A server that wants us waits for our first packet in silence.

Source: RFC 8446, sections 4.4.2.4 and 6.2; OpenSSL's codes of certificate verification in ``x509_vfy.h``.
"""

import ssl
import time
from enum import Enum, auto
from typing import Any

from appliance.link.address import Address, tls_context

_MOMENT_S = 1.0
_EXPIRED = 10
_TOO_EARLY = 9
_OTHER_NAME = (62, 64)


class Greeting(Enum):
    """How the broker met us."""

    WELCOME = auto()
    UNTRUSTED = auto()
    TOO_EARLY = auto()
    TOO_LATE = auto()
    OTHER_NAME = auto()
    REFUSED = auto()
    EXPIRED = auto()
    HUNG_UP = auto()
    NO_TLS = auto()
    SILENT = auto()


def greet(line: Any, address: Address, patience_s: float) -> Greeting:
    """Speak TLS on a connection and tell how it went.

    Args:
        line: a connected ``socket.socket``; it is closed.
        address: the broker's name, and our files.
        patience_s: for all of it.

    Raises:
        DeliveryError: our own files are not usable.
    """
    context = tls_context(address)
    end_s = time.monotonic() + patience_s
    line.settimeout(patience_s)
    try:
        with context.wrap_socket(line, server_hostname=address.host) as tls:
            begun_s = end_s - patience_s
            moment_s = _MOMENT_S + time.monotonic() - begun_s  # a slow line is slow once more
            tls.settimeout(max(min(moment_s, end_s - time.monotonic()), 0.1))
            return _listen(tls)
    except ssl.SSLCertVerificationError as error:
        return _of_the_broker(error.verify_code)
    except ssl.SSLError as error:
        return _alert(error)
    except TimeoutError:
        return Greeting.SILENT
    except OSError:
        return Greeting.HUNG_UP


def _listen(tls: ssl.SSLSocket) -> Greeting:
    try:
        return Greeting.WELCOME if tls.recv(1) else Greeting.HUNG_UP
    except TimeoutError:
        return Greeting.WELCOME


def _of_the_broker(verify_code: int) -> Greeting:
    if verify_code in _OTHER_NAME:
        return Greeting.OTHER_NAME
    return {_TOO_EARLY: Greeting.TOO_EARLY, _EXPIRED: Greeting.TOO_LATE}.get(verify_code, Greeting.UNTRUSTED)


def _alert(error: ssl.SSLError) -> Greeting:
    """Return what an error of the protocol means; an alert comes from the broker and is about us."""
    reason = (error.reason or str(error)).upper()
    if "EXPIRED" in reason:
        return Greeting.EXPIRED
    if "ALERT" in reason:
        return Greeting.REFUSED
    return Greeting.HUNG_UP if "EOF" in reason else Greeting.NO_TLS
