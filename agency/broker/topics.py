"""Topics, as in contract 6: ``cs/1/{agency}/{station}/...``."""

import re

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_RESERVED = re.compile(r"agency-.*|enrol")


def is_id(text: str) -> bool:
    """Say whether ``text`` has the shape of an id."""
    return bool(_ID.fullmatch(text))


def is_station_id(text: str) -> bool:
    """Say whether a station may be called so: not one of the agency's own users, nor a fixed part of a topic."""
    return is_id(text) and not _RESERVED.fullmatch(text)


def topic(agency: str, station: str, leaf: str) -> str:
    """Return a station's topic, such as ``topic("obec", "bkk-001", "receipt")``."""
    return f"cs/1/{agency}/{station}/{leaf}"


def station_of(name: str, agency: str, leaf: str) -> str | None:
    """Return the station of a topic that ends in ``leaf``, or None where it is another topic."""
    parts = name.split("/")
    if len(parts) == 5 and parts[:3] == ["cs", "1", agency] and parts[4] == leaf and is_station_id(parts[3]):
        return parts[3]
    return None
