"""Is the person of the age that the service is for? A birth date of which only the year is known may leave it open."""

from datetime import date

from appliance.checks.result import PASS, Check, Result


def check(first: date | None, last: date | None, today: date, is_clock_sure: bool, ages: range) -> Check:
    """Judge a birth date that lies between ``first`` and ``last``.

    Args:
        first: the earliest day that the card's date can mean; None where it could not be read.
        last: the latest.
        today: in Thailand.
        is_clock_sure: the station's clock is synchronised.
        ages: in complete years.
    """
    if first is None or last is None:
        return Check(Result.COULD_NOT_CHECK, why="not_implemented_by_card")
    if not is_clock_sure:
        return Check(Result.COULD_NOT_CHECK, why="clock_unsure")
    youngest, oldest = years(last, today), years(first, today)
    if youngest in ages and oldest in ages:
        return PASS
    if oldest < ages.start:
        return Check(Result.FAIL, why="too_young")
    if youngest >= ages.stop:
        return Check(Result.FAIL, why="too_old")
    return Check(Result.COULD_NOT_CHECK, why="birth_date_incomplete")


def years(birth: date, today: date) -> int:
    """Return the complete years of an age; who was born on 29 February has a birthday on 1 March in other years."""
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
