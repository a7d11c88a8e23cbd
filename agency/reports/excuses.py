"""The excuses that an audit believes: those whose event is held, signed by the chain's own key, and says so itself."""

from contextlib import suppress

from agency.ingest.bundle import KeyRing
from agency.store.accesses import decided
from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.gaps import OPERATOR, Excuse, declaring_event, excuses
from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.schema import EVENT


def believed(connection: Connection, key: ChainKey, ring: KeyRing) -> list[Excuse]:
    """Return the excuses of a chain, without those that somebody only wrote into the table."""
    return _sorted_out(connection, key, ring)[0]


def invented(connection: Connection, key: ChainKey, ring: KeyRing) -> list[Excuse]:
    """Return the excuses of a chain that somebody only wrote into the table."""
    return _sorted_out(connection, key, ring)[1]


def _sorted_out(connection: Connection, key: ChainKey, ring: KeyRing) -> tuple[list[Excuse], list[Excuse]]:
    held = excuses(connection, key)
    declared = {by: _declared(connection, by, key, ring) for by in {one.by for one in held} - {OPERATOR}}  # each once
    good: list[Excuse] = []
    bad: list[Excuse] = []
    for one in held:
        is_stretch = isinstance(one.first, int) and isinstance(one.last, int) and 0 < one.first <= one.last
        is_decided = one.by == OPERATOR and decided(connection, "station excuse", one.named)
        is_said = one.by != OPERATOR and (one.first, one.last) in declared[one.by]
        (good if is_stretch and (is_decided or is_said) else bad).append(one)
    return good, bad


def _declared(connection: Connection, by: str, of: ChainKey, ring: KeyRing) -> set[tuple[int, int]]:
    """Return the stretches of a chain that the event with a hash declares lost."""
    jws = declaring_event(connection, by)
    with suppress(VerificationError):
        if jws is not None and jws_hash(jws) == by:
            key, said = ring.open(jws)
            EVENT.check(said)
            broken = said["data"].get("broken") or {}
            if (key.kid, broken.get("chain")) == (of.kid, of.id):
                return {(first, last) for first, last in broken["lost"]}
    return set()
