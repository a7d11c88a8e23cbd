"""Commands that look at the queue of events and its chain."""

import json
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

from appliance.commands.call import Call
from appliance.errors import VerificationError, WrongUse

if TYPE_CHECKING:
    from appliance.outbox.row import Row
    from appliance.outbox.store import Outbox


def list_events(call: Call) -> int:
    """List the stored events: what was saved of earlier chains, then this chain, oldest first."""
    with closing(call.outbox()) as outbox:
        rows = [_summary(row) for row in (*outbox.salvaged(), *outbox.rows())]
    call.show(rows, (_line(row) for row in rows))
    return 0


def _line(row: dict[str, Any]) -> str:
    if row["erased"]:
        return f"{row['sequence']:>10}  {'erased after its receipt':<29}  covered"
    standing = "salvaged" if row["salvaged"] else "covered" if row["covered"] else "waiting"
    of = f" of chain {row['chain']}" if row["salvaged"] else ""
    return f"{row['sequence']:>10}  {row['time']}  {standing}  {row['type']}{of}"


def show(call: Call) -> int:
    """Show one event as it was signed, and the receipt that covers it. What is sealed stays sealed."""
    from appliance.events.sign import unverified_payload

    with closing(call.outbox()) as outbox:
        row = _find(outbox, call.options.sequence, call.options.chain)
        receipt = outbox.receipt_of(row)
    told = {
        **_summary(row),
        "event": None if row.is_erased else unverified_payload(row.jws),
        "receipt": unverified_payload(receipt) if receipt else None,
    }
    whole = {**told, "jws": row.jws or None, "receipt_jws": receipt}
    call.show(whole, [json.dumps(told, ensure_ascii=False, indent=2)])
    return 0


def _find(outbox: "Outbox", sequence: int, of_chain: str | None) -> "Row":
    """Return an event of this chain, or of the one that is named. Raises WrongUse."""
    row = outbox.row(sequence)
    if row is not None and of_chain in (None, row.chain):
        return row
    saved = [one for one in outbox.salvaged() if one.sequence == sequence and of_chain in (None, one.chain)]
    if not saved:
        of = f" of chain {of_chain}" if of_chain else ""
        raise WrongUse(f"there is no event {sequence}{of} on this station")
    return saved[-1]


def export(call: Call) -> int:
    """Print every event as a compact JWS; what was erased after its receipt is with the agency only."""
    with closing(call.outbox()) as outbox:
        events = (row.jws for row in chain(outbox.salvaged(), outbox.rows()) if not row.is_erased)
        call.show(list(events) if call.is_json else None, events)
    return 0


def verify_chain(call: Call) -> int:
    """Check the chain: every hash, signature and place; erased rows by their receipts, salvaged ones by themselves."""
    from appliance.events.sign import KeySet
    from appliance.outbox.verify import open_receipts, verify, verify_salvaged
    from appliance.papers import event_key, every_agency_key

    keys, thumbprint = event_key(call.state)
    with closing(call.outbox()) as outbox:
        rows, saved, kept = list(outbox.rows()), outbox.salvaged(), outbox.receipts()
        agency = every_agency_key(call.state, outbox.document("keys")) if kept else []
        ours = outbox.head().chain
    receipts, problems = open_receipts(kept, KeySet(agency), ours)
    problems += verify(rows, keys, thumbprint, receipts) + verify_salvaged(saved, keys)
    counts = {"events": len(rows), "erased": sum(row.is_erased for row in rows), "salvaged": len(saved)}
    call.show({**counts, "problems": problems}, problems or [_counted(counts)])
    if problems:
        raise VerificationError(f"{len(problems)} problems in the chain of {len(rows)} events")
    return 0


def _counted(counts: dict[str, int]) -> str:
    words = f"{counts['events']} events, chain unbroken"
    if counts["erased"]:
        words += f"; {counts['erased']} of them erased after their receipts"
    if counts["salvaged"]:
        words += f"; {counts['salvaged']} events saved of an earlier chain wait for their receipts"
    return words


def _summary(row: "Row") -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "chain": row.chain,
        "type": row.type or None,
        "time": row.time or None,
        "hash": row.hash,
        "covered": row.covered,
        "erased": row.is_erased,
        "salvaged": row.is_salvaged,
    }
