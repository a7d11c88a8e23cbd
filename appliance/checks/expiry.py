"""Is the card still within its dates? Only a clock that can be trusted may answer."""

from datetime import date

from appliance.checks.result import PASS, Check, Result


def check(is_lifetime: bool, last_day: date | None, today: date, is_clock_sure: bool) -> Check:
    """Judge the expiry date.

    Args:
        is_lifetime: the card says that it never expires.
        last_day: the last day that the card's date can mean; None where it could not be read.
        today: in Thailand.
        is_clock_sure: the station's clock is synchronised.
    """
    if is_lifetime:
        return PASS
    if last_day is None:
        return Check(Result.COULD_NOT_CHECK, why="not_implemented_by_card")
    if not is_clock_sure:
        return Check(Result.COULD_NOT_CHECK, why="clock_unsure")
    return PASS if today <= last_day else Check(Result.FAIL, why="expired")
