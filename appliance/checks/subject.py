"""Is the person one of those whom the service is for, by the sex and the kind of number on the card?"""

from collections.abc import Collection

from appliance.checks.result import PASS, Check, Result


def check_sex(sex: str | None, wanted: str) -> Check:
    """Judge the sex on the card; ``wanted`` is ``male`` or ``female``."""
    if sex is None:
        return Check(Result.COULD_NOT_CHECK, why="not_implemented_by_card")
    return PASS if sex == wanted else Check(Result.FAIL, why="not_for_this_sex")


def check_number(number: str, first_digits: Collection[str]) -> Check:
    """Judge the kind of a citizen number, which its first digit tells."""
    return PASS if number[0] in first_digits else Check(Result.FAIL, why="not_for_this_kind_of_number")


def check_two(first: str, second: str) -> Check:
    """Two cards must be of two persons."""
    return PASS if first != second else Check(Result.FAIL, why="same_person")
