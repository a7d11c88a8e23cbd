"""Committing events: idempotent, fork-proof, and the high-water mark over every linked position.

What is held first stays. A latecomer that takes the same place with another hash, that does not link to the
neighbours that are held, or that follows a fork, becomes a fork: both are kept, the station is flagged, an operator
decides. A finding with a code takes its place in the chain, in the quarantine, so it never blocks its neighbours. What
a revoked key signed is kept likewise, but no receipt is owed for it (docs/adr/0026).
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from agency.clock import now_text, thai_day
from agency.ingest.receipts import Address
from agency.ingest.verification import REVOKED, Finding
from agency.store import chains
from agency.store.chains import Chain, ChainKey, Link
from agency.store.database import FAILURES, Connection
from agency.store.gaps import Excuse, excuses, passed_over, put_excuses
from agency.store.stations import flag_station
from appliance.errors import VerificationError
from appliance.events.chain import Position, jws_hash
from appliance.events.sign import mirrored

_log = logging.getLogger(__name__)

BROKEN = "chain.broken.v1"


class Outcome(Enum):
    """What became of one event."""

    NEW = "new"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FORK = "fork"


class Committed(NamedTuple):
    """What became of an event, and the chain that owes a receipt for it (None where no receipt can cover it)."""

    outcome: Outcome
    chain: ChainKey | None


class Advance(NamedTuple):
    """How many positions a high-water mark moved over, and whether any is held beyond the gap above it."""

    moved: int
    has_gap: bool


@dataclass
class _Account:
    """One chain: what is held above its mark, and at and beside the places that the batch asks for."""

    chain: Chain
    held: dict[int, Link]


class Ledger:
    """The chains that a batch touches: what is held near each event is read once, what is new is written once.

    Example::

        ledger = Ledger.of(connection, findings)
        outcomes = [ledger.enter(finding) for finding in findings]
        moved = ledger.advance(key)
        ledger.write()

    Args:
        connection: in the transaction of the batch.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = now_text()
        self._accounts: dict[ChainKey, _Account] = {}
        self._new: list[chains.Event] = []
        self._moved: dict[ChainKey, Link] = {}
        self.reopened: set[Address] = set()  # earlier chains, some gap of which is given up now
        self.successors: list[tuple[str, str]] = []  # stations that begin another chain by the same key, and the flag

    @classmethod
    def of(cls, connection: Connection, findings: Iterable[Finding]) -> "Ledger":
        """Return a ledger that knows the chains of the findings."""
        ledger = cls(connection)
        places: defaultdict[ChainKey, set[int]] = defaultdict(set)
        for finding in findings:
            if finding.position is not None:
                places[ChainKey(finding.position.chain, finding.kid)].add(finding.position.sequence)
        for key, sequences in places.items():
            ledger._read(key, sequences)
        return ledger

    def _read(self, key: ChainKey, sequences: set[int]) -> None:
        chain = chains.find_chain(self._connection, key)
        if chain is None:
            return
        held = chains.links_from(self._connection, key, chain.high_water)
        for first, last in _stretches(sequences):
            if first <= chain.high_water:
                held.update(chains.links_between(self._connection, key, first - 1, last + 1))
        self._accounts[key] = _Account(chain, held)

    def enter(self, finding: Finding) -> Committed:
        """Put one event where it belongs."""
        position = finding.position
        if position is None:
            return Committed(self._set_aside(finding, finding.code or "bad_position"), None)
        key = ChainKey(position.chain, finding.kid)
        account = self._accounts.get(key) or self._open(key, finding)
        try:
            outcome = self._place(account, finding, position)
        except FAILURES:
            raise  # for all of them
        except Exception as error:  # noqa: BLE001 - an event that trips us must not take its neighbours along
            _log.error("station %s: event %s: %s", finding.station, finding.hash, type(error).__name__)
            outcome = self._place(account, replace(finding, code="tripped"), position)
        return Committed(outcome, None if finding.code == REVOKED else key)

    def advance(self, key: ChainKey) -> Advance:
        """Move a chain's high-water mark over every position that follows; ``write`` makes it so."""
        account = self._accounts[key]
        mark = account.chain.high_water
        top = Link(mark, account.chain.hash, "")
        while link := _next(account, top) or self._beyond_an_excuse(account, top):
            top = link
        if top.sequence > mark:
            self._moved[key] = top
        return Advance(top.sequence - mark, any(sequence > top.sequence for sequence in account.held))

    def _beyond_an_excuse(self, account: _Account, top: Link) -> Link | None:
        """Return the first position that is held beyond a gap that is given up, where all of the gap is."""
        above = [sequence for sequence in account.held if sequence > top.sequence]
        if not above or min(above) == top.sequence + 1:
            return None
        given_up = passed_over(excuses(self._connection, account.chain.key), top.sequence + 1)
        return account.held[min(above)] if given_up >= min(above) - 1 else None

    def write(self) -> None:
        """Write the new events and the marks that moved."""
        chains.put_events(self._connection, self._new)
        chains.move_high_water(self._connection, self._moved)
        self._new, self._moved = [], {}

    def _open(self, key: ChainKey, finding: Finding) -> _Account:
        station = finding.station
        if any(other.kid == key.kid for other in chains.list_chains(self._connection, station)):
            is_told = finding.code is None and finding.event["type"] == BROKEN
            reason = "chain_broken" if is_told else "second_chain"
            flag_station(self._connection, station, reason)
            self.successors.append((station, reason))
        account = self._accounts[key] = _Account(Chain(key.id, key.kid, station, 0, key.kid), {})
        chains.put_chain(self._connection, account.chain)
        return account

    def _place(self, account: _Account, finding: Finding, position: Position) -> Outcome:
        held = account.held.get(position.sequence)
        if held is not None:
            return Outcome.DUPLICATE if _is_same(held, finding) else self._fork(finding, position, "other_hash")
        if not _links(account, finding, position) or self._follows_a_fork(account, position):
            return self._fork(finding, position, "unlinked")
        if finding.code is None:
            row = _row(finding, position, self._now)
            self._note_what_is_lost(finding)
            self._new.append(row)
        else:
            chains.put_quarantined(self._connection, _quarantined(finding, position, finding.code))
        account.held[position.sequence] = Link(position.sequence, finding.hash, position.previous)  # not sooner
        return Outcome.NEW if finding.code is None else Outcome.QUARANTINED

    def _note_what_is_lost(self, finding: Finding) -> None:
        """Take a station at its word that a stretch of an earlier chain of its own key is lost; the audit names it."""
        broken = finding.event["data"].get("broken")
        if finding.event["type"] == BROKEN and broken and broken["chain"] not in (None, finding.event["chain"]):
            key = ChainKey(broken["chain"], finding.kid)
            told = [
                Excuse(*key, first, last, finding.hash, self._now) for first, last in broken["lost"] if first <= last
            ]
            put_excuses(self._connection, key, told)
            if key not in self._accounts:
                self._read(key, set())
            if key in self._accounts:
                self.reopened.add(Address(finding.station, key))

    def _follows_a_fork(self, account: _Account, position: Position) -> bool:
        """Say whether the event before is not held because it stands apart: a twin's chain goes on beside ours."""
        return position.sequence - 1 not in account.held and chains.is_fork(self._connection, position.previous)

    def _set_aside(self, finding: Finding, code: str) -> Outcome:
        if chains.is_apart(self._connection, finding.hash):
            return Outcome.DUPLICATE
        chains.put_quarantined(self._connection, _quarantined(finding, None, code))
        return Outcome.QUARANTINED

    def _fork(self, finding: Finding, position: Position, reason: str) -> Outcome:
        if chains.is_apart(self._connection, finding.hash):
            return Outcome.DUPLICATE
        flag_station(self._connection, finding.station, "fork" if reason == "other_hash" else reason)
        chains.put_fork(self._connection, _forked(finding, position, reason))
        return Outcome.FORK


def _is_same(held: Link, finding: Finding) -> bool:
    """Say whether the station has said this already; who carries an ES256 event can mirror its signature (ADR 0036)."""
    if held.hash == finding.hash:
        return True
    try:
        mirror = mirrored(finding.jws)
    except VerificationError:  # the line after it vouched for it: its own signature can be anything
        return False
    return mirror is not None and jws_hash(mirror) == held.hash


def _next(account: _Account, top: Link) -> Link | None:
    link = account.held.get(top.sequence + 1)
    return link if link is not None and link.previous == top.hash else None


def _stretches(sequences: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of numbers that follow each other."""
    if not sequences:
        return
    ordered = sorted(sequences)
    first = last = ordered[0]
    for sequence in ordered[1:]:
        if sequence != last + 1:
            yield first, last
            first = sequence
        last = sequence
    yield first, last


def _links(account: _Account, finding: Finding, position: Position) -> bool:
    """Say whether the event fits both neighbours, as far as they are held."""
    before, after = account.held.get(position.sequence - 1), account.held.get(position.sequence + 1)
    expected = account.chain.kid if position.sequence == 1 else before.hash if before else position.previous
    return position.previous == expected and (after is None or after.previous == finding.hash)


def _row(finding: Finding, position: Position, now: str) -> chains.Event:
    event, data = finding.event, finding.event["data"]
    return chains.Event(
        chain=position.chain,
        kid=finding.kid,
        sequence=position.sequence,
        hash=finding.hash,
        previous=position.previous,
        station=finding.station,
        type=event["type"],
        time=event["time"],
        day=thai_day(datetime.fromisoformat(event["time"])),
        level=data.get("level"),
        verdict=data.get("verdict"),
        received_at=now,
        jws=finding.jws,
    )


def _quarantined(finding: Finding, position: Position | None, code: str) -> chains.Quarantined:
    return chains.Quarantined(
        hash=finding.hash,
        station=finding.station,
        kid=finding.kid,
        chain=position.chain if position else None,
        sequence=position.sequence if position else None,
        previous=position.previous if position else None,
        code=code,
        received_at=now_text(),
        jws=finding.jws,
    )


def _forked(finding: Finding, position: Position, reason: str) -> chains.Fork:
    return chains.Fork(
        hash=finding.hash,
        station=finding.station,
        kid=finding.kid,
        chain=position.chain,
        sequence=position.sequence,
        reason=reason,
        received_at=now_text(),
        jws=finding.jws,
    )
