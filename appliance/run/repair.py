"""Before the station opens its database: is it sound? If not, it is set aside and a new chain begins by itself."""

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.errors import OutboxDamaged
from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import Position
from appliance.events.sign import KeySet
from appliance.events.writer import EventWriter
from appliance.hardware.steady_clock import SteadyClock
from appliance.outbox import mend
from appliance.outbox.check import check, suspect
from appliance.outbox.store import DATABASE_NAME
from appliance.ports import Clock
from appliance.run.timekeeper import released

_log = logging.getLogger(__name__)


def make_sound(state: Path, writer: EventWriter, clock: Clock, agency: AgencyKeys) -> None:
    """Leave a database behind that can be written to, unless there never was one.

    Raises:
        StoreError: the disk does not let it be read or replaced now.
    """
    if not mend.is_between(state):
        path = state / DATABASE_NAME
        if not path.exists() or _is_sound(path):
            return
        mend.set_aside(state, clock.now().time)
    own = KeySet([writer.signer.public("event")])
    keys = mend.Keys(own, writer.signer.kid, agency, writer.origin.station)
    mend.begin_anew(state, keys, clock.now().time, _builder(writer, clock))


def _is_sound(path: Path) -> bool:
    try:
        check(path)
    except OutboxDamaged as error:
        _log.error("%s: %s; it is set aside", error.code, error)
        return False
    with suppress(OSError):
        suspect(path.parent).unlink(missing_ok=True)
    return True


def _builder(writer: EventWriter, clock: Clock) -> mend.Build:
    def build(position: Position, broken: dict[str, Any], newest: datetime | None) -> str:
        at = SteadyClock(clock, lambda: max(newest or released(), released())).now()
        return writer.station(position, mend.EVENT, at.time, {"clock": at.as_data(), "broken": broken})

    return build
