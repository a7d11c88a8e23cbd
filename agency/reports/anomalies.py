"""What an honest day does not hold: signs of cards used without their owners. A sign is no proof; a person looks.

| sign | what was seen |
|---|---|
| two_places | one person at two stations within five minutes |
| twice_in | one person came in at a second station without having gone out |
| drawer_of_cards | the same people in the same order as on an earlier day, seconds apart |
| night_burst | five visits or more, seconds apart, between ten at night and five in the morning |
| many_vouches | an officer vouched for more than ten people, and for more than one in ten at that station |

Nothing is blocked by it: both events stay, and the station knows nothing of the rules (facts that a thief could learn
there would be of no use here).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise

from agency.reports.visits import OpenedVisit

TRAVEL = timedelta(minutes=5)
HURRY = timedelta(seconds=10)
DRAWER_PEOPLE = 10
BURST_VISITS = 5
NIGHT_HOURS = (*range(22, 24), *range(5))
VOUCH = "common.vouch."
ATTENDANCE = "school.attendance."
MOST_VOUCHES, VOUCH_SHARE = 10, 0.1


@dataclass(frozen=True)
class Anomaly:
    """One sign.

    Args:
        sign: its name.
        visits: what it rests on, oldest first.
    """

    sign: str
    visits: tuple[OpenedVisit, ...]


def find(today: Sequence[OpenedVisit], before: Sequence[OpenedVisit] = ()) -> list[Anomaly]:
    """Return the signs of a day.

    Args:
        today: its visits.
        before: those of the days before, for what is told by comparison.
    """
    ordered = sorted(today, key=lambda visit: visit.at)
    people = [visit for visit in ordered if not visit.type.startswith(VOUCH)]
    found = [*_at_two_places(people), *_twice_in(people), *_drawers(people, before), *_bursts(people)]
    found += _vouchers(ordered)
    return sorted(found, key=lambda anomaly: anomaly.visits[0].at)


def _by_person(visits: Iterable[OpenedVisit]) -> Iterator[list[OpenedVisit]]:
    people = defaultdict[str, list[OpenedVisit]](list)
    for visit in visits:
        people[visit.citizen_id].append(visit)
    yield from people.values()


def _at_two_places(visits: Sequence[OpenedVisit]) -> Iterator[Anomaly]:
    for own in _by_person(visits):
        for one, other in pairwise(own):
            if one.station != other.station and other.at - one.at <= TRAVEL:
                yield Anomaly("two_places", (one, other))


def _twice_in(visits: Sequence[OpenedVisit]) -> Iterator[Anomaly]:
    for own in _by_person(visit for visit in visits if visit.type.startswith(ATTENDANCE)):
        for one, other in pairwise(own):
            is_again = one.choice == other.choice == "in" and one.station != other.station
            if is_again and other.at - one.at > TRAVEL:
                yield Anomaly("twice_in", (one, other))


def _runs(visits: Iterable[OpenedVisit]) -> Iterator[list[OpenedVisit]]:
    """Yield what came at one station within seconds of each other."""
    by_station = sorted(visits, key=lambda visit: (visit.station, visit.at))
    for _, group in groupby(by_station, key=lambda visit: visit.station):
        run: list[OpenedVisit] = []
        for visit in group:
            if run and visit.at - run[-1].at > HURRY:
                yield run
                run = []
            run.append(visit)
        yield run


def _drawers(today: Sequence[OpenedVisit], before: Sequence[OpenedVisit]) -> Iterator[Anomaly]:
    """Yield stretches of a run that a run of an earlier day went through in the same order."""
    earlier = {_people(run[at : at + DRAWER_PEOPLE]) for run in _runs(before) for at in _starts(run)}
    for run in _runs(today):
        again = [at for at in _starts(run) if _people(run[at : at + DRAWER_PEOPLE]) in earlier]
        if again:
            yield Anomaly("drawer_of_cards", tuple(run[again[0] : again[-1] + DRAWER_PEOPLE]))


def _starts(run: Sequence[OpenedVisit]) -> range:
    return range(len(run) - DRAWER_PEOPLE + 1)


def _people(visits: Iterable[OpenedVisit]) -> tuple[str, ...]:
    return tuple(visit.citizen_id for visit in visits)


def _bursts(visits: Sequence[OpenedVisit]) -> Iterator[Anomaly]:
    for run in _runs(visit for visit in visits if visit.at.hour in NIGHT_HOURS):
        if len(run) >= BURST_VISITS:
            yield Anomaly("night_burst", tuple(run))


def _vouchers(visits: Sequence[OpenedVisit]) -> Iterator[Anomaly]:
    at_station = Counter(visit.station for visit in visits)
    vouched = defaultdict[tuple[str, str], list[OpenedVisit]](list)
    for visit in visits:
        if visit.type.startswith(VOUCH):
            vouched[visit.station, visit.citizen_id].append(visit)
    for (station, _), own in vouched.items():
        if len(own) > MOST_VOUCHES and len(own) > VOUCH_SHARE * at_station[station]:
            yield Anomaly("many_vouches", tuple(own))
