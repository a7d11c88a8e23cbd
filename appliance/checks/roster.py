"""Is the person on the agency's signed roster? A roster that is missing or stale never says no."""

from collections.abc import Container
from datetime import datetime

from appliance.checks.result import Check, Result


def check(
    digests: Container[bytes],
    digest: bytes,
    *,
    as_of: str,
    source: str,
    expires_at: datetime,
    now: datetime,
    is_clock_sure: bool,
) -> Check:
    """Judge a digest against a roster.

    Args:
        digests: the roster's members.
        digest: the person's, made the roster's way.
        as_of: date of the roster's data.
        source: the roster's name, such as ``roster:42``.
        expires_at: from then on the roster is stale.
        now: present time.
        is_clock_sure: without it, staleness cannot be known, and the date in ``as_of`` speaks for itself.
    """
    if is_clock_sure and now >= expires_at:
        return Check(Result.COULD_NOT_CHECK, why="stale_roster", as_of=as_of, source=source)
    if digest in digests:
        return Check(Result.PASS, as_of=as_of, source=source)
    return Check(Result.FAIL, why="not_on_roster", as_of=as_of, source=source)


def missing() -> Check:
    """Return the outcome where the station holds no roster."""
    return Check(Result.COULD_NOT_CHECK, why="no_roster")
