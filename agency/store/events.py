"""Reading events: lists for an operator, one event, and the rows of a day for a report."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from agency.store.chains import ChainKey, Event
from agency.store.database import Connection
from agency.store.tables import chain, event
from appliance.errors import VerificationError
from appliance.events.sign import unverified_payload


@dataclass(frozen=True)
class Selection:
    """Which events.

    Args:
        station: of this station only.
        day: of this Thai calendar day only.
        limit: at most so many, the newest; None for all.
    """

    station: str | None = None
    day: str | None = None
    limit: int | None = None


def select_events(connection: Connection, selection: Selection) -> list[Event]:
    """Return the chosen events, oldest first."""
    query = select(event).order_by(event.c.received_at.desc(), event.c.chain.desc(), event.c.sequence.desc())
    if selection.station is not None:
        query = query.where(event.c.station == selection.station)
    if selection.day is not None:
        query = query.where(event.c.day == selection.day)
    rows = connection.execute(query.limit(selection.limit)).all()
    return [Event(*row) for row in reversed(rows)]


def received_at(connection: Connection, key: ChainKey, sequence: int) -> str | None:
    """Return when an event was received; None where none is held there."""
    own = (event.c.chain == key.id) & (event.c.kid == key.kid) & (event.c.sequence == sequence)
    return connection.execute(select(event.c.received_at).where(own)).scalar()


def newest_arrival(connection: Connection, key: ChainKey, through: int) -> str | None:
    """Return the latest time at which an event of a chain up to a number was received; None where there is none."""
    own = (event.c.chain == key.id) & (event.c.kid == key.kid) & (event.c.sequence <= through)
    return connection.execute(select(func.max(event.c.received_at)).where(own)).scalar()


def events_of_number(connection: Connection, station: str, sequence: int) -> list[Event]:
    """Return the events of a station with a number: one for each of its chains that came so far."""
    own = select(chain.c.id, chain.c.kid).where(chain.c.station == station)
    found = []
    for id_, kid in connection.execute(own).all():
        place = (event.c.chain == id_) & (event.c.kid == kid) & (event.c.sequence == sequence)
        found += [Event(*row) for row in connection.execute(select(event).where(place))]
    return found


def find_events(connection: Connection, chain_id: str, sequence: int) -> list[Event]:
    """Return the event at a position: one, none, or several where another key's chain has the same ULID."""
    query = select(event).where(event.c.chain == chain_id, event.c.sequence == sequence).order_by(event.c.kid)
    return [Event(*row) for row in connection.execute(query)]


def events_of_day(connection: Connection, day: str) -> Iterator[Event]:
    """Yield the events of one Thai day, by station and place."""
    query = select(event).where(event.c.day == day).order_by(event.c.station, event.c.chain, event.c.sequence)
    for row in connection.execute(query):
        yield Event(*row)


def accepted_visits(connection: Connection, day: str, type_prefix: str) -> Iterator[Event]:
    """Yield the events of one Thai day that say of themselves that they are accepted and of a type that starts so.

    What the columns say does not count, so nobody leaves a report by a word in one; who takes an event for true opens
    its signature.
    """
    for one in events_of_day(connection, day):
        try:
            said = unverified_payload(one.jws)
        except VerificationError:
            yield one  # for the report to count what it cannot read
            continue
        if str(said.get("type")).startswith(type_prefix) and _verdict(said) == "accepted":
            yield one


def _verdict(said: dict[str, Any]) -> object:
    data = said.get("data")
    return data.get("verdict") if isinstance(data, dict) else None
