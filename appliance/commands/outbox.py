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
    words = {True: "covered", False: "waiting"}
    lines = (f"{row['sequence']:>10}  {row['time']}  {words[row['covered']]}  {row['type']}" for row in rows)
    call.show(rows, lines)
    return 0


def show(call: Call) -> int:
    """Show one event as it was signed. What is sealed stays sealed."""
    from appliance.events.sign import unverified_payload

    with closing(call.outbox()) as outbox:
        row = outbox.row(call.options.sequence)
    if row is None:
        raise WrongUse(f"there is no event {call.options.sequence} on this station")
    event = unverified_payload(row.jws)
    whole = {**_summary(row), "event": event, "jws": row.jws}
    call.show(whole, [json.dumps({**_summary(row), "event": event}, ensure_ascii=False, indent=2)])
    return 0


def export(call: Call) -> int:
    """Print every event as a compact JWS."""
    with closing(call.outbox()) as outbox:
        events = (row.jws for row in outbox.rows())
        call.show(list(events) if call.is_json else None, events)
    return 0


def verify_chain(call: Call) -> int:
    """Check the chain: every hash, signature and place."""
    from appliance.outbox.verify import verify
    from appliance.papers import event_key

    keys, thumbprint = event_key(call.state)
    with closing(call.outbox()) as outbox:
        rows = list(outbox.rows())
    count, problems = len(rows), verify(rows, keys, thumbprint)
    call.show({"events": count, "problems": problems}, problems or [f"{count} events, chain unbroken"])
    if problems:
        raise VerificationError(f"{len(problems)} problems in the chain of {count} events")
    return 0


def _summary(row: "Row") -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "chain": row.chain,
        "type": row.type,
        "time": row.time,
        "hash": row.hash,
        "covered": row.covered,
    }
