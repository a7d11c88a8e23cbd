"""What the agency's answer means: "normal" passes, "not normal" fails, with everything else it could not be checked."""

from appliance.checks.result import Check, Result

OUTCOME_UNKNOWN = "outcome_unknown"

#: Outcome of an answer -> why it settles nothing.
_WHY = {
    "incomplete": "not_implemented_by_card",
    "unavailable": "offline",
    "unknown": "bad_answer",
    OUTCOME_UNKNOWN: OUTCOME_UNKNOWN,
}


def answered(outcome: str, as_of: str, source: str) -> Check:
    """Judge an answer that is signed, in time and to this very query.

    Args:
        outcome: a word of the answer's schema.
        as_of: day of the data, YYYY-MM-DD.
        source: who knows.
    """
    match outcome:
        case "normal":
            return Check(Result.PASS, None, as_of, source)
        case "not_normal":
            return Check(Result.FAIL, "not_normal", as_of, source)
    return Check(Result.COULD_NOT_CHECK, _WHY.get(outcome, "bad_answer"), as_of, source)


def unanswered(why: str, is_write: bool) -> Check:
    """Return the check where no answer counts.

    Args:
        why: ``offline`` (never asked), ``timeout`` (asked, and heard nothing) or ``bad_answer`` (asked, and heard what
            is none).
        is_write: the agency may have written something meanwhile, which is never asked for twice.
    """
    is_unknown = is_write and why != "offline"
    return Check(Result.COULD_NOT_CHECK, OUTCOME_UNKNOWN if is_unknown else why)
