"""What it costs to read a card: this reader beside the computed floor, the serial line's limit, and a known peer.

All of them read the same virtual card, which sits in the virtual reader of a real pcscd, in one run:

    .venv/bin/python benchmarks/card_read.py

``floor`` is a raw loop that sends exactly the fewest commands and looks at nothing; ``floor + check`` sends the
citizen number's read once more at the end, as this reader does, so that the price of that promise and the price of
our own code can be told apart. ``ours`` is ``SlotReader`` on ``PcscSlot`` with its allow-list, in the process that
asks; ``worker`` the same through the worker process, as the station runs it. ``peer`` is pythaiidcard, which the
benchmark installs from the package index into ``.venv/peers``; started inside ``scripts/private`` it cannot reach
the index, and goes on with what is there or without a peer. What the peer offers is nine fields, with 100 of the
address's 160 bytes, with and without the photo: ``nine fields`` is read as its manual says, and we read the address
whole. The number alone and all text it does not offer. There its private method is called after its public
``connect()``, once for the number, or after its public ``read_card()`` for each field that is missing, so that a row
is the same fields for all.

Timed is what somebody waits for with a card in: from connecting to the record, and disconnecting. Not timed are
imports, the constructor, and what each program does once in its life (ours: the context and ``wait_card``; the floor:
context and list of readers; the peer makes a context and lists the readers at every ``connect()``, and powers the
card down at its end). Each stands in a process of its own, apart from the card's. They read in turn, in
another order each round, so that noise hits all alike; root also gives them precedence over other programs. Before
each turn the card is powered up, as it is when it was just put in, and nothing happens for a moment.

How to read the tables: one row for each set of fields and line. ``no line`` shows what programs and pcscd cost; the
others hold each answer back as a real card's line at 4 MHz would (``appliance.simulate.line``; the machine's timer
adds about 0.1 ms a command, to all alike). Times are ms: the median, and in brackets the middle half. Ratios are of
medians: ``ours / floor`` is 1 at best, ``peer / ours`` is how many times longer the peer takes, and ``ours / limit``
compares with the time that the fewest characters are on the line and nothing else.
"""

import importlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from smartcard import scard

from appliance.cards import plan, thai_id
from appliance.cards.thai_id import CID, TEXT, WITH_PHOTO, Applet, Field
from appliance.hardware.pcsc import PcscSlot
from appliance.run.reader import WorkerReader
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import VirtualCard
from appliance.simulate.deck import deck
from appliance.simulate.line import SerialLine, characters
from appliance.simulate.pcscd import PRIVATE, PrivatePcscd
from appliance.simulate.portrait import USUAL_BYTES
from appliance.simulate.quirks import Quirk
from appliance.simulate.vpcd import VpcdCard

CARD = "nid17"
CELL_S, PHOTO_CELL_S = 3.0, 10.0  # each cell of the table takes about this long, within these numbers of rounds
ROUNDS = (2, 101)
NEAR = 1.15
NO_LINE = "no line"
TARGET_LINE = "512/32"

_ROOT = Path(__file__).parents[1]
_PEER = "pythaiidcard==0.3.0"
_PEER_NEEDS = "pydantic>=2"  # pyscard, the same for all, is in .venv already
_PEER_FOLDER = _ROOT / ".venv" / "peers" / _PEER
_PATIENCE_S = 5.0
_MOMENT_S = 0.005
_PRECEDENCE = -15  # card, pcscd and readers alike come before the machine's other programs
#: Of all text the peer does not offer these, the last being the end of the address and the photo number in one.
_NOT_OFFERED = (
    *(each.stretch for each in (Field.VERSION, Field.REQUEST_NUMBER, Field.ISSUER_CODE, Field.CARD_TYPE)),
    range(Field.ADDRESS.stretch.start + 100, Field.PHOTO_NUMBER.stretch.stop),
)
_SELECT_CHARACTERS = 16
_WINDOW_CHARACTERS = 18

_NINE = (
    *(Field.CITIZEN_ID, Field.NAME_TH, Field.NAME_EN, Field.BIRTH_DATE, Field.SEX, Field.ISSUER, Field.ISSUE_DATE),
    *(Field.EXPIRY_DATE, Field.ADDRESS),
)

LINES: Mapping[str, SerialLine | None] = {
    NO_LINE: None,
    **{text: SerialLine.parse(text) for text in (TARGET_LINE, "372/12", "372/1")},
}


@dataclass(frozen=True)
class Row:
    """What is read.

    Args:
        name: as printed.
        fields: of the card.
        most_apdus: how many commands we allow ourselves for it; None where nobody has said.
    """

    name: str
    fields: tuple[Field, ...]
    most_apdus: int | None = None


@dataclass(frozen=True)
class Traffic:
    """What one read sends: commands, and characters on the line in both directions."""

    apdus: int
    characters: int


ROWS = (
    Row("number", CID, 3),
    Row("nine fields", _NINE),
    Row("text", TEXT, 9),
    Row("text + photo", WITH_PHOTO, 43),
)

Read: TypeAlias = Callable[[Row], object]
Times: TypeAlias = Mapping[str, Sequence[float]]  # reader -> seconds of each round
Cell: TypeAlias = tuple[Row, str]


# --- the floor ---


def windows(row: Row) -> list[range]:
    """Return the fewest windows of the card's file that hold a row's fields, the photo's size being known."""
    return [*plan.windows(row.fields)] + (plan.photo_windows(USUAL_BYTES) if Field.PHOTO in row.fields else [])


def fewest(row: Row, with_check: bool = False) -> list[bytes]:
    """Return the fewest commands for a row; ``with_check``: and those that read the number once more."""
    again = [Field.CITIZEN_ID.stretch] if with_check and len(windows(row)) > 1 else []
    commands = [bytes(thai_id.select(Applet.MOI))]
    for window in windows(row) + again:
        commands += [bytes(thai_id.read_file(window)), bytes([0x00, 0xC0, 0x00, 0x00, len(window)])]
    return commands


def fewest_characters(sizes: Sequence[int]) -> int:
    """Return how many characters are on a T=0 line to select the applet and read windows of these sizes in bytes."""
    return _SELECT_CHARACTERS + sum(size + _WINDOW_CHARACTERS for size in sizes)


def limit_s(row: Row, line: SerialLine) -> float:
    """Return the time in seconds that reading a row is on the line, whoever reads."""
    return fewest_characters([len(window) for window in windows(row)]) * line.character_s


class RawCard:
    """Sends commands to the first reader's card and looks at no answer but the last."""

    def __init__(self) -> None:
        _, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self._reader = scard.SCardListReaders(self._context, [])[1][0]

    def send(self, commands: Sequence[list[int]]) -> None:
        """Connect, send, disconnect."""
        result, handle, _ = scard.SCardConnect(
            self._context, self._reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0
        )
        answer = [0x90, 0x00]
        for command in commands:
            result, answer = scard.SCardTransmit(handle, scard.SCARD_PCI_T0, command)
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        if result != scard.SCARD_S_SUCCESS or answer[-2:] != [0x90, 0x00]:
            raise RuntimeError(f"the raw loop failed: {result & 0xFFFFFFFF:08X}")


# --- the readers, each in a process of its own ---


def _floor(with_check: bool = False) -> Read:
    card = RawCard()
    commands = {row: [list(command) for command in fewest(row, with_check)] for row in ROWS}
    return lambda row: card.send(commands[row])


def _ours() -> Read:
    slot = PcscSlot()
    slot.wait_card(_PATIENCE_S)
    reader = SlotReader(slot, WITH_PHOTO)
    return lambda row: reader.read(row.fields)


def _worker() -> Read:
    reader = WorkerReader(may_read=WITH_PHOTO, is_quiet=True)
    reader.wait_card(_PATIENCE_S)
    return lambda row: reader.read(row.fields)


def _peer() -> Read:
    sys.path.append(str(_PEER_FOLDER))
    peer: Any = importlib.import_module("pythaiidcard")
    constants: Any = importlib.import_module("pythaiidcard.constants")
    missing = [constants.APDUCommand([*bytes(thai_id.read_file(each))], "not offered") for each in _NOT_OFFERED]
    reader = peer.ThaiIDCardReader()

    def read(row: Row) -> None:
        with reader.card_session():
            if row.fields == CID:
                reader._read_text_field(constants.CardCommands.CID)
                return
            reader.read_card(include_photo=Field.PHOTO in row.fields)
            if row.fields != _NINE:
                for command in missing:
                    reader._read_text_field(command)

    return read


READERS: Mapping[str, Callable[[], Read]] = {
    "floor": _floor,
    "floor + check": lambda: _floor(with_check=True),
    "ours": _ours,
    "worker": _worker,
    "peer": _peer,
}


def serve(name: str) -> None:
    """Be one reader: for each name of a row on standard input read it, and print how many seconds it took."""
    read = READERS[name]()
    rows = {row.name: row for row in ROWS}
    for line in sys.stdin:
        row = rows[line.strip()]
        start_s = time.perf_counter()
        read(row)
        print(time.perf_counter() - start_s, flush=True)


class Contestant:
    """A reader in its own process, seen from here."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def read_s(self, row: Row) -> float:
        """Let it read, and return how many seconds it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{row.name}\n")
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()  # closes its input, and waits


# --- the measurement ---


class Meter(Quirk):
    """A card that counts what it is asked, at the end of a line that may be changed."""

    def __init__(self, card: VirtualCard) -> None:
        super().__init__(card)
        self.line: SerialLine | None = None
        self.traffic = Traffic(0, 0)

    def _say(self, command: bytes) -> bytes | None:
        answer = super()._say(command)
        self.traffic = Traffic(self.traffic.apdus + 1, self.traffic.characters + characters(command, answer))
        if self.line is not None:
            time.sleep(self.line.duration_s(command, answer))
        return answer


class Bench:
    """The card, and who reads it."""

    def __init__(self, card: Meter, contestants: Mapping[str, Contestant]) -> None:
        self._card, self._contestants, self._waker = card, contestants, RawCard()

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Let everybody read every row once; return what was sent by name of row and reader."""
        found = {}
        for row in ROWS:
            for name in self._contestants:
                self._card.traffic = Traffic(0, 0)
                self._read_s(name, row)
                found[row.name, name] = self._card.traffic
        return found

    def times(self, row: Row, line: SerialLine | None) -> dict[str, list[float]]:
        """Let everybody read a row in turn, round after round, each round in another order."""
        self._card.line = line
        names = list(self._contestants)
        found: dict[str, list[float]] = {name: [] for name in names}
        end_s = time.monotonic() + (PHOTO_CELL_S if Field.PHOTO in row.fields else CELL_S)
        for number in range(ROUNDS[1]):
            if number >= ROUNDS[0] and time.monotonic() > end_s:
                break
            for name in random.sample(names, len(names)):
                found[name].append(self._read_s(name, row))
        return found

    def _read_s(self, name: str, row: Row) -> float:
        self._waker.send([])
        time.sleep(_MOMENT_S)
        return self._contestants[name].read_s(row)


# --- what is printed ---


def milliseconds(times_s: Sequence[float]) -> str:
    """Return the median of times in ms, and their middle half."""
    low, middle, high = (each * 1e3 for each in statistics.quantiles(times_s, n=4, method="inclusive"))
    digits = 2 if middle < 100 else 0
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return lines under a head, the first two columns to the left, the others to the right."""
    widths = [max(len(line[at]) for line in (head, *lines)) for at in range(len(head))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" if at < 2 else f"{text:>{width}}" for at, (text, width) in enumerate(columns))
        for columns in (list(zip(line, widths, strict=True)) for line in (head, *lines))
    )


def ratios(cell: Cell, times: Times) -> dict[str, float]:
    """Return the ratios of one cell by name; those with the peer or the limit only where there is one."""
    row, line_name = cell
    medians = {name: statistics.median(times_s) for name, times_s in times.items()}
    ours, line = medians["ours"], LINES[line_name]
    found = {f"ours / {name}": ours / medians[name] for name in ("floor", "floor + check")}
    found["worker / floor"] = medians["worker"] / medians["floor"]
    if "peer" in medians:
        found["peer / ours"] = medians["peer"] / ours
        found["peer / worker"] = medians["peer"] / medians["worker"]
    if line is not None:
        found["ours / limit"] = ours / limit_s(row, line)
    return found


def targets(traffic: Mapping[tuple[str, str], Traffic], found: Mapping[Cell, Times]) -> list[str]:
    """Return a line for each thing that we want of ourselves: whether it is met, and by how much."""
    wanted = []
    for row in ROWS:
        apdus = traffic[row.name, "ours"].apdus
        if row.most_apdus is not None:
            wanted.append((apdus <= row.most_apdus, f"{row.name}: {apdus} APDUs, at most {row.most_apdus}"))
    for (row, line), measured in ((cell, ratios(cell, times)) for cell, times in found.items()):
        if line == TARGET_LINE and row.fields in (CID, TEXT):
            near = measured["ours / floor"]
            wanted.append((near <= NEAR, f"{row.name}, {line}: {near:.3f} of the floor, at most {NEAR}"))
        if "peer / ours" in measured:
            ahead = measured["peer / ours"]
            private = "" if row.fields == _NINE else " (by a private method: it does not offer the row)"
            wanted.append((ahead > 1, f"{row.name}, {line}: the peer takes {ahead:.3f} times as long{private}"))
    return [f"{'met    ' if is_met else 'NOT MET'}  {words}" for is_met, words in wanted]


def report(traffic: Mapping[tuple[str, str], Traffic], found: Mapping[Cell, Times]) -> str:
    """Return all tables and the targets."""
    names = list(next(iter(found.values())))
    sent = [
        [row.name, "", *(f"{one.apdus} / {one.characters}" for one in (traffic[row.name, name] for name in names))]
        for row in ROWS
    ]
    times, compared = [], []
    kinds = max((list(ratios(cell, one)) for cell, one in found.items()), key=len)
    for cell, one in found.items():
        row, line_name = cell
        line = LINES[line_name]
        limit = "" if line is None else f"{limit_s(row, line) * 1e3:.2f}"
        rounds = str(len(one["ours"]))
        times.append([row.name, line_name, rounds, limit, *(milliseconds(one[name]) for name in names)])
        found_ratios = ratios(cell, one)
        compared.append([row.name, line_name, *(f"{found_ratios.get(kind, float('nan')):.3f}" for kind in kinds)])
    parts = [
        ("APDUs / characters on the line of one read", table(["", "", *names], sent)),
        ("ms: median (middle half)", table(["", "line", "rounds", "T=0 limit", *names], times)),
        ("ratios of medians", table(["", "line", *kinds], compared).replace("nan", "  -")),
        ("targets", "\n".join(targets(traffic, found))),
    ]
    return "\n\n".join(f"{title}\n{text}" for title, text in parts)


# --- from the outside in ---


def fetch_peer() -> None:
    """Install the peer beside the environment, not into it; say so where that cannot be done."""
    if _PEER_FOLDER.exists():
        return
    with tempfile.TemporaryDirectory(dir=_ROOT / ".venv") as folder:
        target = Path(folder) / "peer"
        pip = [sys.executable, "-m", "pip", "install", "-qqq", "--retries", "1", "--target", str(target)]
        wanted = (["--no-deps", "--ignore-requires-python", _PEER], [_PEER_NEEDS])
        if all(subprocess.run([*pip, *these], check=False, capture_output=True).returncode == 0 for these in wanted):
            _PEER_FOLDER.parent.mkdir(exist_ok=True)
            target.rename(_PEER_FOLDER)
        else:
            print(f"{_PEER} could not be installed: is the package index within reach?")


def main() -> None:
    """Fetch the peer, go into a private network, measure everything, and print it."""
    if os.environ.get(PRIVATE) != "1":
        fetch_peer()
        private = str(_ROOT / "scripts" / "private")
        sys.exit(subprocess.run([private, sys.executable, __file__], check=False).returncode)
    names = [name for name in READERS if name != "peer" or _PEER_FOLDER.exists()]
    print(f"peer: {_PEER}" if "peer" in names else f"no peer: run {Path(__file__).name} outside scripts/private once")
    with suppress(PermissionError):
        os.nice(_PRECEDENCE)
    print(f"Python {sys.version.split()[0]}, load average {os.getloadavg()[0]:.2f}", flush=True)
    meter = Meter(deck(CARD))
    card = VpcdCard(meter)
    with tempfile.TemporaryDirectory() as folder, PrivatePcscd(Path(folder)):
        card.insert()
        PcscSlot().wait_card(_PATIENCE_S)
        contestants = {name: Contestant(name) for name in names}
        try:
            bench = Bench(meter, contestants)
            traffic = bench.traffic()
            found = {(row, line_name): bench.times(row, line) for row in ROWS for line_name, line in LINES.items()}
        finally:
            for contestant in contestants.values():
                contestant.close()
            card.remove()
    print(f"{report(traffic, found)}\n\nload average at the end {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case [name] if name in READERS:  # how main() starts each
            serve(name)
        case _:
            print(__doc__)
