"""The excuses that an audit believes: those whose event is held, signed by the chain's own key, and says so itself."""

from collections import defaultdict
from typing import NamedTuple

from agency.ingest.bundle import KeyRing
from agency.store.accesses import decided
from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.gaps import OPERATOR, Excuse, declaring_events, excuses
from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.schema import EVENT


class Sorted(NamedTuple):
    """The excuses of a chain: those that are believed, and those that somebody only wrote into the table."""

    believed: list[Excuse]
    invented: list[Excuse]


class Excuses:
    """Sorts out the excuses of chains; what a key declares lost is read once, where its chains follow each other.

    Args:
        connection: reading one consistent state.
        ring: the event keys of the stations.
    """

    def __init__(self, connection: Connection, ring: KeyRing) -> None:
        self._connection, self._ring = connection, ring
        self._kid = ""
        self._declared: dict[tuple[str, str], set[tuple[int, int]]] = {}

    def of(self, key: ChainKey) -> Sorted:
        """Return the excuses of a chain."""
        found = Sorted([], [])
        for one in excuses(self._connection, key):
            (found.believed if self._is_believed(one, key) else found.invented).append(one)
        return found

    def _is_believed(self, one: Excuse, key: ChainKey) -> bool:
        if not (isinstance(one.first, int) and isinstance(one.last, int) and 0 < one.first <= one.last):
            return False
        if one.by == OPERATOR:
            return decided(self._connection, "station excuse", one.named)
        if self._kid != key.kid:
            self._kid, self._declared = key.kid, self._declarations(key.kid)
        return (one.first, one.last) in self._declared.get((one.by, key.id), ())

    def _declarations(self, kid: str) -> dict[tuple[str, str], set[tuple[int, int]]]:
        """Return the stretches that a key declares lost, by the event's hash and the chain that it says so of."""
        declared = defaultdict[tuple[str, str], set[tuple[int, int]]](set)
        for by, jws in declaring_events(self._connection, kid):
            try:
                signer, said = self._ring.open(jws)
                EVENT.check(said)
            except VerificationError:
                continue  # the audit of its own chain tells of it
            broken = said["data"].get("broken") or {}
            if signer.kid == kid and jws_hash(jws) == by and broken:
                declared[by, str(broken["chain"])].update((first, last) for first, last in broken["lost"])
        return dict(declared)
