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
    return [one for one in excuses(connection, key) if _is_believed(connection, one, ring)]


def invented(connection: Connection, key: ChainKey, ring: KeyRing) -> list[Excuse]:
    """Return the excuses of a chain that somebody only wrote into the table."""
    return [one for one in excuses(connection, key) if not _is_believed(connection, one, ring)]


def _is_believed(connection: Connection, one: Excuse, ring: KeyRing) -> bool:
    is_stretch = isinstance(one.first, int) and isinstance(one.last, int) and 0 < one.first <= one.last
    if one.by == OPERATOR:
        return is_stretch and decided(connection, "station excuse", one.named)
    return is_stretch and _is_declared(connection, one, ring)


def _is_declared(connection: Connection, one: Excuse, ring: KeyRing) -> bool:
    jws = declaring_event(connection, one.by)
    with suppress(VerificationError):
        if jws is not None and jws_hash(jws) == one.by:
            key, said = ring.open(jws)
            EVENT.check(said)
            broken = said["data"].get("broken") or {}
            lost = [list(span) for span in broken.get("lost", [])]
            return (key.kid, broken.get("chain")) == (one.kid, one.chain) and [one.first, one.last] in lost
    return False
