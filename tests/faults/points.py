"""The fault points: every place at which a test makes a process die as by a power cut.

Each names a function of the product, or a statement of SQL within one, and dies just before or just after it. The
product holds no hook for this: ``install`` wraps the functions from outside, by name. A name that is gone fails every
test here at once; one that is never called any more fails the test of its own point.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FLOW = "appliance.flow:"
FRONT = "appliance.front:Front."
VISIT = "appliance.visit:"
OUTBOX = "appliance.outbox.store:Outbox."
DELIVERY = "appliance.outbox.delivery:Delivery."
LINE = "appliance.link.mqtt:MqttLine."
WINDOW = "appliance.link.window:Window."
WORKER = "agency.ingest.worker:"
BATCH = "agency.ingest.batch:"
LEDGER = "agency.ingest.commit:Ledger."
CHAINS = "agency.store.chains:"

Test = Callable[[tuple[Any, ...], Any], bool]


def always(args: tuple[Any, ...], result: Any) -> bool:
    """Any call counts."""
    return True


@dataclass(frozen=True)
class Point:
    """One place.

    Args:
        name: ``short name/before`` or ``short name/after``.
        process: ``station``, ``link`` or ``ingest``.
        target: ``module:qualified name`` of the function.
        statement: how a statement of SQL begins that is run within it; ``""`` for the function itself.
        counts: which calls count, by arguments and result (None before the call).
        stimulus: what brings a process there: ``card``, or ``start`` for what happens only then.
    """

    name: str
    process: str
    target: str
    statement: str = ""
    counts: Test = always
    stimulus: str = "card"

    @property
    def is_after(self) -> bool:
        return self.name.endswith("/after")


def _came(args: tuple[Any, ...], result: Any) -> bool:
    return result is not None


def _is_true(args: tuple[Any, ...], result: Any) -> bool:
    return bool(result)


def _is_verdict(args: tuple[Any, ...], result: Any) -> bool:
    return bool(args[1].reference)


def _goes_to(end: str) -> Test:
    return lambda args, result: str(args[1]).endswith(f"/{end}")


def _both(name: str, process: str, target: str, **more: Any) -> Iterator[Point]:
    for side in ("before", "after"):
        yield Point(f"{name}/{side}", process, target, **more)


def _statements(name: str, process: str, target: str, statements: dict[str, str], **more: Any) -> Iterator[Point]:
    for short, statement in statements.items():
        yield from _both(f"{name} {short}", process, target, statement=statement, **more)


def _station() -> Iterator[Point]:
    yield Point("card in/after", "station", f"{FRONT}wait_for_card", counts=_came)
    yield from _both("read and check", "station", f"{FLOW}examine")
    yield from _both("worker reads", "station", "appliance.run.reader:WorkerReader.read")
    yield from _both("begin digests", "station", f"{VISIT}_Lookup._begin")
    yield from _both("digests", "station", f"{VISIT}_Lookup.result")
    yield from _both("day salt", "station", f"{OUTBOX}day_salt")
    yield from _both("last visit", "station", f"{OUTBOX}last_visit")
    yield from _both("decide", "station", f"{FLOW}decide")
    yield from _both("seen before", "station", f"{FLOW}_seen_before")
    yield from _both("ask", "station", f"{FLOW}_ask")
    yield from _both("record", "station", f"{FLOW}_record")
    yield from _both("append", "station", f"{OUTBOX}append")
    yield from _statements("append", "station", f"{OUTBOX}append", _OF_APPEND)
    yield from _both("write event", "station", "appliance.events.writer:EventWriter.visit")
    yield from _both("seal", "station", "appliance.events.writer:seal")
    yield from _both("sign", "station", "appliance.events.sign:Signer.sign")
    yield from _both("hash", "station", "appliance.outbox.store:jws_hash")
    yield from _both("nudge", "station", "appliance.run.nudge:Nudge.__call__")
    yield from _both("choose screen", "station", f"{FLOW}_screen")
    yield from _both("show verdict", "station", "appliance.run.panel:PanelThread.show", counts=_is_verdict)
    yield from _both("wait for removal", "station", f"{FRONT}wait_for_removal")
    yield from _both("open outbox", "station", "appliance.outbox.database:connect", stimulus="start")
    yield from _both("say state", "station", f"{OUTBOX}say", stimulus="start")


_OF_APPEND = {
    "BEGIN": "BEGIN IMMEDIATE",
    "reads chain": "SELECT id, key FROM chain",
    "reads head": "SELECT sequence, hash FROM event",
    "inserts event": "INSERT INTO event",
    "remembers visit": "INSERT OR REPLACE INTO visit",
    "COMMIT": "COMMIT",
}

_OF_NEW_DAY = {
    "BEGIN": "BEGIN IMMEDIATE",
    "forgets visits": "DELETE FROM visit",
    "stores salt": "INSERT OR REPLACE INTO day",
    "COMMIT": "COMMIT",
    "folds log": "PRAGMA wal_checkpoint",
}


def _link() -> Iterator[Point]:
    yield from _both("count boot", "link", f"{DELIVERY}next_boot", stimulus="start")
    yield from _both("subscribe", "link", f"{LINE}subscribe", stimulus="start")
    yield from _both("take document", "link", "appliance.link.inbox:Inbox.take_document", stimulus="start")
    yield from _both("read events", "link", f"{DELIVERY}events")
    yield from _both("publish events", "link", f"{LINE}publish", counts=_goes_to("event"))
    yield from _both("note published", "link", f"{WINDOW}published")
    yield Point("PUBACK/before", "link", f"{WINDOW}acknowledged")
    yield Point("PUBACK/after", "link", f"{WINDOW}acknowledged", counts=_is_true)
    yield from _both("receipt came", "link", "appliance.run.link:Link._take_receipt")
    yield from _both("verify receipt", "link", "appliance.link.inbox:Receipt.open")
    yield from _both("take receipt", "link", f"{DELIVERY}take_receipt")
    yield from _statements("receipt", "link", f"{DELIVERY}take_receipt", _OF_RECEIPT)
    yield from _both("move window", "link", f"{WINDOW}received")
    yield from _both("publish status", "link", f"{LINE}publish", counts=_goes_to("status"))


_OF_RECEIPT = {
    "BEGIN": "BEGIN IMMEDIATE",
    "compares hash": "SELECT hash FROM event",
    "moves through": "UPDATE delivery SET through",
    "keeps proof": "INSERT OR REPLACE INTO receipt",
    "COMMIT": "COMMIT",
}


def _ingest() -> Iterator[Point]:
    yield Point("message taken/after", "ingest", f"{WORKER}Worker._bundle", counts=_came)
    yield from _both("take batch", "ingest", f"{WORKER}take")
    yield from _both("open lines", "ingest", f"{BATCH}open_lines")
    yield from _both("judge", "ingest", f"{BATCH}judge")
    yield from _both("read chains", "ingest", f"{LEDGER}of")
    yield from _both("enter event", "ingest", f"{LEDGER}enter")
    yield from _both("advance mark", "ingest", f"{LEDGER}advance")
    yield from _both("write ledger", "ingest", f"{LEDGER}write")
    yield from _both("put events", "ingest", f"{CHAINS}put_events")
    yield from _both("move mark", "ingest", f"{CHAINS}move_high_water")
    yield from _both("count commit", "ingest", f"{BATCH}count_commit")
    yield from _statements("batch", "ingest", f"{WORKER}take", _OF_BATCH)
    yield from _both("ask for receipt", "ingest", "agency.ingest.receipts:Pacer.ask")
    yield Point("receipt due/after", "ingest", "agency.ingest.receipts:Pacer.take_due", counts=_is_true)
    yield from _both("compose receipt", "ingest", f"{WORKER}compose")
    yield from _both("sign receipt", "ingest", "appliance.events.receipt:Receipt.sign")
    yield from _both("write witness", "ingest", "agency.ingest.restored:Witness.write")
    yield from _both("publish receipt", "ingest", "agency.broker.client:BrokerClient.publish_retained")


_OF_BATCH = {
    "BEGIN": "BEGIN IMMEDIATE",
    "inserts event": "INSERT INTO event",
    "moves mark": "UPDATE chain SET",
    "counts": "UPDATE meta SET",
    "COMMIT": "COMMIT",
}

#: Where one process alone, started by a test, gets as well; only on the first card of a day.
NEW_DAY = tuple(_statements("new day", "station", f"{OUTBOX}day_salt", _OF_NEW_DAY))
POINTS = (*_station(), *_link(), *_ingest())


def of(process: str) -> tuple[Point, ...]:
    """Return the points of one process."""
    return tuple(point for point in POINTS if point.process == process)
