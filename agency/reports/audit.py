"""The audit: recompute everything in the store, and trust no column.

Every row's hash and columns must be those of its signed text, every signature must hold, neighbours must link, and
the high-water mark must stand on an unbroken chain. Gaps, forks and quarantined events are findings too: a clean
audit means that there is nothing an operator must look at.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain as one_after_the_other
from typing import Any

from agency.ingest.bundle import KeyRing, position_of
from agency.ingest.rows import told_columns
from agency.reports.contents import Contents
from agency.reports.excuses import Excuses
from agency.reports.heads import Heads, gone
from agency.reports.problems import Problem, guarded
from agency.reports.questions import audit_questions, audit_visits
from agency.reports.receipts import audit_receipts
from agency.reports.registers import audit_certificates, audit_keys, audit_rosters
from agency.reports.successions import audit_successions
from agency.store import chains
from agency.store.chains import Chain, Event, Quarantined
from agency.store.database import Connection
from agency.store.documents import list_documents
from agency.store.epoch import Reach, reach
from agency.store.gaps import OPERATOR, GivenUp
from agency.store.stations import event_keys, flags
from agency.store.strays import strangers, strays
from appliance.errors import VerificationError
from appliance.events.chain import jws_hash
from appliance.events.sign import DOCUMENT_TYPE, Jwk, KeySet


@dataclass
class Audit:
    """What the audit found.

    Args:
        counts: stations, chains, events, quarantined, receipts, forks, documents, rosters, members.
        problems: empty if the store is clean.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Witnesses:
    """What is known outside of the store; None where nobody knows.

    Args:
        reach: how far the store had come when receipts last left.
        keys: the published event keys of the stations.
        heads: what earlier audits left behind.
        ca: the authority's certificate, PEM.
    """

    reach: Reach | None = None
    keys: list[Jwk] | None = None
    heads: Sequence[Heads] = ()
    ca: bytes | None = None


NOBODY = Witnesses()


def audit(
    connection: Connection,
    agency_keys: list[Jwk],
    contents: Contents,
    progress: Callable[[int], None],
    witnesses: Witnesses = NOBODY,
) -> Audit:
    """Audit the store.

    Args:
        connection: reading one consistent state.
        agency_keys: the agency's public keys.
        contents: looks at what the events say.
        progress: called with the number of rows done.
        witnesses: what is known outside of the store.
    """
    keys = event_keys(connection)
    result = Audit()
    result.counts["stations"] = len({key.station for key in keys})
    ring = KeyRing(keys)
    excuses = Excuses(connection, ring)
    owned = chains.list_chains(connection)
    result.problems.extend(_flags(connection))
    result.problems.extend(_clashes(owned))
    for chain in sorted(owned, key=lambda chain: (chain.station, chain.kid)):
        result.counts["chains"] += 1
        contents.begin(chain)
        found = one_after_the_other(
            _audit_chain(connection, chain, ring, excuses, contents, result.counts, progress=progress),
            contents.end(chain),
        )
        result.problems.extend(guarded(found, chain.station, chain.id))
    result.problems.extend(guarded(audit_successions(connection, owned, ring, excuses, result.counts), "", "chains"))
    public = KeySet(agency_keys)
    result.problems.extend(guarded(audit_receipts(connection, owned, public, result.counts), "", "receipts"))
    seen, here = witnesses.reach, reach(connection)
    if seen is not None and seen > here:
        result.problems.append(Problem("restored", "", f"epoch {seen.epoch}", "receipts have left of a newer store"))
    for heads in witnesses.heads:
        result.problems.extend(guarded(gone(connection, heads), "", "heads"))
    if witnesses.ca is not None:
        result.problems.extend(guarded(audit_certificates(connection, witnesses.ca), "", "certificates"))
    if witnesses.keys is not None:
        result.problems.extend(guarded(audit_keys(connection, witnesses.keys), "", "keys"))
    rosters = audit_rosters(connection, contents.keys, public, result.counts, progress)
    result.problems.extend(guarded(rosters, "", "rosters"))
    result.problems.extend(guarded(audit_questions(connection, public, result.counts), "", "questions"))
    result.problems.extend(guarded(audit_visits(connection, contents.keys, result.counts), "", "health visits"))
    result.problems.extend(guarded(_audit_apart(connection, result.counts), "", "quarantine and forks"))
    result.problems.extend(_strays(connection))
    result.problems.extend(guarded(_audit_documents(connection, public, result.counts), "", "documents"))
    return result


def _flags(connection: Connection) -> Iterator[Problem]:
    for station, reason in flags(connection):
        words = f"flagged: {reason}; 'card-agency station clear {station}' once somebody has looked"
        yield Problem("flag", station, reason, words)


def _clashes(owned: list[Chain]) -> Iterator[Problem]:
    """Tell of every chain whose ULID stands for another key's chain too: by chance that never happens."""
    users = Counter(chain.id for chain in owned)
    for chain in owned:
        if users[chain.id] > 1:
            yield Problem("clash", chain.station, chain.id, "another key signs a chain with this ULID")


def _audit_chain(
    connection: Connection,
    chain: Chain,
    ring: KeyRing,
    excuses: Excuses,
    contents: Contents,
    counts: Counter[str],
    *,
    progress: Callable[[int], None],
) -> Iterator[Problem]:
    sequence, hash_ = 0, chain.kid
    told = excuses.of(chain.key)
    given_up = GivenUp(told.believed)
    for one in told.invented:
        yield Problem("edited", chain.station, chain.id, f"an excuse for {one.first} to {one.last} of nobody")
    hash_at_mark = chain.kid if chain.high_water == 0 else None
    for row in chains.chain_rows(connection, chain.key):
        place = f"{chain.id}/{row.sequence}"
        counts["events" if isinstance(row, Event) else "positions_quarantined"] += 1
        progress(counts["events"])
        yield from guarded(_row_problems(row, chain, ring, contents, counts), chain.station, place)
        if row.sequence != sequence + 1:
            yield _gap(chain, given_up, sequence + 1, (row.sequence or 0) - 1)
        elif row.previous != hash_:
            yield Problem("broken", chain.station, place, "does not link to the event before")
        elif isinstance(row, Event) and row.sequence == chain.high_water + 1:
            yield Problem("high_water", chain.station, f"{chain.id}/{chain.high_water}", "events follow the mark")
        sequence, hash_ = row.sequence or 0, row.hash
        if sequence == chain.high_water:
            hash_at_mark = hash_
    if hash_at_mark != chain.hash:
        place = f"{chain.id}/{chain.high_water}"
        yield Problem("high_water", chain.station, place, "the high-water mark is not the hash that is held there")


def _gap(chain: Chain, given_up: GivenUp, first: int, last: int) -> Problem:
    place, words = f"{chain.id}/{last + 1}", f"{first} to {last} are not held"
    if given_up.through(first) < last:
        return Problem("missing" if first <= chain.high_water else "gap", chain.station, place, words)
    whose = given_up.by(first)
    told = "an operator gave them up" if whose == [OPERATOR] else f"declared lost in {', '.join(whose)}"
    return Problem("excused", chain.station, place, f"{words}: {told}")


def _row_problems(
    row: Event | Quarantined, chain: Chain, ring: KeyRing, contents: Contents, counts: Counter[str]
) -> Iterator[Problem]:
    place = f"{chain.id}/{row.sequence}"
    if jws_hash(row.jws) != row.hash:
        yield Problem("edited", row.station, place, "the hash is not that of the signed text")
    try:
        key, payload = ring.open(row.jws)
    except VerificationError as error:
        yield Problem("signature", row.station, place, str(error))
        return
    is_of_another = key.kid != chain.kid or key.station != row.station or row.station != chain.station
    if is_of_another:
        yield Problem("edited", row.station, place, "the chain belongs to another key or station")
    wrong = [name for name, value in _expected(row, payload).items() if getattr(row, name) != value]
    if wrong:
        yield Problem("edited", row.station, place, f"differs from the signed text in {', '.join(wrong)}")
    elif isinstance(row, Event) and not is_of_another:
        yield from contents.look(row, payload, counts)
    elif isinstance(row, Quarantined) and not is_of_another and not contents.deserves(row, payload, key):
        yield Problem("edited", row.station, place, f"is quarantined as {row.code}, and nothing is wrong with it")


def _expected(row: Event | Quarantined, payload: dict[str, Any]) -> dict[str, Any]:
    """Return what the columns of a row must be."""
    position = position_of(payload)
    place = {
        "chain": position and position.chain,
        "sequence": position and position.sequence,
        "previous": position and position.previous,
    }
    if isinstance(row, Quarantined):
        return place
    return {**place, **told_columns(payload)}


def _audit_apart(connection: Connection, counts: Counter[str]) -> Iterator[Problem]:
    for kept in chains.list_quarantined(connection):
        counts["quarantined"] += 1
        place = f"{kept.chain}/{kept.sequence}" if kept.chain else "no place"
        yield Problem("quarantine", kept.station, place, f"quarantined: {kept.code}{_altered(kept)}")
    for fork in chains.list_forks(connection):
        counts["forks"] += 1
        yield Problem("fork", fork.station, f"{fork.chain}/{fork.sequence}", f"fork: {fork.reason}{_altered(fork)}")


def _altered(kept: Quarantined | chains.Fork) -> str:
    return "" if jws_hash(kept.jws) == kept.hash else "; its text was altered"


def _strays(connection: Connection) -> Iterator[Problem]:
    for kind, name in strangers(connection):
        yield Problem("edited", "", name, f"a {kind} acts in the database that nobody of ours made")
    for one in strays(connection):
        yield Problem("edited", "", one.table, f"{one.rows} rows name a {one.of} that is not held: {one.names}")


def _audit_documents(connection: Connection, keys: KeySet, counts: Counter[str]) -> Iterator[Problem]:
    for document in list_documents(connection):
        counts["documents"] += 1
        place = f"{document.kind}/{document.version}"
        try:
            payload = keys.verify(document.jws, DOCUMENT_TYPE, "document")
        except VerificationError as error:
            yield Problem("document", "", place, str(error))
            continue
        members = ("kind", "version", "issued_at", "expires_at")
        is_same = all(payload[name] == getattr(document, name) for name in members)
        if not is_same or payload["audience"] != list(document.audience):
            yield Problem("document", "", place, "differs from the signed text")
        elif (document.roster is not None) != (document.kind == "roster"):
            yield Problem("document", "", place, "does not name the roster that it is of")
