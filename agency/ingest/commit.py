"""Committing events: idempotent, fork-proof, and the high-water mark over every linked position.

What is held first stays. A latecomer that takes the same place with another hash, or that does not link to the
neighbours that are held, becomes a fork: both are kept, the station is flagged, an operator decides. A finding with
a code takes its place in the chain, in the quarantine, so it never blocks its neighbours. What a revoked key signed is
kept likewise, but no receipt is owed for it: its station has another key by now, or none.
"""

from datetime import datetime
from enum import Enum
from typing import NamedTuple

from agency.clock import now_text, thai_day
from agency.ingest.verification import REVOKED, Finding
from agency.store import chains
from agency.store.chains import Chain, ChainKey, Link
from agency.store.database import Connection
from agency.store.stations import flag_station
from appliance.events.chain import Position


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


def commit(connection: Connection, finding: Finding) -> Committed:
    """Put one event where it belongs."""
    position = finding.position
    if position is None:
        return Committed(_set_aside(connection, finding, finding.code or "bad_position"), None)
    chain = _chain_for(connection, finding, position)
    outcome = _place(connection, chain, finding, position)
    return Committed(outcome, None if finding.code == REVOKED else chain.key)


def _place(connection: Connection, chain: Chain, finding: Finding, position: Position) -> Outcome:
    near = chains.links_around(connection, chain.key, position.sequence)
    held = near.get(position.sequence)
    if held is not None:
        is_same = held.hash == finding.hash
        return Outcome.DUPLICATE if is_same else _fork(connection, finding, position, "other_hash")
    if not _links(near, chain, finding, position):
        return _fork(connection, finding, position, "unlinked")
    return _put(connection, finding, position)


class Advance(NamedTuple):
    """How many positions a high-water mark moved over, and whether any is held beyond the gap above it."""

    moved: int
    has_gap: bool


def advance(connection: Connection, key: ChainKey) -> Advance:
    """Move the high-water mark over every position that follows.

    Raises:
        LookupError: no such chain.
    """
    chain = chains.find_chain(connection, key)
    if chain is None:
        raise LookupError(key.id)
    top, has_gap = Link(chain.high_water, chain.hash, ""), False
    for link in chains.links_after(connection, key, chain.high_water):
        if link.sequence != top.sequence + 1 or link.previous != top.hash:
            has_gap = True
            break
        top = link
    if top.sequence > chain.high_water:
        chains.move_high_water(connection, key, top.sequence, top.hash)
    return Advance(top.sequence - chain.high_water, has_gap)


def _chain_for(connection: Connection, finding: Finding, position: Position) -> Chain:
    found = chains.find_chain(connection, ChainKey(position.chain, finding.kid))
    if found is not None:
        return found
    if any(other.kid == finding.kid for other in chains.list_chains(connection, finding.station)):
        flag_station(connection, finding.station, "second_chain")
    new = Chain(position.chain, finding.kid, finding.station, 0, finding.kid)
    chains.put_chain(connection, new)
    return new


def _links(near: dict[int, Link], chain: Chain, finding: Finding, position: Position) -> bool:
    """Say whether the event fits both neighbours, as far as they are held."""
    before, after = near.get(position.sequence - 1), near.get(position.sequence + 1)
    expected = chain.kid if position.sequence == 1 else before.hash if before else position.previous
    return position.previous == expected and (after is None or after.previous == finding.hash)


def _put(connection: Connection, finding: Finding, position: Position) -> Outcome:
    """Give an event its place: among those that count, or in the quarantine."""
    if finding.code is not None:
        chains.put_quarantined(connection, _quarantined(finding, position, finding.code))
        return Outcome.QUARANTINED
    event, data = finding.event, finding.event["data"]
    row = chains.Event(
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
        received_at=now_text(),
        jws=finding.jws,
    )
    chains.put_event(connection, row)
    return Outcome.NEW


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


def _set_aside(connection: Connection, finding: Finding, code: str) -> Outcome:
    if chains.is_apart(connection, finding.hash):
        return Outcome.DUPLICATE
    chains.put_quarantined(connection, _quarantined(finding, None, code))
    return Outcome.QUARANTINED


def _fork(connection: Connection, finding: Finding, position: Position, reason: str) -> Outcome:
    if chains.is_apart(connection, finding.hash):
        return Outcome.DUPLICATE
    flag_station(connection, finding.station, "fork" if reason == "other_hash" else reason)
    row = chains.Fork(
        hash=finding.hash,
        station=finding.station,
        kid=finding.kid,
        chain=position.chain,
        sequence=position.sequence,
        reason=reason,
        received_at=now_text(),
        jws=finding.jws,
    )
    chains.put_fork(connection, row)
    return Outcome.FORK
