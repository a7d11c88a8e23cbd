"""Do the card's dates make sense, each by itself and one after the other? What the card leaves open is no fault."""

from appliance.checks.result import Check, Result


def check(found: str, why: str) -> Check:
    """Turn what a card record says of its own dates into a check.

    Args:
        found: ``pass``, ``fail``, ``could_not_check`` or ``not_asked``.
        why: the word for a fail: ``bad_date`` or ``dates_disagree``.
    """
    result = Result(found)
    words = {Result.FAIL: why, Result.COULD_NOT_CHECK: "not_implemented_by_card"}
    return Check(result, why=words.get(result))
