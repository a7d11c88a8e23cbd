"""What the agency's lists cost a station: taking one up, looking a person up, and how much the card's own time hides.

    .venv/bin/python benchmarks/lists.py [--people N] [--rounds N]

``take up`` verifies a signed roster of N people and reads it, beside the second that it may last. ``look up`` is one
memory-hard digest beside bare ``hashlib.scrypt`` of the same cost; a station makes one for today's secret and one for
each list, side by side.

``visit`` reads nine APDUs of a virtual card over a serial line (372/12, 372/1) and looks the person up in a roster
and a deny-list: ``ours`` begins with the first word of the number, ``at the end`` only when the card is read, ``read
alone`` looks nobody up. ``hidden`` is the share of the look-up that the rest of the read covers.

Medians. On a machine of two cores three digests do not run side by side; a Raspberry Pi has four. What a digest takes
there is not measured here: run this on one.
"""

import argparse
import base64
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from appliance.cards.thai_id import Field
from appliance.events.document import Document
from appliance.events.roster import Roster, Scrypt, roster_body
from appliance.events.sign import KeySet, Signer
from appliance.ports import Insertion, silence
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.line import OnLine, SerialLine
from appliance.simulate.persons import person
from appliance.visit import _Lookup, examine

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from tests.flow.stage import SERVICES, Stage, signed_roster  # noqa: E402

LIMIT_S = 1.0
LINES = ("372/12", "372/1")
SERVICE = "tdc.student_enrol"


def median_s(act: Callable[[], object], rounds: int) -> float:
    """Return the median time of ``act`` in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def signed_list(people: int) -> tuple[str, KeySet]:
    """Return a signed roster of so many digests, made without the cost of making them, and the keys for it."""
    signer, now = Signer.generate(), datetime.now(UTC)
    body = roster_body("school-1", "2026-11-22", [])
    packed = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest()[:12] for number in range(people))
    body["entries"] = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    document = Document("roster", 1, now, now + timedelta(days=30), ("*",), body)
    return document.sign(signer), KeySet([signer.public("document")])


def take_up_s(people: int, rounds: int) -> float:
    """Return the time to verify and read a list of ``people``."""
    jws, keys = signed_list(people)
    return median_s(lambda: Roster.from_document(Document.open(jws, keys, "roster", "bkk-001")), rounds)


def look_up_s(rounds: int) -> tuple[float, float]:
    """Return the time of one digest, ours and bare."""
    kdf, number = Scrypt.fresh(), person(1).citizen_id

    def bare() -> bytes:
        return hashlib.scrypt(number.encode(), salt=kdf.salt, n=kdf.n, r=kdf.r, p=kdf.p, maxmem=1 << 26, dklen=12)

    return median_s(lambda: kdf.digest(number), rounds), median_s(bare, rounds)


def visit_s(line: str, rounds: int) -> dict[str, float]:
    """Return the time of one visit, by what is done of it."""
    with tempfile.TemporaryDirectory(dir=_ROOT) as folder:
        stage = Stage(Path(folder), profile=SERVICES[SERVICE], denylist=signed_roster(kind="denylist"))
        fields = [Field.named(name) for name in stage.profile.card.read]
        world = replace(stage.world(), reader=SlotReader(stage.slot, fields))

        def insert() -> Insertion:
            stage.slot.insert(OnLine(ThaiCard(person(2)), SerialLine.parse(line)))
            insertion = world.reader.wait_card(0)
            assert insertion is not None
            return insertion

        def visit() -> None:
            examine(world, stage.profile, insert(), False, silence)

        def read() -> None:
            insert()
            world.reader.read(fields)

        times = {"ours": median_s(visit, rounds), "read alone": median_s(read, rounds)}
        with mock.patch.object(_Lookup, "begun_by", lambda lookup, tell: tell):
            times["at the end"] = median_s(visit, rounds)
        stage.outbox.close()
    return times


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the agency's lists cost a station.")
    parser.add_argument("--people", type=int, default=3000, metavar="N", help="on the list (3000)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="of each (15)")
    options = parser.parse_args(arguments)
    if options.people < 1 or options.rounds < 1:
        parser.error("--people and --rounds are 1 or more")
    took = take_up_s(options.people, options.rounds)
    print(f"take up {options.people:6}  {took * 1e3:8.1f} ms   {took / LIMIT_S:.3f} of the second allowed")
    ours, bare = look_up_s(options.rounds)
    print(f"look up         {ours * 1e3:8.1f} ms   {ours / bare:.2f} of bare scrypt")
    for line in LINES:
        times = visit_s(line, options.rounds)
        told = "   ".join(f"{name} {time_s * 1e3:.1f} ms" for name, time_s in times.items())
        hidden = (times["at the end"] - times["ours"]) / (times["at the end"] - times["read alone"])
        print(f"visit {line:>8}  {told}   hidden {hidden:.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
