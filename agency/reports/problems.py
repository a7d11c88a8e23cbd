"""What an audit finds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agency.store.database import AlteredRow

_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Problem:
    """Something an operator must look at.

    Args:
        code: of the rows: ``edited signature gap broken missing excused high_water receipt restored gone document key
            roster answer visit``;
            of what a station said: ``clash second_chain lost_chain fork quarantine content twice time seal
            service``; ``flag``.
        station: station id, or empty.
        place: chain and sequence, or document kind and version.
        text: a sentence.
    """

    code: str
    station: str
    place: str
    text: str


def guarded(found: Iterable[Problem], station: str, place: str) -> Iterator[Problem]:
    """Yield what is found; a row that nobody of ours can have written ends it as a finding, not as a fault of ours."""
    try:
        yield from found
    except AlteredRow as error:
        yield Problem("edited", station, place, f"{error}; the rest is unseen")
    except _UNREADABLE as error:
        yield Problem(
            "edited", station, place, f"holds what cannot be read ({type(error).__name__}); the rest is unseen"
        )
