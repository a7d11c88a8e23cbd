"""Verifying exported events offline: no store, no network, only the agency's public documents.

An export is one JWS a line. What is broken is told by line number; a chain must go on without a gap, every event must
link to the one before, a seal must be where a person was read, and nothing of a person may stand in clear.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from agency.ingest.bundle import KeyRing, open_line
from agency.ingest.times import floor_after
from agency.ingest.verification import Finding, Rules, fault
from agency.store.chains import ChainKey
from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events.chain import Position
from appliance.events.sign import Jwk

MAX_LISTED = 1000


@dataclass(frozen=True)
class Problem:
    """What is broken.

    Args:
        line: 1 or more.
        code: short and stable, such as ``signature`` or ``gap``.
        text: a sentence.
    """

    line: int
    code: str
    text: str


@dataclass
class Verification:
    """What an export came to.

    Args:
        events: lines read.
        chains: how many chains.
        revoked: stations that signed events with a key that was revoked, and when it was.
        problems: in order of lines, the first ``MAX_LISTED``.
        unlisted: how many more there are.
    """

    events: int = 0
    chains: int = 0
    revoked: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unlisted: int = 0

    def add(self, problem: Problem) -> None:
        """Note a problem; a file of garbage must not fill the memory with them."""
        if len(self.problems) < MAX_LISTED:
            self.problems.append(problem)
        else:
            self.unlisted += 1


def keys_from_jwks(jwks: Iterable[Jwk]) -> list[EventKey]:
    """Return the event keys in ``stations.jwks``."""
    return [EventKey(str(jwk.get("kid")), str(jwk.get("station")), jwk, "", jwk.get("revoked_at")) for jwk in jwks]


def verify_export(
    lines: Iterable[str], ring: KeyRing, rules: Rules, progress: Callable[[int], None] = lambda done: None
) -> Verification:
    """Check every line, and how the lines of a chain follow each other."""
    result = Verification()
    expected: dict[ChainKey, Position] = {}
    story = _Story()
    for number, text in enumerate(lines, 1):
        jws = text.strip()
        if not jws:
            continue
        result.events += 1
        progress(result.events)
        try:
            finding = _inspect(jws, ring, rules, result.revoked)
        except VerificationError as error:
            result.add(Problem(number, "signature", str(error)))
            continue
        if finding.code:
            result.add(Problem(number, finding.code, "the content does not hold"))
        problem = _chain_problem(number, finding, expected)
        if problem:
            result.add(problem)
        elif finding.code is None:
            for code, words in story.contradictions(finding):
                result.add(Problem(number, code, words))
    result.chains = len(expected)
    return result


class _Story:
    """What events of the export said before."""

    def __init__(self) -> None:
        self._floors: dict[ChainKey, datetime] = {}
        self._ids: set[int] = set()  # hashes of them: an export can be larger than the memory

    def contradictions(self, finding: Finding) -> Iterator[tuple[str, str]]:
        """Yield what an event that holds says against the ones before."""
        event, position = finding.event, finding.position
        if position is None:
            return
        key, time = ChainKey(position.chain, finding.kid), datetime.fromisoformat(event["time"])
        if time < self._floors.get(key, time):
            yield "time", f"dated {event['time']}, before the event before it"
        self._floors[key] = floor_after(event)
        one = hash((event["source"], event["id"]))
        if one in self._ids:
            yield "twice", "an event before it has the same id"
        self._ids.add(one)


def _inspect(jws: str, ring: KeyRing, rules: Rules, revoked: dict[str, str]) -> Finding:
    opened = open_line(jws, ring)
    key, event = opened.key, opened.event
    if key.revoked_at:
        revoked[key.station] = str(key.revoked_at)
    code = fault(event, opened.position, key.station, rules)
    return Finding(jws, opened.hash, key.station, key.kid, opened.position, event, code)


def _chain_problem(line: int, finding: Finding, expected: dict[ChainKey, Position]) -> Problem | None:
    """Compare an event with what must come next in its chain, and note what must come after it."""
    position = finding.position
    if position is None:
        return Problem(line, "bad_position", "the event's place in its chain cannot be read")
    key, first = ChainKey(position.chain, finding.kid), Position(position.chain, 1, finding.kid)
    awaited = expected.get(key, first)
    expected[key] = position.after(finding.jws)
    if position.sequence > awaited.sequence:
        return Problem(line, "gap", f"{awaited.sequence} to {position.sequence - 1} are missing")
    if position.sequence < awaited.sequence:
        return Problem(line, "order", f"{position.sequence} comes again or too late")
    if position.previous != awaited.previous:
        return Problem(line, "chain", "the event does not link to the one before")
    return None
