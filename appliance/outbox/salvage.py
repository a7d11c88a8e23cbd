"""What can still be got out of a state database that is damaged.

Two ways, because each finds what the other misses. SQLite reads whatever rows it can still reach. And the signed texts
are looked for in the raw bytes: in the file, which holds committed pages only, and in those frames of the log that a
commit closed, so that an event which was signed and never stored does not come to life here. Nothing found is believed
by its looks: an event counts if our own key signed it, a receipt if the agency's did.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from appliance.errors import VerificationError
from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import jws_hash
from appliance.events.receipt import Receipt
from appliance.events.sign import EVENT_TYPE, RECEIPT_TYPE, KeySet, MessageType, unverified_payload
from appliance.outbox.database import PAGE_BYTES

_JWS = re.compile(rb"eyJhbGciOi[A-Za-z0-9_-]{20,2000}\.[A-Za-z0-9_-]{20,1000000}\.[A-Za-z0-9_-]{86}")
_LONGEST_BYTES = 1 << 20  # more than that can be
_STEP_BYTES = 1 << 20
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24

_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)

Place = tuple[str, int]


@dataclass(frozen=True)
class Saved:
    """An event that our key signed."""

    chain: str
    sequence: int
    previous: str
    hash: str
    jws: str


@dataclass
class Wreck:
    """What a damaged database still tells.

    Args:
        chain: ULID of the chain that it wrote; None where that cannot be known.
        events: those that no receipt covers, by chain and sequence.
        newest: the event with the highest number of each chain, covered or not.
        receipts: the newest of each chain.
        rows: whole rows of the small tables, by table.
    """

    chain: str | None = None
    events: dict[Place, Saved] = field(default_factory=dict)
    newest: dict[str, Saved] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def newest_time(self) -> datetime | None:
        """Return the latest time that any event bears which was found."""
        times = [datetime.fromisoformat(unverified_payload(one.jws)["time"]) for one in self.newest.values()]
        return max(times, default=None)

    def lost(self) -> list[list[int]]:
        """Return the closed ranges of the chain that neither a receipt covers nor anything was saved of."""
        last = self.newest.get(self.chain or "")
        receipt = self.receipts.get(self.chain or "")
        if last is None or self.chain is None:
            return []
        ranges: list[list[int]] = []
        for sequence in range((receipt.through if receipt else 0) + 1, last.sequence + 1):
            if (self.chain, sequence) in self.events:
                continue
            if ranges and ranges[-1][1] == sequence - 1:
                ranges[-1][1] = sequence
            else:
                ranges.append([sequence, sequence])
        return ranges


def salvage(path: Path, own: KeySet, enrolled: AgencyKeys, station: str) -> Wreck:
    """Return what is left in the database at ``path`` and the log beside it.

    Args:
        path: the damaged file, which nobody else uses any more.
        own: the station's event key.
        enrolled: the agency's keys of the enrolment; those of later documents are followed from there.
        station: our id.
    """
    wreck = Wreck()
    log = path.with_name(f"{path.name}-wal")
    readable = list(_readable(path, wreck))
    agency = _keys_in_force(wreck, enrolled, station)
    for look in (_receipts_into, _events_into):  # receipts first: what they cover need not be kept
        look(wreck, chain(readable, _carved(path), _carved_log(log)), own, agency)  # by trust: the first text counts
    named, seen = wreck.rows.get("chain"), {*wreck.newest, *wreck.receipts}
    wreck.chain = str(named[0][1]) if named else max(seen, default=None)  # the youngest ULID is the largest
    return wreck


def _readable(path: Path, wreck: Wreck) -> Iterator[str]:
    """Yield every signed text that SQLite still reaches, and note the rows of the small tables."""
    with suppress(*_UNREADABLE), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        for table in ("chain", "delivery", "document", "day", "visit"):
            with suppress(*_UNREADABLE):
                wreck.rows[table] = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
        for table, order in (("receipt", ""), ("salvaged", ""), ("event", "ORDER BY sequence DESC"), ("event", "")):
            with suppress(*_UNREADABLE):
                for (jws,) in database.execute(f"SELECT jws FROM {table} {order}"):  # noqa: S608
                    yield str(jws)


def _keys_in_force(wreck: Wreck, enrolled: AgencyKeys, station: str) -> KeySet:
    keys = enrolled
    for kind, _, text in wreck.rows.get("document", []):
        if kind == "keys":
            with suppress(VerificationError, AttributeError, TypeError):
                keys = enrolled.follow(text, station)
    return keys.signatures


def _carved(path: Path) -> Iterator[str]:
    """Yield what looks like a signed text in a file of any size; the newest lies last, and proves those before it."""
    with suppress(OSError):
        for start in reversed(range(0, path.stat().st_size, _STEP_BYTES)):
            content = b"".join(_pages(path, start, start + _STEP_BYTES + _LONGEST_BYTES))
            found = [match for match in _JWS.finditer(content) if match.start() < _STEP_BYTES]
            for match in reversed(found):
                yield match.group().decode("ascii")


def _carved_log(path: Path) -> Iterator[str]:
    with suppress(OSError):
        content = b"".join(_pages(path, 0, path.stat().st_size))
        for page in _committed(content):
            for match in _JWS.finditer(page):
                yield match.group().decode("ascii")


def _pages(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Yield the pages of a file, and zeros for those that the disk does not give back. Never by a map of it: SIGBUS."""
    with path.open("rb", buffering=0) as file:
        for place in range(start, min(end, path.stat().st_size), PAGE_BYTES):
            try:
                yield os.pread(file.fileno(), PAGE_BYTES, place)
            except OSError:
                yield bytes(PAGE_BYTES)


def _committed(log: bytes) -> Iterator[bytes]:
    """Yield the pages of a write-ahead log up to its last commit. Source: SQLite, "WAL-mode file format"."""
    salts, size = log[16:24], _FRAME_HEADER_BYTES + PAGE_BYTES
    frames = [log[start : start + size] for start in range(_LOG_HEADER_BYTES, len(log) - size + 1, size)]
    ours = []
    for frame in frames:
        if frame[8:16] != salts:
            break
        ours.append(frame)
    commits = [number for number, frame in enumerate(ours) if any(frame[4:8])]
    for frame in ours[: commits[-1] + 1 if commits else 0]:
        yield frame[_FRAME_HEADER_BYTES:]


def _of(message: MessageType, texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts that call themselves such messages, each once."""
    is_such, seen = dict[str, bool](), set[int]()
    for jws in texts:
        header, text = jws.partition(".")[0], hash(jws)
        if header not in is_such:  # nearly all headers are the same one
            is_such[header] = _typ(header) == message.typ
        if is_such[header] and text not in seen:
            seen.add(text)
            yield jws


def _typ(header: str) -> str:
    try:
        return str(unverified_payload(f".{header}.").get("typ"))
    except VerificationError:
        return ""


def _receipts_into(wreck: Wreck, texts: Iterable[str], own: KeySet, agency: KeySet) -> None:
    for jws in _of(RECEIPT_TYPE, texts):
        with suppress(VerificationError):
            station = str(agency.verify(jws, RECEIPT_TYPE, "receipt").get("station"))
            receipt = Receipt.open(jws, agency, station)
            known = wreck.receipts.get(receipt.chain)
            if known is None or (receipt.epoch, receipt.through) > (known.epoch, known.through):
                wreck.receipts[receipt.chain] = receipt


def _events_into(wreck: Wreck, texts: Iterable[str], own: KeySet, agency: KeySet) -> None:
    for jws in _of(EVENT_TYPE, texts):
        with suppress(VerificationError, KeyError, ValueError, TypeError):
            claimed = unverified_payload(jws)
            place = (str(claimed["chain"]), int(claimed["sequence"]))
            receipt, newest = wreck.receipts.get(place[0]), wreck.newest.get(place[0])
            is_covered = receipt is not None and place[1] <= receipt.through
            if place in wreck.events or (is_covered and newest is not None and newest.sequence >= place[1]):
                continue
            saved = Saved(*place, str(claimed["previous"]), jws_hash(jws), jws)
            following = wreck.events.get((place[0], place[1] + 1))
            if following is None or following.previous != saved.hash:  # else one that our key signed names this one
                own.verify(jws, EVENT_TYPE, "event")
            if not is_covered:
                wreck.events[place] = saved
            if newest is None or newest.sequence < place[1]:
                wreck.newest[place[0]] = saved
