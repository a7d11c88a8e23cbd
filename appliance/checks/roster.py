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
    issued_at: datetime,
    expires_at: datetime,
    now: datetime,
) -> Check:
    """Judge a digest against a roster.

    Args:
        digests: the roster's members.
        digest: the person's, made the roster's way.
        as_of: date of the roster's data.
        source: the roster's name, such as ``roster:42``.
        issued_at: when the agency signed the roster; a clock that stands before it is wrong.
        expires_at: from then on the roster is stale.
        now: present time, synchronised or not: a station that was without a network for a week goes on, but neither
            a clock that fell back nor a roster that ran out makes anything green.
    """
    if now < issued_at:
        return Check(Result.COULD_NOT_CHECK, why="clock_unsure", as_of=as_of, source=source)
    if now >= expires_at:
        return Check(Result.COULD_NOT_CHECK, why="stale_roster", as_of=as_of, source=source)
    if digest in digests:
        return Check(Result.PASS, as_of=as_of, source=source)
    return Check(Result.FAIL, why="not_on_roster", as_of=as_of, source=source)


def missing() -> Check:
    """Return the outcome where the station holds no roster."""
    return Check(Result.COULD_NOT_CHECK, why="no_roster")
