"""Reading a TOML file of ours, settings or service: one pass that finds every problem and knows the line of each.

Nothing is mended silently and nothing stops at the first mistake: ``read_table`` goes on and gives every
problem with the place it belongs to; ``with_lines`` turns places into lines for a person.

Example::

    problems: list[Problem] = []
    read_table(Link, "link", {"prot": 1}, problems)
    with_lines(problems, text, "a.toml")  # ['a.toml:7: [link] prot: unknown key; did you mean "port"?']
"""

import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

from appliance.errors import ConfigError
from appliance.settings_schema import Key, declared

TableT = TypeVar("TableT")
MAX_FILE_BYTES = 32 << 10
MAX_PROBLEMS = 100

#: What decides where a statement of a valid TOML text ends: strings and comments hide brackets and line ends.
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|'{3}.*?'{3}(?:'{0,2})'''
    r"""|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[\[\]{}\n]""",
    re.DOTALL,
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        place: table, or table and key; ``""`` is the table of what stands above the first one.
        what: a sentence without the place.
    """

    place: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        table, *name = self.place
        return " ".join([*([f"[{table}]"] if table else []), *(f"{key}:" for key in name), self.what])


def read_text(path: Path) -> str:
    """Return the text of a settings file. Raises ConfigError."""
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # opening a pipe would wait for its writer
            raise ConfigError([f"{path}: is not a regular file"])
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            [
                f"{path}: there is no such file; --config or CARD_STATION_CONFIG names another one, and "
                "'card-station config show --defaults' prints one to fill in"
            ]
        ) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError([f"{path.name}: larger than {MAX_FILE_BYTES} bytes"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path.name}:{line}: not UTF-8 text"]) from None


def read_toml(text: str, name: str) -> dict[str, Any]:
    """Return the tables of a TOML text; ``name`` is the file's name in the problem. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax(str(error), text, name)]) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else "a number with too many digits"
        raise ConfigError([f"{name}: cannot be used: {what}"]) from None


def _syntax(message: str, text: str, name: str) -> str:
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = place[1] if place and place[1] else str(text.count("\n") + 1)
    return f"{name}:{line}: not TOML: {message[: place.start()] if place else message}"


def read_table(table: type[TableT], name: str, values: object, problems: list[Problem]) -> TableT | None:
    """Read one table of the file.

    Args:
        table: dataclass made of ``key`` fields.
        name: of the table.
        values: what the file holds there; an empty dict where the file has no such table.
        problems: gets what is wrong.

    Returns:
        The table, or None where something in it is wrong.
    """
    if not isinstance(values, dict):
        problems.append(Problem((name,), f"must be a table: write [{name}]"))
        return None
    before = len(problems)
    keys = declared(table)
    problems.extend(
        Problem((name, other), f"unknown key{suggestion(other, keys)}") for other in values if other not in keys
    )
    good: dict[str, Any] = {}
    for key_name, (known, one) in keys.items():
        if key_name in values:
            _read_value(known, (name, key_name), values[key_name], good, problems)
        elif one.default is MISSING:
            problems.append(Problem((name, key_name), f"is missing: {known.doc}"))
    return table(**good) if len(problems) == before else None


def _read_value(
    known: Key, place: tuple[str, str], value: object, good: dict[str, Any], problems: list[Problem]
) -> None:
    try:
        good[place[1]] = known.kind.read(value)
    except ValueError as error:
        problems.append(Problem(place, str(error)))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "..."?`` where a known word is near, else nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, on which each table and key of a valid TOML text begins."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] | None = ()  # None inside a table that lies deeper than places go
    for line, statement in _statements(text.replace("\r\n", "\n")):
        is_header = statement.startswith("[")
        if table is None and not is_header:
            continue
        above = () if is_header or table is None else table
        for name, values in tomllib.loads(statement).items():
            found.setdefault((*above, name), line)
            inside = values if isinstance(values, dict) and not above else {}
            for key_name in inside:
                found.setdefault((name, key_name), line)
            if is_header:
                table = (name,) if values == {} else None
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Return each table header and each key with its value, as (line, text)."""
    line = first_line = 1
    begin = depth = 0
    for token in _TOKEN.finditer(f"{text}\n"):
        line += token[0].count("\n")
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if token[0] == "\n" and depth == 0:
            statement = text[begin : token.start()].strip(" \t")
            if statement and not statement.startswith("#"):
                yield first_line, statement
            begin, first_line = token.end(), line


def literal(value: object) -> str:
    """Return a setting's value as TOML."""
    if isinstance(value, tuple):
        return "[" + ", ".join(literal(part) for part in value) + "]"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def with_lines(problems: list[Problem], text: str, name: str) -> list[str]:
    """Return problems as lines for a person, in the order of the file; of very many only the first."""
    lines = line_numbers(text)
    last = text.count("\n") + (0 if text.endswith("\n") else 1)

    def line(problem: Problem) -> int:
        place = problem.place if problem.place[0] else problem.place[1:]
        return lines.get(place) or lines.get(place[:1]) or max(last, 1)

    shown = [f"{name}:{line(problem)}: {problem}" for problem in sorted(problems, key=line)[:MAX_PROBLEMS]]
    return shown if len(problems) <= MAX_PROBLEMS else [*shown, f"{name}: and {len(problems) - MAX_PROBLEMS} more"]


def masked(known: Key, value: object) -> str:
    """Return a value as TOML; nothing of a secret."""
    return '"***"' if known.secret else literal(value)


def commented(name: str, known: Key, default: object) -> str:
    """Return one key with its default, and above it what it means, its type, range and unit as comments."""
    unit = f", in {known.unit}" if known.unit else ""
    lines = [f"# {known.doc}", f"#   {known.kind.describe()}{unit}"]
    if default is MISSING:
        return "\n".join([*lines, f'#   REQUIRED, for example "{known.example}"', f'{name} = ""'])
    return "\n".join([*lines, f"{name} = {literal(default)}"])
