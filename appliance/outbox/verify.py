"""Recomputes the whole outbox: every hash, every link of the chain, every signature, every column.

A row that was erased has no event any more. What proves it is the agency's receipt: one must reach it, and where one
names it, the hash in the row must be the receipt's. Rows that are gone from the beginning are proved in the same way.
"""

from collections.abc import Iterable, Sequence

from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.receipt import Receipt
from appliance.events.schema import EVENT
from appliance.events.sign import EVENT_TYPE, RECEIPT_TYPE, KeySet
from appliance.outbox.row import Row


def open_receipts(receipts: Iterable[str], keys: KeySet, chain: str) -> tuple[list[Receipt], list[str]]:
    """Return the receipts that the agency signed for ``chain``, and one line for each that it did not."""
    genuine, problems = [], []
    for jws in receipts:
        try:
            payload = keys.verify(jws, RECEIPT_TYPE, "receipt")
            receipt = Receipt.open(jws, keys, str(payload.get("station")))
            if receipt.chain != chain:
                raise VerificationError("it is for another chain")
            genuine.append(receipt)
        except VerificationError as error:
            problems.append(f"a stored receipt does not hold: {error}")
    return genuine, problems


def verify(rows: Iterable[Row], keys: KeySet, first_previous: str, receipts: Sequence[Receipt] = ()) -> list[str]:
    """Return one line for each problem, none where all is well.

    Args:
        rows: every event, oldest first.
        keys: the station's own event key.
        first_previous: what the first event must name as ``previous``: the key's thumbprint.
        receipts: genuine receipts for this chain.
    """
    problems: list[str] = []
    proved = {receipt.through: receipt.hash for receipt in receipts}
    reach = max(proved, default=0)
    expected_sequence, previous, chain = 1, first_previous, ""
    for row in rows:
        if row.sequence != expected_sequence:
            if expected_sequence > 1 or row.sequence - 1 > reach:
                problems.append(f"events {expected_sequence} to {row.sequence - 1} are missing")
            previous = proved.get(row.sequence - 1, "")
        found = _erased_problems(row, reach) if row.is_erased else _row_problems(row, keys, previous, chain)
        if proved.get(row.sequence, row.hash) != row.hash:
            found.append("the agency's receipt names another hash")
        problems += [f"event {row.sequence}: {problem}" for problem in found]
        expected_sequence, chain = row.sequence + 1, row.chain
        previous = row.hash if row.is_erased else jws_hash(row.jws)
    if expected_sequence <= reach:
        problems.append(f"events {expected_sequence} to {reach} are missing, and the agency's receipt proves them")
    return problems


def verify_salvaged(rows: Iterable[Row], keys: KeySet) -> list[str]:
    """Return one line for each problem in what was saved of earlier chains; gaps there are none."""
    return [
        f"event {row.sequence} of chain {row.chain}: {problem}"
        for row in rows
        for problem in _row_problems(row, keys, "", "")
    ]


def _erased_problems(row: Row, reach: int) -> list[str]:
    return [] if row.sequence <= reach else ["it was erased, and no receipt covers it"]


def _row_problems(row: Row, keys: KeySet, previous: str, chain: str) -> list[str]:
    try:
        event = keys.verify(row.jws, EVENT_TYPE, "event")
        EVENT.check(event)
    except VerificationError as error:
        return [str(error)]
    expected = {
        "sequence": f"{row.sequence:010d}",
        "chain": chain or row.chain,
        "previous": previous or event["previous"],  # the row before is gone, and no receipt names its hash
        "type": row.type,
        "time": row.time,
    }
    problems = [f"its {name} is not what it must be" for name, value in expected.items() if event[name] != value]
    if jws_hash(row.jws) != row.hash:
        problems.append("its stored hash is not the hash of the event")
    return problems
