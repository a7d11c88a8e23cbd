"""Visits for the benchmarks of outbox and drain: real events, sealed and signed, of people who do not exist."""

import itertools
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from appliance.events.chain import Position
from appliance.events.cloud_event import Origin
from appliance.events.sign import Jwk, Signer
from appliance.events.writer import EventWriter
from appliance.hardware.clock import THAI_TIME
from appliance.ports import Attendance, Moment
from appliance.simulate.persons import person

_TYPE = "school.attendance.v1"


class Visitors:
    """People who come one after the other.

    Args:
        agency: agency id.
        station: station id.
        signer: the station's event key.
        recipients: public sealing keys, duty and escrow.
    """

    def __init__(self, agency: str, station: str, signer: Signer, recipients: Sequence[Jwk]) -> None:
        self._writer = EventWriter(Origin(agency, station, "0.1.0"), signer, recipients)
        self._serials = itertools.count(1)
        self._boot = "0" * 36

    def event(self, position: Position) -> str:
        """Return the signed event of the next visit."""
        at = self._now()
        data: dict[str, Any] = {
            "service": {"id": "school.attendance", "version": 1, "sha256": "A" * 43},
            "level": "L2",
            "verdict": "accepted",
            "checks": {
                "applet": {"result": "pass"},
                "checksum": {"result": "pass"},
                "roster": {"result": "pass", "as_of": "2026-11-22", "source": "roster:1"},
            },
            "choice": "in",
            "officer": None,
            "clock": at.as_data(),
            "card": {"inserted_ms": 812, "apdus": 3},
        }
        secret = {"citizen_id": person(next(self._serials) % 5000 + 1).citizen_id}
        return self._writer.visit(position, _TYPE, at.time, data, secret)

    def memory(self) -> Attendance:
        """Return what the station remembers of a visit; nobody comes twice."""
        return Attendance(secrets.token_bytes(12), "accepted:", "in", self._now())

    def _now(self) -> Moment:
        return Moment(datetime.now(THAI_TIME), "simulated", None, self._boot, 100.0)
