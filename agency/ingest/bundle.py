"""Opening bundles: whose their lines are, by as few signatures as that takes.

A signature costs more than everything else about an event. An event names the hash of the whole line before it, so
whoever signed the newest of a station's lines has signed for the older ones too (contract 7). They are opened from the
end, bundles that came together as one: a line that the line after it vouches for is taken by that, and every other line
by its own signature. Vouching asks for the same protected header, the same chain, the next number and the very hash;
where anything of that is odd, the line is looked at alone, as if it had come alone.

What is taken here is whose it is, and nothing more: ``verification.judge`` says of each line whether it counts.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events import strict_json
from appliance.events.chain import Position, jws_hash
from appliance.events.sign import EVENT_TYPE, KeySet

MAX_BUNDLE_BYTES = 32 * 1024
MAX_BUNDLE_LINES = 32

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SEQUENCE = re.compile(r"[0-9]{10}")
_HASH = re.compile(r"[A-Za-z0-9_-]{43}")
_REMEMBERED_KEYS = 10_000


@dataclass(frozen=True)
class Opened:
    """A line whose signer is certain.

    Args:
        jws: as received.
        hash: of ``jws``.
        key: the event key that signed it, or signed for it.
        position: its place in the chain, or None where that cannot be read.
        event: the payload.
    """

    jws: str
    hash: str
    key: EventKey
    position: Position | None
    event: dict[str, Any]


class KeyRing:
    """The event keys of the stations, revoked ones too.

    Args:
        keys: any number.
    """

    def __init__(self, keys: Iterable[EventKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    def open(self, jws: str) -> tuple[EventKey, dict[str, Any]]:
        """Return who signed an event, and its payload.

        Raises:
            VerificationError: no known key signed it as an event.
        """
        key = self._keys.get(_kid(jws))
        if key is None:
            raise VerificationError("signed by no known event key")
        return key, _key_set(strict_json.encode(key.jwk)).verify(jws, EVENT_TYPE, "event")


@lru_cache(maxsize=_REMEMBERED_KEYS)
def _key_set(jwk: bytes) -> KeySet:
    """Return one key ready to verify with: to read it costs a fifth of a signature, and it never changes."""
    return KeySet([strict_json.decode_object(jwk)])


def _kid(jws: str) -> str:
    """Return the key id that an unverified JWS names, ``""`` if it names none."""
    return str(_decoded(jws.partition(".")[0]).get("kid", ""))


def _decoded(part: str) -> dict[str, Any]:
    try:
        return strict_json.decode_object(unbase64(part))
    except ValueError:
        raise VerificationError("not a compact JWS") from None


def unbase64(text: str) -> bytes:
    """Return the bytes of base64url without padding; raises ValueError where a character is none of it."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def position_of(event: dict[str, Any]) -> Position | None:
    """Return the place that an event claims, or None where it cannot be read."""
    chain, sequence, previous = (event.get(name) for name in ("chain", "sequence", "previous"))
    shapes = ((chain, _ULID), (sequence, _SEQUENCE), (previous, _HASH))
    if not all(isinstance(text, str) and shape.fullmatch(text) for text, shape in shapes):
        return None
    number = int(str(sequence))
    return Position(str(chain), number, str(previous)) if number else None


def split_bundle(payload: bytes) -> list[str]:
    """Return the JWS lines of a message.

    Raises:
        VerificationError: too large, empty, or too many lines. A line that is no text only spoils itself.
    """
    if len(payload) > MAX_BUNDLE_BYTES:
        raise VerificationError("the bundle is over 32 KiB")
    lines = [line for line in payload.decode("ascii", errors="replace").splitlines() if line]
    if not 1 <= len(lines) <= MAX_BUNDLE_LINES:
        raise VerificationError("the bundle does not hold 1 to 32 lines")
    return lines


def open_lines(lines: Sequence[str], ring: KeyRing) -> list[Opened | VerificationError]:
    """Return each line opened, or why it cannot be, in the order of the lines."""
    opened: list[Opened | VerificationError] = []
    later: Opened | None = None
    for jws in reversed(lines):
        try:
            later = open_line(jws, ring, later)
            opened.append(later)
        except VerificationError as error:
            later = None
            opened.append(error)
        except Exception as error:  # noqa: BLE001 - a line that trips us must not take its neighbours along
            later = None
            opened.append(VerificationError(f"inspection failed: {type(error).__name__}"))
    return opened[::-1]


def open_line(jws: str, ring: KeyRing, later: Opened | None = None) -> Opened:
    """Open one line, by the line after it or by its own signature.

    Raises:
        VerificationError: nobody we know signed it.
    """
    hash_ = jws_hash(jws)
    if later is not None and later.event.get("previous") == hash_:
        vouched = _vouched(jws, hash_, later)
        if vouched is not None:
            return vouched
    key, event = ring.open(jws)
    return Opened(jws, hash_, key, position_of(event), event)


def _vouched(jws: str, hash_: str, later: Opened) -> Opened | None:
    """Return the line that ``later`` names by its hash, or None where it is not plainly the event before."""
    head, body, *signature = jws.split(".")
    if len(signature) != 1 or head != later.jws.partition(".")[0]:
        return None
    try:
        event = _decoded(body)
    except VerificationError:
        return None
    position = position_of(event)
    if position is None or later.position != Position(position.chain, position.sequence + 1, hash_):
        return None
    return Opened(jws, hash_, later.key, position, event)
