"""The retained status of the station (contract 6). Never anything of a citizen: counts, states, versions."""

import json
import logging
from datetime import datetime
from typing import Any

from appliance.errors import VerificationError
from appliance.events import strict_json
from appliance.events.schema import STATUS
from appliance.outbox.delivery import Delivery

STALE_S = 180.0

_log = logging.getLogger(__name__)


def will(boot: int, since: datetime) -> bytes:
    """Return the payload that the broker publishes when the link vanishes.

    Args:
        boot: how often the link was started; a reader ignores a will older than the newest status.
        since: when this link started.
    """
    return strict_json.encode({"state": "lost", "boot": boot, "since": since.isoformat(timespec="seconds")})


def status(delivery: Delivery, boot: int, now: datetime, monotonic_s: float, alarms: set[str]) -> dict[str, Any]:
    """Return the status as it stands.

    Args:
        delivery: the state database.
        boot: as in ``will``.
        now: present time; where the clock stands before the newest event, today is that event's day.
        monotonic_s: seconds since boot, to tell a station process that says nothing any more.
        alarms: what the link saw go wrong.
    """
    said = json.loads(delivery.station_state() or "{}")
    said_at_s = said.pop("monotonic_s", None)
    said.pop("card", None)  # nobody outside needs to see each person come and go
    if said_at_s is None or not 0 <= monotonic_s - said_at_s <= STALE_S:
        said = {**said, "state": "degraded", "reader": "unknown"}
        said.setdefault("since", now.isoformat(timespec="seconds"))
        alarms = alarms | {"station_silent"}
    frozen = delivery.standing().frozen
    if frozen:
        said["state"], alarms = "degraded", alarms | {"queue_frozen"}
    if delivery.is_damage_kept():
        alarms = alarms | {"chain_broken"}
    count, oldest = delivery.backlog()
    receipt = delivery.last_receipt()
    age_s = max(0, int((now - datetime.fromisoformat(oldest)).total_seconds())) if oldest else None
    result = {
        **said,
        "boot": boot,
        "backlog": {"count": count, "oldest_s": age_s},
        "last_receipt": {"at": receipt[0], "through": receipt[1]} if receipt else None,
        "tallies": delivery.tallies(max(now.date().isoformat(), delivery.newest_day())),
        "alarms": sorted(alarms),
    }
    try:
        STATUS.check(result)
    except VerificationError as error:  # what the station said does not fit; the link still has its own word
        _log.error("the station's state is not said: %s", error)
        return {"state": "degraded", "boot": boot, "since": now.isoformat(timespec="seconds"), **_own(result)}
    return result


def _own(result: dict[str, Any]) -> dict[str, Any]:
    alarms = sorted({*result["alarms"], "bad_station_state"})
    return {**{name: result[name] for name in ("backlog", "last_receipt", "tallies")}, "alarms": alarms}
