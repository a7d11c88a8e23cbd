"""What an event must be before the agency counts it. Pure: bytes and keys in, a finding out.

Three ends. The signature does not hold: ``VerificationError``, and nothing of it is kept or covered. The signature
holds but the content does not: a finding with a ``code``, which is quarantined and, where its place in the chain can
be read, covered all the same. Everything holds: a finding without a code.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agency import citizen_number
from agency.clock import thai_day
from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events import strict_json
from appliance.events.chain import Position, jws_hash
from appliance.events.cloud_event import seal_context
from appliance.events.schema import EVENT
from appliance.events.sign import EVENT_TYPE, KeySet

MAX_BUNDLE_BYTES = 32 * 1024
MAX_BUNDLE_LINES = 32
REVOKED = "revoked"

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SEQUENCE = re.compile(r"[0-9]{10}")
_HASH = re.compile(r"[A-Za-z0-9_-]{43}")
_TELLING_CHECKS = ("applet", "checksum", "roster")  # every service requires these; others may advise only
_RANDOM_FIELDS = ("id", "chain", "previous", "sealed")  # by chance, digits may follow each other in these


@dataclass(frozen=True)
class Rules:
    """What this agency asks of every event.

    Args:
        agency: agency id, or None to take any agency's (an export says whose it is by its keys alone).
        recipients: thumbprints of the sealing keys; a seal that one of them cannot open is of no use.
    """

    agency: str | None
    recipients: frozenset[str]


@dataclass(frozen=True)
class Finding:
    """An event whose signature holds.

    Args:
        jws: as received.
        hash: of ``jws``.
        station: whose key signed it.
        kid: that key.
        position: its place in the chain, or None where that cannot be read.
        event: the payload.
        code: why it must not count, or None.
    """

    jws: str
    hash: str
    station: str
    kid: str
    position: Position | None
    event: dict[str, Any]
    code: str | None


class KeyRing:
    """The event keys of the stations, revoked ones too.

    Args:
        keys: any number.
    """

    def __init__(self, keys: Iterable[EventKey]) -> None:
        self._keys = {key.kid: (key, KeySet([key.jwk])) for key in keys}

    def open(self, jws: str) -> tuple[EventKey, dict[str, Any]]:
        """Return who signed an event, and its payload.

        Raises:
            VerificationError: no known key signed it as an event.
        """
        found = self._keys.get(_kid(jws))
        if found is None:
            raise VerificationError("signed by no known event key")
        key, key_set = found
        return key, key_set.verify(jws, EVENT_TYPE, "event")


def _kid(jws: str) -> str:
    """Return the key id that an unverified JWS names, ``""`` if it names none."""
    head = jws.partition(".")[0]
    try:
        return str(strict_json.decode_object(_unbase64(head)).get("kid", ""))
    except ValueError:
        raise VerificationError("not a compact JWS") from None


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


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


def inspect(jws: str, station: str, ring: KeyRing, rules: Rules) -> Finding:
    """Check one line that came over the topic of ``station``.

    Raises:
        VerificationError: the signature of that station does not hold.
    """
    key, event = ring.open(jws)
    if key.station != station:
        raise VerificationError("signed by another station's key")
    code = REVOKED if key.revoked_at else fault(event, station, rules)
    return Finding(jws, jws_hash(jws), station, key.kid, position_of(event), event, code)


def position_of(event: dict[str, Any]) -> Position | None:
    """Return the place that an event claims, or None where it cannot be read."""
    chain, sequence, previous = (event.get(name) for name in ("chain", "sequence", "previous"))
    shapes = ((chain, _ULID), (sequence, _SEQUENCE), (previous, _HASH))
    if not all(isinstance(text, str) and shape.fullmatch(text) for text, shape in shapes):
        return None
    number = int(str(sequence))
    return Position(str(chain), number, str(previous)) if number else None


def fault(event: dict[str, Any], station: str, rules: Rules) -> str | None:
    """Return the code of the first thing wrong with a payload, or None."""
    try:
        EVENT.check(event)
        thai_day(datetime.fromisoformat(event["time"]))
    except VerificationError:
        return "schema"
    except (ValueError, OverflowError):
        return "bad_time"
    position = position_of(event)
    if position is None:
        return "bad_position"
    agency, source_station = event["source"].split(":")[2:]
    if source_station != station or rules.agency not in (None, agency):
        return "wrong_source"
    if any(citizen_number.is_in(text) for text in clear_texts(event)):
        return "number_in_clear"
    return _data_fault(event["data"], seal_context(event["source"], position), rules)


def _contradicts_itself(data: dict[str, Any]) -> bool:
    """Say whether a visit was accepted that no honest station accepts."""
    if data.get("verdict") != "accepted":
        return False
    results = {data["checks"][name]["result"] for name in _TELLING_CHECKS if name in data["checks"]}
    return bool(results & {"fail", "could_not_check"}) or data["level"] == "L0" or data["sealed"] is None


def _data_fault(data: dict[str, Any], context: str, rules: Rules) -> str | None:
    if _contradicts_itself(data):
        return "contradiction"
    sealed = data.get("sealed")
    if sealed is None:
        return None
    try:
        if _unbase64(sealed["aad"]) != context.encode():
            return "seal_moved"
    except ValueError:
        return "seal_moved"
    recipients = {recipient["header"]["kid"] for recipient in sealed["recipients"]}
    return None if rules.recipients <= recipients else "seal_recipients"


def clear_texts(value: Any) -> Iterator[str]:
    """Yield every text and number of an event that stands in clear, as text; not the random ones."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in _RANDOM_FIELDS:
                yield name
                yield from clear_texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from clear_texts(part)
    elif isinstance(value, str | int | float):
        yield str(value)
