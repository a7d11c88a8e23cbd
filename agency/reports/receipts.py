"""The receipts that left, against the rows: rows may be edited, a signature of the receipt key cannot.

Whoever deletes the last rows of a chain and moves its mark back leaves a chain that looks whole. The receipt that was
signed for it names a number and a hash that are not there any more.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agency.reports.problems import Problem, guarded
from agency.store import chains
from agency.store.chains import Chain, ChainKey
from agency.store.database import Connection
from agency.store.epoch import reach
from agency.store.events import newest_arrival, received_at
from agency.store.receipts import KeptReceipt, kept_receipts
from appliance.errors import VerificationError
from appliance.events.receipt import Receipt
from appliance.events.sign import KeySet

CLOCK_SET = timedelta(minutes=5)  # by which this machine's clock may have been set back between the two
LONGEST_OWED = timedelta(minutes=1)  # seconds between a commit and its receipt, and an ingest that starts anew


def audit_receipts(connection: Connection, owned: list[Chain], keys: KeySet, counts: Counter[str]) -> Iterator[Problem]:
    """Yield what contradicts the kept receipts."""
    by_key = {chain.key: chain for chain in owned}
    for kept in kept_receipts(connection):
        counts["receipts"] += 1
        chain = by_key.get(ChainKey(kept.chain, kept.kid))
        station = chain.station if chain else ""
        by_key.pop(ChainKey(kept.chain, kept.kid), None)
        found = (
            Problem("receipt", station, kept.chain, text) for text in _contradictions(connection, kept, chain, keys)
        )
        yield from guarded(found, station, kept.chain)
    for chain in by_key.values():
        texts = _owed(connection, chain, 0)
        yield from guarded(
            (Problem("receipt", chain.station, chain.id, text) for text in texts), chain.station, chain.id
        )


def _owed(connection: Connection, chain: Chain, through: int) -> Iterator[str]:
    """Tell of events that no receipt was signed for: they came just before their key was revoked, or not at all."""
    came = received_at(connection, chain.key, chain.high_water)
    if chain.high_water > through and came is not None and _is_owed_since(came):
        yield f"no receipt is kept for {through + 1} to {chain.high_water}, which are held"


def _is_owed_since(came: str) -> bool:
    """Say whether a receipt for what came then must have left by now; what comes in the future is none of ours."""
    age = datetime.now(UTC) - datetime.fromisoformat(came)
    return not -CLOCK_SET < age < LONGEST_OWED


def _contradictions(connection: Connection, kept: KeptReceipt, chain: Chain | None, keys: KeySet) -> Iterator[str]:
    if chain is None:
        yield "a receipt is kept for a chain that is not held"
        return
    try:
        receipt = Receipt.open(kept.jws, keys, chain.station)
    except VerificationError as error:
        yield f"the kept receipt: {error}"
        return
    if receipt.chain != kept.chain:
        yield "the kept receipt is another chain's"
    elif receipt.epoch > reach(connection).epoch:
        yield f"a receipt was signed in epoch {receipt.epoch}, which is later than the store's"
    elif receipt.through > chain.high_water:
        yield f"a receipt was signed through {receipt.through}; the high-water mark is {chain.high_water}"
    elif not _is_held(connection, chain, receipt):
        yield f"the event {receipt.through} that a receipt was signed for is not the one that is held"
    yield from _owed(connection, chain, receipt.through)
    latest = datetime.fromisoformat(receipt.committed_at) + CLOCK_SET
    came = newest_arrival(connection, chain.key, receipt.through)
    if came is not None and _is_owed_since(came) and datetime.fromisoformat(came) > latest:
        yield f"an event came at {came}, after the receipt of {receipt.committed_at} that covers it"


def _is_held(connection: Connection, chain: Chain, receipt: Receipt) -> bool:
    if receipt.through == 0:
        return receipt.hash == chain.kid
    link = chains.links_between(connection, chain.key, receipt.through, receipt.through).get(receipt.through)
    return link is not None and link.hash == receipt.hash
