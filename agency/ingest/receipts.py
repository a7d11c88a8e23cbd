"""Receipts: what one says, and when one goes out.

The rule (contract 6): where a batch brought a station's chain exactly its next event and nothing is missing, the
receipt goes at once if the station got none for five seconds, else five seconds after that one, and is one for all
that came meanwhile. Everything else says that a backlog drains, and is answered at once: more events than one, events
that come again (the station is resending), a gap that opens, stays or is filled, a fork.

A receipt that must wait is not lost: the worker wakes when it is due, and it then says what is true by then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from agency.clock import now_text
from agency.store import chains
from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.gaps import GivenUp, excuses
from appliance.events.receipt import Receipt

_MAX_LISTED = 100
_MOST_LOOKED_AT = 10_000  # what lies above is asked for when these are filled: a receipt costs the same over any gap
_LEAST_WINDOW, _MOST_WINDOW = 100, 1000


class Urgency(Enum):
    """The least time in seconds between two receipts for a station."""

    BACKLOG = 0.0
    NEW = 5.0


@dataclass(frozen=True)
class Address:
    """Which chain of which station a receipt is for."""

    station: str
    chain: ChainKey


class Pacer:
    """Says which receipts are due. All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._due: dict[Address, float] = {}

    def ask(self, address: Address, urgency: Urgency, now: float) -> None:
        """Ask for a receipt."""
        sent = self._sent.get(address.station)
        at = now if sent is None else max(now, sent + urgency.value)
        self._due[address] = min(at, self._due.get(address, at))

    def take_due(self, now: float) -> list[Address]:
        """Return the receipts to send now, and count them as sent."""
        due = [address for address, at in self._due.items() if at <= now]
        for address in due:
            del self._due[address]
            self._sent[address.station] = now
        return due

    def take_all(self, now: float) -> list[Address]:
        """Return every receipt that was asked for, due or not: the last act of a worker."""
        self._due = dict.fromkeys(self._due, now)
        return self.take_due(now)

    def wait(self, now: float, longest: float) -> float:
        """Return how many seconds to wait until the next receipt is due, at most ``longest``."""
        next_due = min(self._due.values(), default=now + longest)
        return min(longest, max(0.0, next_due - now))


def share(stations: int) -> int:
    """Return the window in events for each of so many stations that are answered at once.

    A window is on its way for a round trip and a commit. 100 events hold a lone station on a mobile line (0.3 s) to
    300 events/s, so it gets more; where many drain together, nobody must wait behind another's thousand.
    """
    return max(_LEAST_WINDOW, _MOST_WINDOW // max(1, stations))


def compose(connection: Connection, address: Address, epoch: int, window: int = _LEAST_WINDOW) -> Receipt:
    """Return the receipt for what the store holds of a chain now; ``window`` is of the station that gets it.

    Raises:
        LookupError: no such chain.
    """
    chain = chains.find_chain(connection, address.chain)
    if chain is None:
        raise LookupError(address.chain.id)
    return Receipt(
        station=address.station,
        epoch=epoch,
        chain=chain.id,
        through=chain.high_water,
        hash=chain.hash,
        committed_at=now_text(),
        window=window,
        missing=list(gaps(connection, chain)),
        quarantined=[
            {"sequence": sequence, "code": code}
            for sequence, code in chains.quarantined_in(connection, chain.key, _MAX_LISTED)
        ],
    )


def gaps(connection: Connection, chain: chains.Chain) -> Iterator[list[int]]:
    """Yield the first ranges that are missing below the highest position held, and not given up."""
    top, found = chain.high_water, 0
    given_up = GivenUp(excuses(connection, chain.key))
    for link in chains.links_after(connection, chain.key, top, _MOST_LOOKED_AT):
        first = given_up.through(top + 1) + 1
        if link.sequence > first:
            yield [first, link.sequence - 1]
            found += 1
        if found == _MAX_LISTED:
            return
        top = link.sequence
