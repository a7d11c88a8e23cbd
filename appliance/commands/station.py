"""Commands that run the station, and the one that tells how it stands."""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.commands.call import Call, words
from appliance.errors import ConfigError


def station(call: Call) -> int:
    """Run the card process."""
    from appliance.run import station as process

    call.log("station")
    try:
        settings = call.settings()
    except ConfigError:
        process.show_bad_config(call.runtime)
        raise
    return process.main(settings, call.state, call.runtime)


def link(call: Call) -> int:
    """Run the network process."""
    call.log("link")
    settings = call.settings()
    from appliance.run import link as process

    return process.main(settings, call.state, call.runtime)


def run(call: Call) -> int:
    """Run both processes under one supervisor."""
    call.settings()
    from appliance.run import both

    call.runtime.mkdir(mode=0o750, parents=True, exist_ok=True)
    return both.main(call.config_path, call.state)


def enrol(call: Call) -> int:
    """Make the station's keys and a request, or take up a grant."""
    settings = call.settings()
    from appliance.papers import event_signer
    from appliance.run import enrol as enrolment

    if call.options.request is not None:
        enrolment.request(settings, call.state, Path(call.options.request))
    else:
        enrolment.take_grant(settings, call.state, Path(call.options.grant))
    done = {
        "agency": settings.station.agency,
        "station": settings.station.id,
        "fingerprint": event_signer(call.state).kid,
        "enrolled": call.options.grant is not None,
    }
    call.show(done, ())  # the words went to the person already
    return 0


def status(call: Call) -> int:
    """Show how the station stands, as the state database tells."""
    with closing(call.outbox()) as outbox:
        found = _standing(outbox.status(), time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))
    call.show(found, (f"{name}: {words(value)}" for name, value in found.items()))
    return 0


def _standing(found: dict[str, Any], boot_s: float, now: datetime) -> dict[str, Any]:
    """Return how things stand now: the station's last word counts as long as it counts for the agency."""
    from appliance import __version__
    from appliance.link.status import STALE_S

    said_s, oldest = found.pop("monotonic_s", None), found["backlog"]["oldest"]
    if said_s is None or not 0 <= boot_s - said_s <= STALE_S:
        unsaid = {"versions": {"software": __version__}, "reader": "unknown", "panel": "unknown", "clock": None}
        found = {**unsaid, **found, "state": "not running", "card": "unknown"}
    age_s = max(0, int((now - datetime.fromisoformat(oldest)).total_seconds())) if oldest else None
    return {**found, "backlog": {"count": found["backlog"]["count"], "oldest_s": age_s}}
