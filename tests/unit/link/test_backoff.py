"""Pauses before the next attempt: they grow, they are bounded, and no two stations wait alike."""

import random

import pytest

from appliance.link.backoff import LONGEST_S, SHORTEST_S, Backoff


def pauses(seed: int, count: int = 200, **changes: float) -> list[float]:
    backoff = Backoff(chance=random.Random(seed), **changes)
    return [backoff.next_s() for _ in range(count)]


def test_every_pause_is_within_its_bounds() -> None:
    for seed in range(50):
        assert all(SHORTEST_S <= pause_s <= LONGEST_S for pause_s in pauses(seed))


def test_the_first_pause_is_short_and_later_ones_are_longer() -> None:
    firsts = [pauses(seed, 1)[0] for seed in range(200)]
    lasts = [pauses(seed)[-1] for seed in range(200)]
    assert max(firsts) <= 3 * SHORTEST_S
    assert sum(lasts) / len(lasts) > 20


def test_nobody_waits_much_longer_than_the_outage_lasted() -> None:
    for seed in range(200):
        waited_s = 0.0
        for pause_s in pauses(seed, 30):
            assert pause_s <= max(waited_s, 3 * SHORTEST_S)
            waited_s += pause_s


def test_a_long_outage_is_not_many_attempts() -> None:
    for seed in range(50):
        backoff, waited_s, attempts = Backoff(chance=random.Random(seed)), 0.0, 0
        while waited_s < 7 * 86_400:
            waited_s, attempts = waited_s + backoff.next_s(), attempts + 1
        assert attempts < 7 * 86_400 / 50


def test_a_fleet_comes_back_spread_out() -> None:
    """After an outage of ten minutes no second of the next minutes gets more than a few of a thousand stations."""
    arrivals = [0] * 400
    for seed in range(1000):
        backoff, now_s = Backoff(chance=random.Random(seed)), 0.0
        while now_s < 600:
            now_s += backoff.next_s()
        arrivals[int(now_s - 600)] += 1
    assert max(arrivals) < 80


def test_it_does_not_pile_up_at_the_longest_pause() -> None:
    lasts = [pauses(seed, 30)[-1] for seed in range(500)]
    assert sum(pause_s > LONGEST_S - 1 for pause_s in lasts) < 25


def test_a_connection_that_held_begins_anew() -> None:
    backoff = Backoff(chance=random.Random(1))
    for _ in range(20):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 3 * SHORTEST_S


def test_the_agency_may_ask_for_longer_pauses_and_not_for_endless_ones() -> None:
    assert min(pauses(3, shortest_s=20.0)) >= 20
    longest = pauses(3, shortest_s=9999.0)
    assert LONGEST_S / 2 <= min(longest) < max(longest) <= LONGEST_S


@pytest.mark.parametrize("least_s", [0.0, 15.0, 300.0])
def test_who_must_stay_away_stays_away_and_not_for_twice_as_long(least_s: float) -> None:
    backoff = Backoff()
    waits_s = [backoff.jittered_s(least_s) for _ in range(50)]
    assert all(least_s <= wait_s <= 2 * least_s for wait_s in waits_s)
    assert len(set(waits_s)) > 1 or not least_s
