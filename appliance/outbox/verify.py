"""Recomputes the whole outbox: every hash, every link of the chain, every signature, every column."""

from collections.abc import Iterable

from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.schema import EVENT
from appliance.events.sign import EVENT_TYPE, KeySet
from appliance.outbox.store import Row


def verify(rows: Iterable[Row], keys: KeySet, first_previous: str) -> list[str]:
    """Return one line for each problem, none where all is well.

    Args:
        rows: every event, oldest first.
        keys: the station's own event key.
        first_previous: what the first event must name as ``previous``: the key's thumbprint.
    """
    problems: list[str] = []
    expected_sequence, previous, chain = 1, first_previous, ""
    for row in rows:
        if row.sequence != expected_sequence:
            problems.append(f"events {expected_sequence} to {row.sequence - 1} are missing")
        problems += [f"event {row.sequence}: {problem}" for problem in _row_problems(row, keys, previous, chain)]
        expected_sequence, previous, chain = row.sequence + 1, jws_hash(row.jws), row.chain
    return problems


def _row_problems(row: Row, keys: KeySet, previous: str, chain: str) -> list[str]:
    try:
        event = keys.verify(row.jws, EVENT_TYPE, "event")
        EVENT.check(event)
    except VerificationError as error:
        return [str(error)]
    expected = {
        "sequence": f"{row.sequence:010d}",
        "chain": chain or row.chain,
        "previous": previous,
        "type": row.type,
        "time": row.time,
    }
    problems = [f"its {name} is not what it must be" for name, value in expected.items() if event[name] != value]
    if jws_hash(row.jws) != row.hash:
        problems.append("its stored hash is not the hash of the event")
    return problems
