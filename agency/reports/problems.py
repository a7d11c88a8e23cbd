"""What an audit finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something an operator must look at.

    Args:
        code: ``clash edited signature gap broken missing high_water receipt restored fork quarantine document``.
        station: station id, or empty.
        place: chain and sequence, or document kind and version.
        text: a sentence.
    """

    code: str
    station: str
    place: str
    text: str
