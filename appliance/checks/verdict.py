"""From single checks to one verdict and the level of what was truly done (contract 5)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from appliance.checks.online import OUTCOME_UNKNOWN
from appliance.checks.result import Check, Result


class Level(Enum):
    """What was truly done; L2 and L3 include L1, and L3 does not need L2."""

    L0 = "L0"  # nothing readable
    L1 = "L1"  # a Thai ID applet answered; checksum and dates agree
    L2 = "L2"  # and the person is on the agency's signed roster, and not on its deny-list
    L3 = "L3"  # and the agency or the registry answered "normal" to this request


class Verdict(Enum):
    """The station's answer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    COULD_NOT_CHECK = "could_not_check"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Decision:
    """The verdict and why.

    Args:
        verdict: the answer.
        level: what was done.
        cause: name of the check that decided against; empty where accepted.
    """

    verdict: Verdict
    level: Level
    cause: str = ""

    @property
    def outcome(self) -> str:
        """Return verdict and cause as one word, to tell whether a second visit ended as the first."""
        return f"{self.verdict.value}:{self.cause}"


def decide(required: Iterable[str], checks: Mapping[str, Check], is_cancelled: bool = False) -> Decision:
    """Decide; whoever withdrew is neither accepted nor refused.

    A fail of any required check refuses; else a required check that could not be made leaves it open; only when
    every required check passed is the visit accepted. A required check that is absent could not be made. Where the
    agency may have written something and did not say so, the outcome is unknown.
    """
    level = _level(checks)
    if is_cancelled:
        return Decision(Verdict.CANCELLED, level)
    results = {name: checks[name].result if name in checks else Result.COULD_NOT_CHECK for name in required}
    for name, result in results.items():
        if result is Result.FAIL:
            return Decision(Verdict.REFUSED, level, name)
    for name, result in results.items():
        if result is not Result.PASS:
            is_unknown = name in checks and checks[name].why == OUTCOME_UNKNOWN
            return Decision(Verdict.OUTCOME_UNKNOWN if is_unknown else Verdict.COULD_NOT_CHECK, level, name)
    return Decision(Verdict.ACCEPTED, level)


def _level(checks: Mapping[str, Check]) -> Level:
    def passed(name: str) -> bool:
        return name in checks and checks[name].result is Result.PASS

    if not (passed("applet") and passed("checksum")):
        return Level.L0
    if passed("online"):
        return Level.L3
    is_denied = "denylist" in checks and not passed("denylist")
    return Level.L2 if passed("roster") and not is_denied else Level.L1
