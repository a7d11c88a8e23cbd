"""What an event must be before the agency counts it. Pure: bytes and keys in, a finding out.

Three ends. The signature does not hold: ``VerificationError``, and nothing of it is kept or covered. The signature
holds but the content does not: a finding with a ``code``, which is quarantined and, where its place in the chain can
be read, covered all the same. Everything holds: a finding without a code.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
from appliance.services.loading import shipped
from appliance.services.profile import Profile

REVOKED, TRIPPED = "revoked", "tripped"

_ALWAYS_REQUIRED = ("applet", "checksum")
_CLAIMED_BY = {"L2": "roster", "L3": "online"}  # level -> the check that it rests on
_RANDOM_FIELDS = ("id", "chain", "previous", "sealed")  # by chance, digits may follow each other in these


@dataclass(frozen=True)
class Rules:
    """What this agency asks of every event.

    Args:
        agency: agency id, or None to take any agency's (an export says whose it is by its keys alone).
        duty: thumbprints of every duty key that was ever published; a station may be away while keys change.
        escrow: likewise. A seal has one of each and nobody else, or it is of no use, or of use to a stranger.
        required: hash of a service profile that is known -> the checks without which it accepts nobody.
    """

    agency: str | None
    duty: frozenset[str]
    escrow: frozenset[str]
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, agency: str | None, jwks: Iterable[Jwk], profiles: Iterable[Profile] = ()) -> "Rules":
        """Return the rules of the agency with these public keys, which knows these services beside the shipped ones."""
        kids: dict[object, set[str]] = {"duty": set(), "escrow": set()}
        for jwk in jwks:
            kids.setdefault(jwk.get("purpose"), set()).add(str(jwk.get("kid")))
        required = {one.sha256: one.checks.required for one in (*shipped(), *profiles)}
        return cls(agency, frozenset(kids["duty"]), frozenset(kids["escrow"]), required)


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


def _contradicts_itself(data: dict[str, Any], rules: Rules) -> bool:
    """Say whether a visit claims a level without its check, or was accepted as no honest station accepts one."""
    if "corrected" in data:
        corrected = data["corrected"]
        is_yes = corrected["check"]["result"] == "pass"
        return not is_yes and (corrected["level"] == "L3" or corrected["verdict"] == "accepted")
    if "verdict" not in data:
        return False
    results = {name: check["result"] for name, check in data["checks"].items()}
    claimed = _CLAIMED_BY.get(data["level"])
    if claimed is not None and results.get(claimed) != "pass":
        return True
    if data["verdict"] != "accepted":
        return False
    known = rules.required.get(data["service"]["sha256"], ())
    is_missing = any(results.get(name) != "pass" for name in known)
    is_denied = any(results.get(name, "pass") != "pass" for name in _ALWAYS_REQUIRED)
    return is_missing or is_denied or data["level"] == "L0" or data["sealed"] is None


def _data_fault(data: dict[str, Any], context: str, rules: Rules) -> str | None:
    if _contradicts_itself(data, rules):
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
