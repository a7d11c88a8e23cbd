"""The heads: a signed file that says how far the store had come at an audit, and that a later audit holds it against.

Rows can be deleted so that what is left fits together: the end of a chain with its receipt and its mark, a whole chain,
a fork with its flag. Only what was said of them elsewhere tells. So each audit that finds nothing gone leaves the heads
beside the database; a copy of that file on another machine is out of reach for whoever has this one (docs/adr/0040).

The first line is a JWS over the hash of the others::

    chain ULID KID THROUGH HELD HASH TOP ALL
    apart HASH
    approved STATION KID AT
    flag STATION REASON
    access NUMBER DIGEST
    rows TABLE NUMBER
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agency.clock import now_text
from agency.reports.problems import Problem
from agency.store import heads as store
from agency.store.accesses import decided
from agency.store.chains import ChainKey, find_chain, is_apart, links_between
from agency.store.database import Connection
from agency.store.gaps import highest
from agency.store.stations import flags
from appliance.errors import VerificationError
from appliance.events.sign import KeySet, MessageType, Signer

HEADS_TYPE = MessageType("card-heads+jws")


@dataclass(frozen=True)
class Heads:
    """How far a store had come.

    Args:
        made_at: RFC 3339.
        lines: as in the file.
    """

    made_at: str
    lines: Sequence[str]


def compose(connection: Connection, signer: Signer) -> str:
    """Return the file for the store as it is."""
    lines = [
        f"chain {h.key.id} {h.key.kid} {h.through} {h.held} {h.hash} {h.top} {h.all}" for h in store.heads(connection)
    ]
    lines += [f"apart {hash_}" for hash_ in store.apart(connection)]
    lines += [f"approved {one.station} {one.kid} {one.at}" for one in store.approvals(connection)]
    lines += [f"flag {station} {reason}" for station, reason in flags(connection)]
    lines.append("access {} {}".format(*store.log(connection)))
    lines += [f"rows {table} {count}" for table, count in store.row_counts(connection).items()]
    said = {"made_at": now_text(), "lines": len(lines), "sha256": _digest(lines)}
    return "\n".join([signer.sign(said, HEADS_TYPE), *lines]) + "\n"


def read(text: str, keys: KeySet) -> Heads:
    """Read a file that was composed here.

    Raises:
        VerificationError: it is not ours, or not whole.
    """
    token, *lines = text.split("\n")
    said = keys.verify(token, HEADS_TYPE, "document")
    if lines[-1:] != [""] or _digest(lines[:-1]) != said.get("sha256"):
        raise VerificationError("the lines are not those that were signed")
    return Heads(str(said.get("made_at")), lines[:-1])


def gone(connection: Connection, seen: Heads) -> Iterator[Problem]:
    """Yield what was held when the heads were made and is not any more."""
    rows, approvals = store.row_counts(connection), set(store.approvals(connection))
    for line in seen.lines:
        match line.split(" "):
            case ["chain", id_, kid, through, held, hash_, top, all_]:
                head = store.Head(ChainKey(id_, kid), int(through), int(held), hash_, int(top), int(all_))
                yield from _gone_of(connection, head, seen)
            case ["flag", station, reason] if not _is_kept(connection, station, reason, seen):
                yield Problem("gone", station, reason, f"a flag of {seen.made_at} that no 'station clear' took away")
            case ["apart", hash_] if not is_apart(connection, hash_):
                yield Problem("gone", "", hash_, f"stood apart as a fork or in the quarantine at {seen.made_at}")
            case ["approved", station, kid, at] if store.Approval(station, kid, at) not in approvals:
                words = f"the key {kid or 'of the station'} was approved at {at}, as it stood at {seen.made_at}"
                yield Problem("gone", station, kid, words)
            case ["access", last, digest] if store.log(connection, int(last)) != store.Log(int(last), digest):
                yield Problem("gone", "", "access", f"rows up to {last} are not those of {seen.made_at}")
            case ["rows", table, count] if rows.get(table, 0) < int(count):
                words = f"{count} rows were held at {seen.made_at}, {rows.get(table, 0)} are now"
                yield Problem("gone", "", table, words)


def _gone_of(connection: Connection, head: store.Head, seen: Heads) -> Iterator[Problem]:
    place = f"{head.key.id}/{head.through}"
    chain = find_chain(connection, head.key)
    if chain is None:
        yield Problem("gone", "", place, f"a chain was held at {seen.made_at}, and is not now")
        return
    held = store.held_through(connection, head.key, head.through)
    held_now = store.held_through(connection, head.key, head.top)
    at_head = links_between(connection, head.key, head.through, head.through).get(head.through)
    if held < head.held:
        words = f"{head.held} events were held up to here at {seen.made_at}, {held} are now"
        yield Problem("gone", chain.station, place, words)
    elif head.through and (at_head is None or at_head.hash != head.hash):
        yield Problem("gone", chain.station, place, f"another event was held here at {seen.made_at}")
    elif held_now < head.all or highest(connection, head.key) < head.top:
        yield Problem(
            "gone", chain.station, place, f"{head.all} events to {head.top} were held at {seen.made_at}, beyond gaps"
        )
    elif chain.high_water < head.through:
        yield Problem("gone", chain.station, place, f"the high-water mark was here at {seen.made_at}")


def _is_kept(connection: Connection, station: str, reason: str, seen: Heads) -> bool:
    """Say whether a flag stands, or an operator took it away since."""
    return (station, reason) in flags(connection) or decided(
        connection, "station clear", f"{station} {reason}", seen.made_at
    )


def _digest(lines: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(lines).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
