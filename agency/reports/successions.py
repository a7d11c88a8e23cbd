"""Chains that follow another of the same key: a station has one, and another only where its state was lost.

Whoever holds the key can begin a new chain, and with it drop what was signed in the old one and never sent. So each
is told of, the first event of an honest one says what it knows of the one before, and that is held against the store.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from agency.ingest.bundle import KeyRing
from agency.ingest.commit import BROKEN
from agency.reports.excuses import believed
from agency.reports.problems import Problem
from agency.store.chains import Chain, ChainKey
from agency.store.database import Connection
from agency.store.gaps import first_event, highest, passed_over
from appliance.errors import VerificationError


def audit_successions(connection: Connection, owned: list[Chain], ring: KeyRing) -> Iterator[Problem]:
    """Yield the chains that no event tells of, and what an event tells of the chain before that is not held."""
    by_key = defaultdict[str, list[Chain]](list)
    for chain in owned:
        by_key[chain.kid].append(chain)
    for own in by_key.values():
        told = {chain.key: _told(connection, chain, ring) for chain in own}
        untold = [chain for chain in own if told[chain.key] is None]
        for chain in untold[1:]:
            words = f"{untold[0].id} is signed by the same key, and no event says how it ended"
            yield Problem("second_chain", chain.station, chain.id, words)
        for chain in own:
            yield from _unfulfilled(connection, chain, told[chain.key], ring)


def _told(connection: Connection, chain: Chain, ring: KeyRing) -> dict[str, Any] | None:
    """Return what the first event of a chain says of the chain before; None where it says nothing of one."""
    jws = first_event(connection, chain.key)
    if jws is None:
        return None
    try:
        _, payload = ring.open(jws)
    except VerificationError:
        return None
    return payload["data"]["broken"] if payload["type"] == BROKEN else None


def _unfulfilled(connection: Connection, chain: Chain, told: dict[str, Any] | None, ring: KeyRing) -> Iterator[Problem]:
    if told is None or not told.get("chain") or not told.get("sequence"):
        return
    former, last = ChainKey(told["chain"], chain.kid), int(told["sequence"])
    top = highest(connection, former)
    if top >= last:
        return
    is_told = passed_over(believed(connection, former, ring), top + 1) >= last
    says = "that they are lost" if is_told else "that they were signed"
    words = f"{top + 1} to {last} are not held: {chain.id}/1 says {says}"
    yield Problem("excused" if is_told else "missing", chain.station, f"{former.id}/{last}", words)
