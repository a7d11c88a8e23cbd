"""Excused gaps: stretches of a chain that will never come, by whose word, and the mark that may pass over them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.tables import chain, event, excused, quarantine

OPERATOR = "operator"
MOST_DECLARED = 10_000  # stretches of one chain: who tears a chain into more pieces than that waits for an operator


@dataclass(frozen=True)
class Excuse:
    """A stretch that is given up.

    Args:
        chain: ULID.
        kid: the event key that owns the chain.
        first: sequence number.
        last: sequence number, not below ``first``.
        by: hash of the event that declares it lost, or ``operator``.
        noted_at: RFC 3339.
    """

    chain: str
    kid: str
    first: int
    last: int
    by: str
    noted_at: str

    @property
    def named(self) -> str:
        """Return the stretch in a few words, as it stands in ``access``."""
        return f"{self.chain} {self.first} to {self.last}"


def put_excuses(connection: Connection, key: ChainKey, new: Iterable[Excuse], most: int | None = None) -> None:
    """Add excuses of one chain, until it has ``most``; one that begins at the same place already stays as it is."""
    rows = {one.first: vars(one) for one in new}
    own = (excused.c.chain == key.id) & (excused.c.kid == key.kid)
    for held in connection.execute(select(excused.c.first).where(own & excused.c.first.in_(list(rows)))).scalars():
        rows.pop(held, None)
    chosen = list(rows.values())
    if most is not None:
        chosen = chosen[: max(0, most - connection.execute(select(func.count()).where(own)).scalar_one())]
    if chosen:
        connection.execute(insert(excused), chosen)


def excuses(connection: Connection, key: ChainKey) -> list[Excuse]:
    """Return the excuses of a chain, in order."""
    query = select(excused).where((excused.c.chain == key.id) & (excused.c.kid == key.kid))
    return [Excuse(*row) for row in connection.execute(query.order_by(excused.c.first))]


def count_excused_chains(connection: Connection, kid: str) -> int:
    """Return for how many chains of a key there are excuses, whether such a chain is held or not."""
    return connection.execute(select(func.count(excused.c.chain.distinct())).where(excused.c.kid == kid)).scalar_one()


def declaring_events(connection: Connection, kid: str) -> Iterator[tuple[str, str]]:
    """Yield hash and signed text of the events of a key by whose word something is excused; no index has a hash."""
    own = event.c.chain.in_(select(chain.c.id).where(chain.c.kid == kid)) & (event.c.kid == kid)
    named = event.c.hash.in_(select(excused.c.by).where(excused.c.kid == kid))
    for row in connection.execute(select(event.c.hash, event.c.jws).where(own & named)):
        yield row.hash, row.jws


def highest(connection: Connection, key: ChainKey) -> int:
    """Return the highest position that is held of a chain, 0 for none."""
    tops = [
        select(func.max(table.c.sequence)).where((table.c.chain == key.id) & (table.c.kid == key.kid))
        for table in (event, quarantine)
    ]
    return max(connection.execute(query).scalar() or 0 for query in tops)


def first_event(connection: Connection, key: ChainKey) -> str | None:
    """Return the signed text of position 1 of a chain, where an event holds it: there a station says what is lost."""
    own = (event.c.chain == key.id) & (event.c.kid == key.kid) & (event.c.sequence == 1)
    return connection.execute(select(event.c.jws).where(own)).scalar()


class GivenUp:
    """The stretches of one chain that are given up, joined where they touch or overlap.

    Args:
        excused_here: of that chain, in any order.
    """

    def __init__(self, excused_here: Iterable[Excuse]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._by: list[set[str]] = []
        for one in sorted(excused_here, key=lambda one: one.first):
            if not self._lasts or one.first > self._lasts[-1] + 1:
                self._firsts.append(one.first)
                self._lasts.append(one.last)
                self._by.append(set())
            self._lasts[-1] = max(self._lasts[-1], one.last)
            self._by[-1].add(one.by)

    def through(self, sequence: int) -> int:
        """Return the last number that is given up, from ``sequence`` on without a break; ``sequence - 1`` for none."""
        at = self._at(sequence)
        return max(self._lasts[at], sequence - 1) if at >= 0 else sequence - 1

    def by(self, sequence: int) -> list[str]:
        """Return by whose word a stretch is given up that holds ``sequence``."""
        at = self._at(sequence)
        return sorted(self._by[at]) if at >= 0 else []

    def _at(self, sequence: int) -> int:
        return bisect_right(self._firsts, sequence) - 1
