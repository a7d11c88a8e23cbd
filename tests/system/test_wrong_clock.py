"""The station's real process on a machine that starts in 1970 (T-60), from the card to the agency's audit.

libfaketime moves that process's clock, and no other. Run with ``--wrong-clock``, where libfaketime is installed and the
machine's own clock is not synchronised: libfaketime does not play the kernel's word on that. What needs no process of
its own is in ``tests/unit/run/test_timekeeper.py``.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.hardware.clock import SystemClock
from appliance.simulate.product import Product

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
RIGHT = "+0"
IN_1970 = "@1970-01-01 00:00:10"


class OddlyTimed(Product):
    """A product whose station takes the time from the machine, and the machine's from a file."""

    @property
    def clock(self) -> Path:
        return self.trace.with_name("clock")

    def set_clock(self, time: str) -> None:
        self.clock.write_text(f"{time}\n")

    def start_station(self) -> None:
        before, since = dict(os.environ), len(self.screens())
        os.environ.update(
            LD_PRELOAD=str(LIBRARIES[0]),
            FAKETIME_TIMESTAMP_FILE=str(self.clock),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        try:
            self.start("station")
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.wait_until_ready(since)

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        environment.pop("CARD_STATION_SIMULATED_CLOCK", None)
        return environment

    def come(self, name: str) -> str:
        state: str = self.visit(name)["state"]
        self.remove()
        return state

    def told(self) -> list[tuple[str, str]]:
        by_sequence = sorted(self.events(), key=lambda event: int(event["sequence"]))
        return [(event["type"], event["time"]) for event in by_sequence]


@pytest.fixture
def product(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OddlyTimed]:
    if not request.config.getoption("--wrong-clock"):
        pytest.skip("only with --wrong-clock")
    if not LIBRARIES or SystemClock().now().is_sure:
        pytest.skip("libfaketime is not installed, or this machine's clock is synchronised")
    with OddlyTimed(tmp_path) as whole:
        whole.set_up()
        whole.set_clock(RIGHT)
        whole.start("ingest", "link")
        whole.start_station()
        yield whole


def test_from_1970_to_now(product: OddlyTimed) -> None:
    assert product.come("person-1") == "accepted"
    product.kill("station")
    product.set_clock(IN_1970)
    product.start_station()
    assert product.come("person-2") == "accepted"
    product.set_clock(RIGHT)
    product.wait_for(lambda: len(product.told()) == 4, "the event of the jump")
    assert product.come("person-3") == "accepted"
    product.wait_for(lambda: len(product.told()) == 5, "every event")
    kinds, times = zip(*product.told(), strict=True)
    visit, jumped = "school.attendance.v1", "clock.jumped.v1"
    assert kinds == ("station.enrolled.v1", visit, visit, jumped, visit)
    assert times[1] == times[2] < times[3] < times[4]
    product.agency("audit")
    product.station("outbox", "verify")
