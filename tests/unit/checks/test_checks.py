"""Each check by itself."""

from datetime import UTC, date, datetime, timedelta

import pytest

from appliance.checks import checksum, duplicate, expiry, roster
from appliance.checks.duplicate import Stamp
from appliance.checks.result import Result

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.mark.parametrize(("is_valid", "result"), [(True, Result.PASS), (False, Result.FAIL)])
def test_checksum(is_valid: bool, result: Result) -> None:
    assert checksum.check(is_valid).result is result


@pytest.mark.parametrize(
    ("is_lifetime", "last_day", "is_sure", "result", "why"),
    [
        (True, None, False, Result.PASS, None),
        (False, TODAY, True, Result.PASS, None),
        (False, TODAY - timedelta(days=1), True, Result.FAIL, "expired"),
        (False, TODAY - timedelta(days=1), False, Result.COULD_NOT_CHECK, "clock_unsure"),
        (False, TODAY + timedelta(days=1), False, Result.COULD_NOT_CHECK, "clock_unsure"),
        (False, None, True, Result.COULD_NOT_CHECK, "not_implemented_by_card"),
    ],
)
def test_expiry(is_lifetime: bool, last_day: date | None, is_sure: bool, result: Result, why: str | None) -> None:
    check = expiry.check(is_lifetime, last_day, TODAY, is_sure)
    assert (check.result, check.why) == (result, why)


@pytest.mark.parametrize(
    ("digest", "now", "result", "why"),
    [
        (b"a", NOW, Result.PASS, None),
        (b"z", NOW, Result.FAIL, "not_on_roster"),
        (b"a", LATER, Result.COULD_NOT_CHECK, "stale_roster"),
        (b"z", LATER, Result.COULD_NOT_CHECK, "stale_roster"),
        (b"a", NOW - timedelta(days=300), Result.COULD_NOT_CHECK, "clock_unsure"),
        (b"z", NOW - timedelta(days=300), Result.COULD_NOT_CHECK, "clock_unsure"),
    ],
)
def test_roster(digest: bytes, now: datetime, result: Result, why: str | None) -> None:
    issued_at = NOW - timedelta(days=1)
    check = roster.check(
        {b"a", b"b"},
        digest,
        as_of="2026-11-22",
        source="roster:1",
        issued_at=issued_at,
        expires_at=LATER,
        now=now,
    )
    assert (check.result, check.why) == (result, why)
    assert check.as_data()["as_of"] == "2026-11-22"


def test_no_roster_is_no_answer() -> None:
    assert roster.missing().result is Result.COULD_NOT_CHECK


@pytest.mark.parametrize(
    ("now", "is_again"),
    [
        (Stamp(0, "a", 180), True),
        (Stamp(0, "a", 180.1), False),
        (Stamp(-9e9, "a", 10), True),  # the wall clock was set back
        (Stamp(9e9, "a", 10), True),  # or far ahead
        (Stamp(180, "b", 5), True),  # after a reboot only the wall clock is left
        (Stamp(181, "b", 5), False),
        (Stamp(-1, "b", 5), False),
    ],
)
def test_duplicate(now: Stamp, is_again: bool) -> None:
    assert duplicate.is_again(Stamp(0, "a", 0), now, 180) is is_again
