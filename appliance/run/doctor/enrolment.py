"""The station's keys and papers: there, for its own eyes only, fitting each other, and in their time."""

import stat
from datetime import datetime, timedelta
from pathlib import Path

from appliance.config import Settings
from appliance.errors import CardStationError
from appliance.link import certificates
from appliance.papers import AGENCY_KEYS, EVENT_KEY, agency_keys, event_signer
from appliance.run.doctor.part import Finding, bad, good, unknown

RENEW_BEFORE = timedelta(days=30)
_ASK = "'card-station enrol --request FILE', and take the file to the agency"
_TAKE = "'card-station enrol --grant FILE' with the agency's answer"
_RENEW = f"{_ASK}; then {_TAKE}"


def enrolment(settings: Settings, state: Path, now: datetime) -> Finding:
    """Look at the keys and certificates.

    Args:
        settings: of this station; an empty station id means that they could not be read.
        state: state directory.
        now: with its time zone.
    """
    if not settings.station.id:
        return unknown("without settings nobody knows which station this is", "mend the settings first")
    try:
        return _keys(settings, state) or _grant(settings, state) or _validity(settings, state, now)
    except PermissionError as error:
        return unknown(f"this user may not read {error.filename}", "run it as the station's user, or as root")
    except OSError as error:
        return bad(f"{error.filename} cannot be read: {error.strerror}", _RENEW)
    except CardStationError as error:
        return bad(str(error), _RENEW)


def _keys(settings: Settings, state: Path) -> Finding | None:
    """Return what is wrong with the private keys."""
    paths = [state / EVENT_KEY, state / settings.link.key]
    missing = [path for path in paths if not path.exists()]
    if len(missing) == len(paths):
        return bad("this station is not enrolled: it has no keys", _ASK)
    if missing:
        return bad(f"the key {missing[0]} is gone", f"restore it, or enrol anew: {_ASK}")
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            return bad(f"others may read the key {path} (mode {mode:04o})", f"chmod 600 {path}")
        path.open("rb").close()  # or it would be taken for a broken one
    event_signer(state)
    return None


def _grant(settings: Settings, state: Path) -> Finding | None:
    """Return what is missing of the agency's grant."""
    link = settings.link
    paths = [state / link.certificate, state / link.ca, state / AGENCY_KEYS]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        return bad(f"the agency's grant was not taken up: there is no {missing[0]}", _TAKE)
    agency_keys(state)
    certificates.check(
        paths[0].read_text("ascii", "replace"),
        paths[1].read_text("ascii", "replace"),
        (state / link.key).read_bytes(),
        settings.station.id,
    )
    return None


def _validity(settings: Settings, state: Path, now: datetime) -> Finding:
    """Return how long the certificate still counts."""
    begin, end = certificates.validity((state / settings.link.certificate).read_text("ascii"))
    if now < begin:
        return bad(f"the certificate counts from {begin:%Y-%m-%d} on, and today is {now:%Y-%m-%d}", "set the clock")
    if now >= end:
        return bad(f"the certificate ran out on {end:%Y-%m-%d}", _RENEW)
    if end - now < RENEW_BEFORE:
        return bad(f"the certificate runs out on {end:%Y-%m-%d}, in {(end - now).days} days", _RENEW)
    return good(f"{settings.station.id}, its certificate counts until {end:%Y-%m-%d}")
