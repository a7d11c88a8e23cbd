"""Each verdict on pcscd, the reader and its slot."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.checks.result import Result
from appliance.config import Reader
from appliance.errors import CardServiceDown, CardServiceRefuses, NoReader, ReaderUnavailable
from appliance.ports import Insertion
from appliance.run.doctor import reader as parts
from appliance.run.doctor.part import Finding

ACS = "ACS ACR39U ICC Reader 00 00"
GEMALTO = "Gemalto PC Twin Reader (8A3F1C) 01 00"
DUAL = "ACS ACR1281 Dual Reader 00 00"
DUAL_SECOND = "ACS ACR1281 Dual Reader 00 01"


@dataclass
class Worker:
    """A reader worker that answers as told."""

    names: list[str] = field(default_factory=list)
    card: Insertion | None = None
    fault: ReaderUnavailable | None = None
    held: bool = False

    def readers(self) -> list[str]:
        if self.fault:
            raise self.fault
        return self.names

    def wait_card(self, timeout_s: float) -> Insertion | None:
        assert timeout_s == 0
        if self.fault:
            raise self.fault
        return self.card

    def is_held(self) -> bool:
        return self.held


def check(finding: Finding, result: Result, found: str, mend: str) -> None:
    assert finding.result is result
    assert found in finding.found
    assert mend in finding.mend
    assert bool(finding.mend) or result is Result.PASS


def raising(error: OSError | None) -> Callable[[], None]:
    def knock() -> None:
        if error is not None:
            raise error

    return knock


BOTH = ("smartcard", "pcscd")


@pytest.mark.parametrize(
    ("there", "at_socket", "fault", "result", "found", "mend"),
    [
        (BOTH, None, None, Result.PASS, "lists 1 reader", ""),
        ((), None, None, Result.FAIL, "pyscard is not installed", "software anew"),
        (("smartcard",), FileNotFoundError(), None, Result.FAIL, "not installed", "apt-get install pcscd"),
        (BOTH, FileNotFoundError(), None, Result.FAIL, "does not run", "systemctl enable --now pcscd.socket"),
        (BOTH, ConnectionRefusedError(), None, Result.FAIL, "does not run", "systemctl enable --now pcscd.socket"),
        (BOTH, PermissionError(), None, Result.COULD_NOT_CHECK, "may not use", "as root"),
        (BOTH, TimeoutError(), None, Result.FAIL, "hangs", "systemctl restart pcscd"),
        (BOTH, BlockingIOError(), None, Result.FAIL, "hangs", "systemctl restart pcscd"),
        (("smartcard",), None, None, Result.PASS, "lists 1 reader", ""),
        (BOTH, None, CardServiceRefuses("no"), Result.FAIL, "8010006A", "org.debian.pcsc-lite.access_card"),
        (BOTH, None, CardServiceDown("version"), Result.FAIL, "cannot be used: version", "--verbose"),
        (BOTH, None, NoReader("odd"), Result.FAIL, "cannot be used: odd", "systemctl restart pcscd"),
    ],
)
def test_pcscd(
    there: tuple[str, ...],
    at_socket: OSError | None,
    fault: ReaderUnavailable | None,
    result: Result,
    found: str,
    mend: str,
) -> None:
    check(parts.service(Worker([ACS], fault=fault), raising(at_socket), there.__contains__), result, found, mend)


def test_a_pcscd_that_takes_long_to_say_nothing_hangs() -> None:
    times = iter([10.0, 13.0])
    worker = Worker(fault=CardServiceDown("no"))
    finding = parts.service(worker, raising(None), BOTH.__contains__, lambda: next(times))
    check(finding, Result.FAIL, "hangs", "systemctl restart pcscd")


def test_a_refusal_tells_both_causes() -> None:
    finding = parts.service(Worker(fault=CardServiceRefuses("no")), raising(None), BOTH.__contains__)
    assert "/etc/polkit-1/rules.d/" in finding.mend
    assert "systemctl restart pcscd" in finding.mend


@pytest.mark.parametrize(
    ("names", "wanted", "result", "found", "mend"),
    [
        ([ACS], Reader(), Result.PASS, ACS, ""),
        ([ACS, GEMALTO], Reader(name="Gemalto"), Result.PASS, GEMALTO, ""),
        ([ACS, GEMALTO], Reader(allow=("ACS",)), Result.PASS, ACS, ""),
        ([], Reader(), Result.FAIL, "no reader is plugged in", "plug it in"),
        ([], Reader(name="ACS"), Result.FAIL, "no reader is plugged in", "libccid"),
        (
            [GEMALTO],
            Reader(name="ACS"),
            Result.FAIL,
            f'there is "{GEMALTO}"',
            '[reader] name = "Gemalto PC Twin Reader"',
        ),
        ([ACS], Reader(allow=("Gemalto",)), Result.FAIL, "no reader fits", "allow"),
        (
            [GEMALTO, ACS],
            Reader(),
            Result.PASS,
            f'2 readers fit, and each of them takes cards: "{ACS}"',
            "[reader] name",
        ),
        ([DUAL_SECOND, DUAL], Reader(), Result.PASS, "ACS ACR1281 Dual Reader 00, 2 slots", ""),
    ],
)
def test_reader(names: list[str], wanted: Reader, result: Result, found: str, mend: str) -> None:
    check(parts.reader(Worker(names), wanted), result, found, mend)


def test_a_pcscd_that_goes_in_between() -> None:
    check(parts.reader(Worker(fault=CardServiceDown("no")), Reader()), Result.FAIL, "no answer", "restart pcscd")


@pytest.mark.parametrize(
    ("worker", "result", "found", "mend"),
    [
        (Worker(), Result.PASS, "no card is in", ""),
        (Worker(card=Insertion(1, ACS, b"\x3b\x00", 0.0)), Result.PASS, "a card is in and answers", ""),
        (Worker(card=Insertion(1, ACS, b"", 0.0)), Result.FAIL, "does not answer", "turn it"),
        (
            Worker(card=Insertion(1, ACS, b"\x3b\x00", 0.0), held=True),
            Result.FAIL,
            "another program has it",
            "end that",
        ),
        (Worker(fault=NoReader("no")), Result.FAIL, "the reader gives no answer", "plug it in again"),
        (Worker(fault=CardServiceDown("no")), Result.FAIL, "the reader gives no answer", "plug it in again"),
    ],
)
def test_slot(worker: Worker, result: Result, found: str, mend: str) -> None:
    check(parts.slot(worker), result, found, mend)


def test_nothing_of_a_card_is_told() -> None:
    card = Insertion(1, ACS, b"\x3b\x79\x96\x00", 0.0)
    assert "3b79" not in parts.slot(Worker(card=card)).found.lower().replace(" ", "")


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        (ACS, "ACS ACR39U ICC Reader"),
        (GEMALTO, "Gemalto PC Twin Reader"),
        ("Gemalto PC Twin Reader [CCID Interface] (1-0000:00:03.0-1) 00 00", "Gemalto PC Twin Reader"),
        ("Virtual PCD 00 01", "Virtual PCD"),
        ("Reader", "Reader"),
        ("", ""),
    ],
)
def test_the_beginning_of_a_name_outlives_a_replug(name: str, beginning: str) -> None:
    assert parts.beginning(name) == beginning
    assert name.startswith(beginning)


def test_knocking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SOCKET", tmp_path / "pcscd.comm")
    with pytest.raises(FileNotFoundError):
        parts.knock()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pcscd.comm"))
        listener.listen()
        parts.knock()
    with pytest.raises(ConnectionRefusedError):
        parts.knock()


def test_has_knows_programs_of_root_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert parts.has("sh")
    assert parts.has("ldconfig")  # in /usr/sbin or /sbin only
    assert parts.has("json")
    assert not parts.has("card-station-of-nobody")
