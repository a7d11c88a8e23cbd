"""The four values of a check, with where the answer came from."""

from dataclasses import dataclass
from enum import Enum


class Result(Enum):
    """What a check found."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    COULD_NOT_CHECK = "could_not_check"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Args:
        result: one of the four.
        why: a word of contract 5 where it did not pass.
        as_of: date of the data that it rests on, YYYY-MM-DD.
        source: what it rests on, such as ``roster:42``.
    """

    result: Result
    why: str | None = None
    as_of: str | None = None
    source: str | None = None

    def as_data(self) -> dict[str, str]:
        """Return the member of the event's ``checks``."""
        named = {"why": self.why, "as_of": self.as_of, "source": self.source}
        return {"result": self.result.value, **{name: value for name, value in named.items() if value}}


PASS = Check(Result.PASS)
NOT_ASKED = Check(Result.NOT_ASKED)
