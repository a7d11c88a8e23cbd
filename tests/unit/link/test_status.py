"""What the link says of today where the machine does not know what day it is."""

from datetime import datetime
from pathlib import Path

import pytest

from appliance.events.schema import STATUS
from appliance.hardware.clock import THAI_TIME
from appliance.link.status import status
from appliance.outbox.delivery import Delivery
from tests.unit.outbox.test_store import Station

EPOCH = datetime(1970, 1, 1, 7, 0, tzinfo=THAI_TIME)


@pytest.mark.parametrize(
    ("now", "tallies"),
    [
        (datetime(2026, 11, 23, 12, 0, tzinfo=THAI_TIME), {"accepted": 3}),
        (datetime(2026, 11, 24, 0, 0, tzinfo=THAI_TIME), {}),
        (EPOCH, {"accepted": 3}),
    ],
)
def test_a_clock_before_the_newest_event_counts_that_event_s_day(
    tmp_path: Path, now: datetime, tallies: dict[str, int]
) -> None:
    station = Station(tmp_path)
    for _ in range(3):
        station.append()
    station.outbox._db.execute("UPDATE event SET verdict = 'accepted'")
    said = status(Delivery.open(station.path), 1, now, 5.0, set())
    STATUS.check(said)
    assert said["tallies"] == tallies
    assert said["backlog"]["count"] == 3
    assert said["backlog"]["oldest_s"] >= 0
