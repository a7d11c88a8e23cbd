"""What a TOML file of ours may hold, settings or service: kinds of value, and how a table declares its keys.

A table is a frozen dataclass. Each field's annotation carries a ``Key``: what it means, what its value must
be, its unit. The check of a file, the page of defaults and ``config show`` all come from that one
declaration.

Example::

    @dataclass(frozen=True, kw_only=True)
    class Link:
        port: Annotated[int, Key("TCP port of the broker.", Whole(1, 65535))] = 8883
"""

import re
from dataclasses import Field, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, get_type_hints


class Kind(Protocol):
    """What a value must be."""

    def read(self, value: object) -> object:
        """Return the value in its Python type. Raises ValueError with a sentence for a person."""

    def describe(self) -> str:
        """Return type and range in a few words."""


@dataclass(frozen=True)
class Text:
    """Text that matches a pattern.

    Args:
        pattern: regular expression for the whole text.
        means: the pattern in words.
    """

    pattern: str
    means: str

    def read(self, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise ValueError(f"must be {self.describe()}")
        return value

    def describe(self) -> str:
        """Return the pattern in words."""
        return f"text: {self.means}"


@dataclass(frozen=True)
class Texts:
    """A list of texts."""

    each: Text

    def read(self, value: object) -> tuple[str, ...]:
        """Return the texts."""
        if not isinstance(value, list):
            raise ValueError(f"must be {self.describe()}")
        return tuple(self.each.read(text) for text in value)

    def describe(self) -> str:
        """Return what each text is."""
        return f"list of {self.each.describe()}"


@dataclass(frozen=True)
class Choice:
    """One member of a closed set of words."""

    words: type[StrEnum]

    def read(self, value: object) -> StrEnum:
        """Return the member."""
        if not isinstance(value, str) or value not in [word.value for word in self.words]:
            raise ValueError(f"must be {self.describe()}")
        return self.words(value)

    def describe(self) -> str:
        """Return the words."""
        return "one of " + ", ".join(f'"{word}"' for word in self.words)


@dataclass(frozen=True)
class Words:
    """A list of different words of a closed set.

    Args:
        known: the set.
        of: what they are called in a complaint, such as ``fields of the card``.
        least: how many there must be.
    """

    known: tuple[str, ...]
    of: str
    least: int = 0

    def read(self, value: object) -> tuple[str, ...]:
        """Return the words."""
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value) or len(value) < self.least:
            raise ValueError(f"must be a {self.describe()}")
        unknown = [word for word in value if word not in self.known]
        if unknown:
            raise ValueError(f"{', '.join(map(repr, unknown))} is unknown: must be a {self.describe()}")
        if len(set(value)) != len(value):
            raise ValueError("names the same twice")
        return tuple(value)

    def describe(self) -> str:
        """Return what may stand in it."""
        least = ", at least one" if self.least else ""
        shown = f" ({', '.join(self.known)})" if len(self.known) <= 20 else ""
        return f"list of {self.of}{least}{shown}"


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def read(self, value: object) -> bool:
        """Return it."""
        if not isinstance(value, bool):
            raise ValueError(f"must be {self.describe()}")
        return value

    def describe(self) -> str:
        """Return the two words."""
        return "true or false"


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, both included, or one of ``also``."""

    low: int
    high: int
    also: tuple[int, ...] = ()

    def read(self, value: object) -> int:
        """Return the number."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a {self.describe()}")
        if not (self.low <= value <= self.high or value in self.also):
            shown = str(value) if abs(value) < 10**12 else "the number"
            raise ValueError(f"{shown} is out of range: must be a {self.describe()}")
        return value

    def describe(self) -> str:
        """Return the range."""
        also = "".join(f", or {number}" for number in self.also)
        return f"whole number from {self.low} to {self.high}{also}"


@dataclass(frozen=True)
class OneOf:
    """One of a few whole numbers."""

    numbers: tuple[int, ...]

    def read(self, value: object) -> int:
        """Return the number."""
        if isinstance(value, bool) or not isinstance(value, int) or value not in self.numbers:
            raise ValueError(f"must be {self.describe()}")
        return value

    def describe(self) -> str:
        """Return the numbers."""
        return "one of " + ", ".join(str(number) for number in self.numbers)


@dataclass(frozen=True)
class Numbers:
    """A list of ``count`` whole numbers, all different, or an empty list."""

    each: Whole
    count: int

    def read(self, value: object) -> tuple[int, ...]:
        """Return the numbers."""
        if not isinstance(value, list) or len(value) not in (0, self.count):
            raise ValueError(f"must be a {self.describe()}")
        numbers = tuple(self.each.read(number) for number in value)
        if len(set(numbers)) != len(numbers):
            raise ValueError("holds the same number twice")
        return numbers

    def describe(self) -> str:
        """Return how many, and their range."""
        return f"list of {self.count} different numbers, each a {self.each.describe()}; or []"


@dataclass(frozen=True)
class FilePath:
    """A path; a relative one starts at the state directory. A refused value is not shown: it may be a key."""

    def read(self, value: object) -> Path:
        """Return the path."""
        if not isinstance(value, str) or not value.strip() or "\n" in value or "\0" in value or "-----" in value:
            raise ValueError(f"must be a {self.describe()}, not the content of the file")
        return Path(value)

    def describe(self) -> str:
        """Return what the path starts from."""
        return "path of a file, absolute or from the state directory"


@dataclass(frozen=True)
class Key:
    """What is known of one key.

    Args:
        doc: one sentence for the person who sets it.
        kind: what its value must be.
        unit: of the value, or empty.
        example: shown where there is no default.
        secret: never shown.
    """

    doc: str
    kind: Kind
    unit: str = ""
    example: str = ""
    secret: bool = False


def declared(table: type) -> dict[str, tuple[Key, Field[Any]]]:
    """Return the keys of a table in their order, each with its dataclass field."""
    hints = get_type_hints(table, include_extras=True)
    return {one.name: (hints[one.name].__metadata__[0], one) for one in fields(table)}
