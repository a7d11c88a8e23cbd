"""Chains that follow another of the same key: a station has one, and another only where its state was lost.

Whoever holds the key can begin a new chain, and with it drop what was signed in the old one and never sent. So each
is told of, the first event of an honest one says what it knows of the one before, and that is held against the store.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from agency.ingest.bundle import KeyRing
from agency.ingest.commit import BROKEN
from agency.reports.excuses import Excuses
from agency.reports.problems import Problem, guarded
from agency.store.chains import Chain, ChainKey
from agency.store.database import Connection
from agency.store.gaps import GivenUp, first_event, highest
from appliance.errors import VerificationError
from appliance.events.schema import EVENT


def audit_successions(
    connection: Connection, owned: list[Chain], ring: KeyRing, excuses: Excuses, counts: Counter[str]
) -> Iterator[Problem]:
    """Yield the chains that no event tells of, and what an event tells of the chain before that is not held."""
    by_key = defaultdict[str, list[Chain]](list)
    for chain in owned:
        by_key[chain.kid].append(chain)
    for own in by_key.values():
        told = {chain.key: _told(connection, chain, ring) for chain in own}
        begun = [chain for chain in own if told[chain.key] is None and not _is_begin_lost(connection, chain, excuses)]
        for chain in begun[1:]:
            words = f"{begun[0].id} is signed by the same key, and no event says how it ended"
            yield Problem("second_chain", chain.station, chain.id, words)
        for chain in own:
            said = told[chain.key]
            if said is not None:
                counts["broken_chains"] += 1
                yield from guarded(_unfulfilled(connection, chain, said, own, excuses), chain.station, chain.id)


def _told(connection: Connection, chain: Chain, ring: KeyRing) -> dict[str, Any] | None:
    """Return what the first event of a chain says of the chain before; None where it says nothing of one."""
    jws = first_event(connection, chain.key)
    if jws is None:
        return None
    try:
        _, payload = ring.open(jws)
        EVENT.check(payload)
    except VerificationError:
        return None  # the audit of the chain tells of it
    return payload["data"]["broken"] if payload["type"] == BROKEN else None


def _is_begin_lost(connection: Connection, chain: Chain, excuses: Excuses) -> bool:
    """Say whether the event that would tell of the chain before is itself one that a later chain declares lost."""
    return first_event(connection, chain.key) is None and GivenUp(excuses.of(chain.key).believed).through(1) >= 1


def _unfulfilled(
    connection: Connection, chain: Chain, told: dict[str, Any], own: list[Chain], excuses: Excuses
) -> Iterator[Problem]:
    if told["chain"] not in {other.id for other in own if other != chain}:
        words = "its first event says that the chain before was lost, and names none that is held"
        yield Problem("lost_chain", chain.station, chain.id, words)
        return
    former, last = ChainKey(told["chain"], chain.kid), told["sequence"] or 0
    top = highest(connection, former)
    if top >= last:
        return
    is_told = GivenUp(excuses.of(former).believed).through(top + 1) >= last
    says = "that they are lost" if is_told else "that they were signed"
    words = f"{top + 1} to {last} are not held: {chain.id}/1 says {says}"
    yield Problem("excused" if is_told else "missing", chain.station, f"{former.id}/{last}", words)
