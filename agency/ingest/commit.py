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
from enum import Enum
from typing import NamedTuple

from agency.clock import now_text
from agency.ingest.receipts import Address
from agency.ingest.rows import event_row, fork_row, quarantined_row
from agency.ingest.verification import REVOKED, TRIPPED, Finding
from agency.store import chains
from agency.store.chains import Chain, ChainKey, Link
from agency.store.database import FAILURES, Connection
from agency.store.gaps import MOST_DECLARED, Excuse, GivenUp, count_excused_chains, excuses, put_excuses
from agency.store.stations import flag_station
from appliance.errors import VerificationError
from appliance.events.chain import Position, jws_hash
from appliance.events.sign import mirrored

_log = logging.getLogger(__name__)

_PIECE = 1000  # positions that are read at once where a mark moves
MOST_CHAINS = 100  # by one key; a station sets at most twenty damaged databases aside

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
    """One chain: what is held at and beside the places that the batch asks for, and up to ``read_to`` from its mark."""

    chain: Chain
    held: dict[int, Link]
    read_to: int = 0
    given_up: GivenUp | None = None  # None: not read yet


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
        held: dict[int, Link] = {}
        for first, last in _stretches(sequences):
            held.update(chains.links_between(self._connection, key, first - 1, last + 1))
        self._accounts[key] = _Account(chain, held, chain.high_water)

    def enter(self, finding: Finding) -> Committed:
        """Put one event where it belongs."""
        position = finding.position
        if position is None:
            return Committed(self._set_aside(finding, finding.code or "bad_position"), None)
        key = ChainKey(position.chain, finding.kid)
        account = self._accounts.get(key) or self._open(key, finding)
        if account is None:
            return Committed(self._set_aside(finding, "too_many_chains"), None)
        try:
            outcome = self._place(account, finding, position)
        except FAILURES:
            raise  # for all of them
        except Exception as error:  # noqa: BLE001 - an event that trips us must not take its neighbours along
            _log.error("station %s: event %s: %s", finding.station, finding.hash, type(error).__name__)
            outcome = self._place(account, replace(finding, code=TRIPPED), position)
        return Committed(outcome, None if finding.code == REVOKED else key)

    def advance(self, key: ChainKey) -> Advance:
        """Move a chain's high-water mark over every position that follows; ``write`` makes it so."""
        account = self._accounts[key]
        mark = account.chain.high_water
        top = Link(mark, account.chain.hash, "")
        while (link := self._next(account, top) or self._beyond_an_excuse(account, top)) is not None:
            top = link
        if top.sequence > mark:
            self._moved[key] = top
        return Advance(top.sequence - mark, self._first_above(account, top) is not None)

    def _next(self, account: _Account, top: Link) -> Link | None:
        """Return the position after ``top`` where it is held and links; what is held is read a piece at a time."""
        place = top.sequence + 1
        if place not in account.held and account.read_to < place:
            account.read_to = place + _PIECE
            stored = chains.links_between(self._connection, account.chain.key, place, account.read_to)
            account.held = stored | account.held
        link = account.held.get(place)
        return link if link is not None and link.previous == top.hash else None

    def _beyond_an_excuse(self, account: _Account, top: Link) -> Link | None:
        """Return the first position that is held beyond a gap that is given up, where all of the gap is."""
        above = self._first_above(account, top)
        if above is None or above.sequence == top.sequence + 1:
            return None
        if account.given_up is None:
            account.given_up = GivenUp(excuses(self._connection, account.chain.key))
        return above if account.given_up.through(top.sequence + 1) >= above.sequence - 1 else None

    def _first_above(self, account: _Account, top: Link) -> Link | None:
        """Return the first position that is held above ``top``, whether it links or not."""
        for place in range(top.sequence + 1, account.read_to + 1):  # all that is held there was read
            if place in account.held:
                return account.held[place]
        known = max(top.sequence, account.read_to)
        stored = chains.links_after(self._connection, account.chain.key, known, 1)
        new = (link for link in account.held.values() if link.sequence > known)
        return min((*stored, *new), key=lambda link: link.sequence, default=None)

    def write(self) -> None:
        """Write the new events and the marks that moved."""
        chains.put_events(self._connection, self._new)
        chains.move_high_water(self._connection, self._moved)
        self._new, self._moved = [], {}

    def _open(self, key: ChainKey, finding: Finding) -> _Account | None:
        """Begin a chain; None where the key has begun so many that no accident of a station explains them."""
        station = finding.station
        others = chains.count_chains(self._connection, station, key.kid)
        if others >= MOST_CHAINS:
            flag_station(self._connection, station, "too_many_chains")
            return None
        if others:
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
            row = event_row(finding, position, self._now)
            self._note_what_is_lost(finding)
            self._new.append(row)
        else:
            chains.put_quarantined(self._connection, quarantined_row(finding, position, finding.code))
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
            if key not in self._accounts:
                self._read(key, set())
            if key not in self._accounts and count_excused_chains(self._connection, key.kid) >= MOST_CHAINS:
                flag_station(self._connection, finding.station, "too_many_chains")
                return  # nobody sets so many databases aside that none of them was ever heard of
            put_excuses(self._connection, key, told, MOST_DECLARED)
            if key in self._accounts:
                self._accounts[key].given_up = None  # there is more now
                self.reopened.add(Address(finding.station, key))

    def _follows_a_fork(self, account: _Account, position: Position) -> bool:
        """Say whether the event before is not held because it stands apart: a twin's chain goes on beside ours."""
        return position.sequence - 1 not in account.held and chains.is_fork(self._connection, position.previous)

    def _set_aside(self, finding: Finding, code: str) -> Outcome:
        if chains.is_apart(self._connection, finding.hash):
            return Outcome.DUPLICATE
        chains.put_quarantined(self._connection, quarantined_row(finding, None, code))
        return Outcome.QUARANTINED

    def _fork(self, finding: Finding, position: Position, reason: str) -> Outcome:
        if chains.is_apart(self._connection, finding.hash):
            return Outcome.DUPLICATE
        flag_station(self._connection, finding.station, "fork" if reason == "other_hash" else reason)
        chains.put_fork(self._connection, fork_row(finding, position, reason))
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
