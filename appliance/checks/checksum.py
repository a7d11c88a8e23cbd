"""Does the citizen number agree with its check digit? It catches slips and garbage, and proves nothing more."""

from appliance.checks.result import PASS, Check, Result


def check(is_number_valid: bool) -> Check:
    """Judge the number that was read."""
    return PASS if is_number_valid else Check(Result.FAIL, why="wrong_check_digit")
