"""What the agency takes for an event is what the station's library takes for one, whatever stands in it."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from agency.ingest.shape import is_event
from appliance.errors import VerificationError
from appliance.events.schema import EVENT
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import unverified_payload
from tests.unit.agency.fleet import Pupil, Station

TOKEN = "A" * 43
ULID = "01J00000000000000000000000"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 10**40, -(10**40), 1e308, [], {}, [None], {"a": 1}, [[1, 2]]),
    *("", "a", "x" * 41, "😀" * 40, "😀" * 41, "๐๑๒๓๔๕๖๗๘๙", "0000000001\n", "\0", "\ud800"),
    *("1.0", "L4", "accepted", "pass", TOKEN, f"{TOKEN}\n", ULID, "2026-11-23", "2026-11-23T07:42:10.000+07:00"),
    *("station.started.v1", "a.v1"),
)


def station_event(station: Station, **data: Any) -> dict[str, Any]:
    return {**unverified_payload(station.started()), "type": "chain.broken.v1"} | {
        "data": {**unverified_payload(station.started())["data"], **data}
    }


def samples() -> Iterator[dict[str, Any]]:
    keys = [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]
    station = Station("bkk-001", keys)
    yield station.visit_payload(Pupil.make(1))
    broken = {"chain": ULID, "sequence": 3, "hash": TOKEN, "receipt": None, "lost": [[1, 2]], "salvaged": 1}
    yield station_event(station, key=TOKEN, broken=broken)
    yield station_event(station, broken={**dict.fromkeys(broken), "lost": [], "salvaged": 0})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))


def changed(event: dict[str, Any], path: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """Yield the event with everything odd in one place, without the place, and with one more beside it."""
    for value in ODD:
        made, holder = opened(event, path)
        holder[path[-1]] = value
        yield made
    made, holder = opened(event, path)
    if isinstance(holder, dict):
        del holder[path[-1]]
        yield made
        for name in ("more", "\ud800", "123", ""):
            made, holder = opened(event, path)
            holder[name] = 1
            yield made


def opened(event: dict[str, Any], path: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    made = copy.deepcopy(event)
    holder: Any = made
    for name in path[:-1]:
        holder = holder[name]
    return made, holder


def station_says(event: dict[str, Any]) -> bool:
    try:
        EVENT.check(event)
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize("event", list(samples()), ids=["visit", "broken", "nothing known"])
def test_agency_and_station_agree_on_every_change_of_every_value(event: dict[str, Any]) -> None:
    assert is_event(event)
    said = [(is_event(one), station_says(one), one) for path in places(event) if path for one in changed(event, path)]
    assert {agency for agency, _, _ in said} == {True, False}
    assert [one for agency, station, one in said if agency != station] == []


def test_whoever_says_that_a_chain_broke_says_which() -> None:
    station = Station("bkk-001")
    assert not is_event(station_event(station))
    assert is_event({**station_event(station), "type": "station.started.v1"})
