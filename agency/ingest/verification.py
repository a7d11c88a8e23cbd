"""What an event must be before the agency counts it. Pure: bytes and keys in, a finding out.

Three ends. The signature does not hold: ``VerificationError``, and nothing of it is kept or covered. The signature
holds but the content does not: a finding with a ``code``, which is quarantined and, where its place in the chain can
be read, covered all the same. Everything holds: a finding without a code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agency import citizen_number
from agency.clock import thai_day
from agency.ingest.bundle import KeyRing, Opened, open_line, unbase64
from agency.ingest.shape import is_event
from appliance.errors import VerificationError
from appliance.events.chain import Position
from appliance.events.cloud_event import seal_context
from appliance.events.sign import Jwk

REVOKED = "revoked"

_TELLING_CHECKS = ("applet", "checksum", "roster")  # every service requires these; others may advise only
_RANDOM_FIELDS = ("id", "chain", "previous", "sealed")  # by chance, digits may follow each other in these


@dataclass(frozen=True)
class Rules:
    """What this agency asks of every event.

    Args:
        agency: agency id, or None to take any agency's (an export says whose it is by its keys alone).
        duty: thumbprints of every duty key that was ever published; a station may be away while keys change.
        escrow: likewise. A seal has one of each and nobody else, or it is of no use, or of use to a stranger.
    """

    agency: str | None
    duty: frozenset[str]
    escrow: frozenset[str]

    @classmethod
    def of(cls, agency: str | None, jwks: Iterable[Jwk]) -> "Rules":
        """Return the rules of the agency with these public keys."""
        kids: dict[object, set[str]] = {"duty": set(), "escrow": set()}
        for jwk in jwks:
            kids.setdefault(jwk.get("purpose"), set()).add(str(jwk.get("kid")))
        return cls(agency, frozenset(kids["duty"]), frozenset(kids["escrow"]))


@dataclass(frozen=True)
class Finding:
    """An event whose signer is certain.

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


def inspect(jws: str, station: str, ring: KeyRing, rules: Rules) -> Finding:
    """Check one line that came alone over the topic of ``station``.

    Raises:
        VerificationError: the signature of that station does not hold.
    """
    return judge(open_line(jws, ring), station, rules)


def judge(opened: Opened, station: str, rules: Rules) -> Finding:
    """Say of an opened line that came over the topic of ``station`` whether it counts.

    Raises:
        VerificationError: another station signed it.
    """
    key = opened.key
    if key.station != station:
        raise VerificationError("signed by another station's key")
    code = REVOKED if key.revoked_at else fault(opened.event, opened.position, station, rules)
    return Finding(opened.jws, opened.hash, station, key.kid, opened.position, opened.event, code)


def fault(event: dict[str, Any], position: Position | None, station: str, rules: Rules) -> str | None:
    """Return the code of the first thing wrong with a payload that claims a position, or None."""
    if not is_event(event):
        return "schema"
    try:
        thai_day(datetime.fromisoformat(event["time"]))
    except (ValueError, OverflowError):
        return "bad_time"
    if position is None:
        return "bad_position"
    agency, source_station = event["source"].split(":")[2:]
    if source_station != station or rules.agency not in (None, agency):
        return "wrong_source"
    if citizen_number.is_in(clear_text(event)):
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
        if unbase64(sealed["aad"]) != context.encode():
            return "seal_moved"
    except ValueError:
        return "seal_moved"
    recipients = {recipient["header"]["kid"] for recipient in sealed["recipients"]}
    is_for_both = recipients & rules.duty and recipients & rules.escrow
    return None if is_for_both and recipients <= rules.duty | rules.escrow else "seal_recipients"


def clear_text(event: dict[str, Any]) -> str:
    """Return every name, text and number of an event that stands in clear, one a line; not the random ones."""
    texts: list[str] = []
    waiting: list[Any] = [event]
    for part in waiting:  # grows meanwhile
        if isinstance(part, dict):
            texts += part
            waiting += [inner for name, inner in part.items() if name not in _RANDOM_FIELDS]
        elif isinstance(part, list):
            waiting += part
        elif part is not None:
            texts.append(part if isinstance(part, str) else str(part))
    return "\n".join(texts)
