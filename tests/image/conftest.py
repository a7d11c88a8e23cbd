"""One guest for the whole suite; each test begins with two readers in the drawer and a station just switched on."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.image.machine import READERS, Machine
from tests.image.station import GuestStation
from tests.image.usb import UsbReader

Measure = Callable[[str, float], None]

MEASURED = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def measure(pytestconfig: pytest.Config) -> Measure:
    """Keep a duration in seconds for the summary; of several by one name the longest."""
    measured = pytestconfig.stash.setdefault(MEASURED, {})

    def keep(name: str, seconds: float) -> None:
        measured[name] = max(seconds, measured.get(name, 0.0))

    return keep


@pytest.fixture(scope="session")
def machine(measure: Measure) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:  # short: a socket's path has 107 bytes
        made = Machine(Path(folder))
        try:
            measure("the guest starts", made.boot())
            yield made
        finally:
            made.shut_down()


@pytest.fixture
def readers(machine: Machine) -> Iterator[list[UsbReader]]:
    made = [UsbReader(machine, number) for number in range(READERS)]
    yield made
    for reader in made:
        if reader.is_plugged:
            reader.unplug()


@pytest.fixture
def reader(readers: list[UsbReader]) -> UsbReader:
    readers[0].plug(1)
    return readers[0]


@pytest.fixture
def station(machine: Machine) -> Iterator[GuestStation]:
    made = GuestStation(machine)
    made.start_afresh()
    yield made
    sys.stdout.write(machine.console_tail())  # pytest shows it where the test failed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was measured."""
    for name, seconds in config.stash.get(MEASURED, {}).items():
        terminalreporter.write_line(f"measured: {name}: {seconds:.1f} s")
