"""One batch: messages in, one transaction, and a tally of what became of each event. No MQTT here.

A line that is not the station's is dropped, counted and logged by station and reason, never by content: one log line
for each station and batch, whatever that holds.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agency.ingest.bundle import KeyRing, Opened, open_lines, split_bundle
from agency.ingest.commit import Advance, Ledger, Outcome
from agency.ingest.receipts import Address, Urgency
from agency.ingest.verification import Finding, Rules, judge
from agency.store.chains import ChainKey
from agency.store.database import Database
from agency.store.epoch import count_commit
from agency.store.stations import event_keys
from appliance.errors import VerificationError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """What one message brought.

    Args:
        station: from the topic.
        payload: the bytes.
    """

    station: str
    payload: bytes


@dataclass
class Tally:
    """What a batch came to.

    Args:
        outcomes: number of events by station and outcome (``dropped`` is one).
        urgencies: the receipts to send, and how soon.
        alarms: what the log is told of single events, with the level, once they are durable.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    urgencies: dict[Address, Urgency] = field(default_factory=dict)
    alarms: list[tuple[int, str]] = field(default_factory=list)

    def count(self, station: str, outcome: str) -> None:
        """Count one event."""
        self.outcomes[station, outcome] += 1

    def lines(self) -> list[str]:
        """Return one line for each station: counts, nothing else."""
        stations = sorted({station for station, _ in self.outcomes})
        return [f"station {station}: {self._counts(station)}" for station in stations]

    def _counts(self, station: str) -> str:
        own = sorted((outcome, count) for (name, outcome), count in self.outcomes.items() if name == station)
        return ", ".join(f"{count} {outcome}" for outcome, count in own)


def take(database: Database, rules: Rules, bundles: Sequence[Bundle]) -> Tally:
    """Verify and commit a batch in one transaction; durable when this returns.

    Raises:
        DatabaseError: nothing was kept; the stations will send again.
    """
    tally = Tally()
    came: Counter[Address] = Counter()
    with database.write() as connection:
        ring = KeyRing(event_keys(connection, *{bundle.station for bundle in bundles}))
        findings = [
            finding
            for station, payloads in _by_station(bundles).items()
            for finding in _findings(station, payloads, ring, rules, tally)
        ]
        ledger = Ledger.of(connection, findings)
        for finding in findings:
            chain = _take_one(ledger, finding, tally)
            if chain is not None:
                came[Address(finding.station, chain)] += 1
        for station, reason in ledger.successors:
            tally.alarms.append((logging.ERROR, f"station {station}: {reason}: another chain by the same key begins"))
        came.update(dict.fromkeys(ledger.reopened, 2))  # at once, as for a backlog
        for address, count in came.items():
            is_next = ledger.advance(address.chain) == Advance(1, has_gap=False)
            tally.urgencies[address] = Urgency.NEW if count == 1 and is_next else Urgency.BACKLOG
        ledger.write()
        count_commit(connection)
    for level, alarm in tally.alarms:  # not sooner: who reads one finds it in the store, and a batch may be rolled back
        _log.log(level, alarm)
    return tally


def _by_station(bundles: Iterable[Bundle]) -> dict[str, list[bytes]]:
    """Return what each station sent, in the order in which it came."""
    found = defaultdict[str, list[bytes]](list)
    for bundle in bundles:
        found[bundle.station].append(bundle.payload)
    return found


def _findings(station: str, payloads: Iterable[bytes], ring: KeyRing, rules: Rules, tally: Tally) -> list[Finding]:
    findings = []
    reasons: Counter[str] = Counter()
    lines: list[str] = []
    for payload in payloads:
        try:
            lines += split_bundle(payload)
        except VerificationError as error:
            reasons[str(error)] += 1
    for line in open_lines(lines, ring):
        try:
            findings.append(_judged(line, station, rules))
        except VerificationError as error:
            reasons[str(error)] += 1
        except Exception as error:  # noqa: BLE001 - a line that trips us must not take its neighbours along
            reasons[f"inspection failed: {type(error).__name__}"] += 1
    _drop(station, reasons, tally)
    return findings


def _judged(line: Opened | VerificationError, station: str, rules: Rules) -> Finding:
    if isinstance(line, VerificationError):
        raise line
    return judge(line, station, rules)


def _drop(station: str, reasons: Counter[str], tally: Tally) -> None:
    """Count what a station's part of the batch lost; the log is told in one line."""
    if reasons:
        tally.outcomes[station, "dropped"] += reasons.total()
        told = [reason if count == 1 else f"{count} times {reason}" for reason, count in reasons.most_common()]
        tally.alarms.append((logging.WARNING, f"station {station}: dropped: {'; '.join(told)}"))


def _take_one(ledger: Ledger, finding: Finding, tally: Tally) -> ChainKey | None:
    """Enter one event; return the chain that owes a receipt for it."""
    outcome, chain = ledger.enter(finding)
    tally.count(finding.station, outcome.value)
    if outcome is Outcome.QUARANTINED:
        code = finding.code or "no place of its own"
        tally.alarms.append((logging.WARNING, f"station {finding.station}: quarantined: {code}"))
    if outcome is Outcome.FORK:
        tally.alarms.append((logging.ERROR, f"station {finding.station}: fork: this chain needs an operator"))
    return chain
