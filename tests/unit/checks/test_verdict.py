"""Every combination of check results: green only when all passed, red only for a fail, amber for the rest."""

from itertools import product

import pytest

from appliance.checks.result import Check, Result
from appliance.checks.verdict import Level, Verdict, decide

REQUIRED = ("applet", "checksum", "expiry", "roster")
COMBINATIONS = [dict(zip(REQUIRED, results, strict=True)) for results in product(Result, repeat=len(REQUIRED))]


def decided(results: dict[str, Result]) -> tuple[Verdict, Level, str]:
    decision = decide(REQUIRED, {name: Check(result) for name, result in results.items()})
    return decision.verdict, decision.level, decision.cause


@pytest.mark.parametrize("results", COMBINATIONS)
def test_the_verdict_follows_the_rule(results: dict[str, Result]) -> None:
    verdict, _, cause = decided(results)
    found = set(results.values())
    if Result.FAIL in found:
        assert verdict is Verdict.REFUSED
        assert results[cause] is Result.FAIL
    elif found == {Result.PASS}:
        assert verdict is Verdict.ACCEPTED
        assert cause == ""
    else:
        assert verdict is Verdict.COULD_NOT_CHECK
        assert results[cause] in (Result.COULD_NOT_CHECK, Result.NOT_ASKED)


@pytest.mark.parametrize("results", COMBINATIONS)
def test_the_level_claims_only_what_was_done(results: dict[str, Result]) -> None:
    _, level, _ = decided(results)
    is_read = results["applet"] is Result.PASS and results["checksum"] is Result.PASS
    if level is Level.L2:
        assert is_read
        assert results["roster"] is Result.PASS
    elif level is Level.L1:
        assert is_read
    else:
        assert level is Level.L0
        assert not is_read


def test_a_required_check_that_nobody_made_is_not_passed() -> None:
    assert decide(["applet", "roster"], {"applet": Check(Result.PASS)}).verdict is Verdict.COULD_NOT_CHECK


def test_a_check_that_is_not_required_does_not_decide() -> None:
    checks = {"applet": Check(Result.PASS), "expiry": Check(Result.FAIL)}
    assert decide(["applet"], checks).verdict is Verdict.ACCEPTED
