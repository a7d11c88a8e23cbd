"""Commands that look at the queue of events and its chain."""

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from appliance.commands.call import Call
from appliance.errors import VerificationError, WrongUse

if TYPE_CHECKING:
    from appliance.outbox.store import Row


def list_events(call: Call) -> int:
    """List the stored events, oldest first."""
    with closing(call.outbox()) as outbox:
        rows = [_summary(row) for row in outbox.rows()]
    call.show(rows, (_line(row) for row in rows))
    return 0


def _line(row: dict[str, Any]) -> str:
    if row["erased"]:
        return f"{row['sequence']:>10}  {'erased after its receipt':<29}  covered"
    return f"{row['sequence']:>10}  {row['time']}  {'covered' if row['covered'] else 'waiting'}  {row['type']}"


def show(call: Call) -> int:
    """Show one event as it was signed, and the receipt that covers it. What is sealed stays sealed."""
    from appliance.events.sign import unverified_payload

    with closing(call.outbox()) as outbox:
        row = outbox.row(call.options.sequence)
        receipt = outbox.receipt_of(row) if row is not None else None
    if row is None:
        raise WrongUse(f"there is no event {call.options.sequence} on this station")
    told = {
        **_summary(row),
        "event": None if row.is_erased else unverified_payload(row.jws),
        "receipt": unverified_payload(receipt) if receipt else None,
    }
    whole = {**told, "jws": row.jws or None, "receipt_jws": receipt}
    call.show(whole, [json.dumps(told, ensure_ascii=False, indent=2)])
    return 0


def export(call: Call) -> int:
    """Print every event as a compact JWS; what was erased after its receipt is with the agency only."""
    with closing(call.outbox()) as outbox:
        events = (row.jws for row in outbox.rows() if not row.is_erased)
        call.show(list(events) if call.is_json else None, events)
    return 0


def verify_chain(call: Call) -> int:
    """Check the chain: every hash, signature and place."""
    from appliance.events.sign import KeySet
    from appliance.outbox.verify import open_receipts, verify
    from appliance.papers import agency_keys, event_key

    keys, thumbprint = event_key(call.state)
    with closing(call.outbox()) as outbox:
        rows, kept, chain = list(outbox.rows()), outbox.receipts(), outbox.head().chain
    receipts, problems = open_receipts(kept, KeySet(agency_keys(call.state) if kept else ()), chain)
    problems += verify(rows, keys, thumbprint, receipts)
    count, erased = len(rows), sum(row.is_erased for row in rows)
    words = f"{count} events, chain unbroken" + (f"; {erased} of them erased after their receipts" if erased else "")
    call.show({"events": count, "erased": erased, "problems": problems}, problems or [words])
    if problems:
        raise VerificationError(f"{len(problems)} problems in the chain of {count} events")
    return 0


def _summary(row: "Row") -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "chain": row.chain,
        "type": row.type or None,
        "time": row.time or None,
        "hash": row.hash,
        "covered": row.covered,
        "erased": row.is_erased,
    }
