"""What an audit finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something an operator must look at.

    Args:
        code: of the rows: ``edited signature gap broken missing excused high_water receipt restored document key
            roster``;
            of what a station said: ``clash second_chain fork quarantine content twice time seal service``; ``flag``.
        station: station id, or empty.
        place: chain and sequence, or document kind and version.
        text: a sentence.
    """

    code: str
    station: str
    place: str
    text: str
