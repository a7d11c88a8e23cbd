"""Reading a service profile: every problem at once, each with its line, and nothing of a file with a problem is used.

The shape of each table is checked first, then what the parts say of each other: a check that needs a field which is
not read, a sealed field that is not read, a field that is read and forbidden.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from appliance.errors import ConfigError
from appliance.services.profile import TABLES, Checks, Profile, Subject
from appliance.services.vocabulary import ID_PATTERN, VOUCHING, Default, OnTimeout, Question
from appliance.settings_file import Problem, read_table, read_toml, suggestion, with_lines
from appliance.settings_schema import Kind, Text, Whole, Words, declared

MAX_FILE_BYTES = 16 << 10
MAX_ID, MAX_EVENT_TYPE = 64, 80
_OTHER_APPLETS = ("laser_number", "chip_number", "health")
RESERVED = ("station", "chain", "clock", "officer", "visit")  # what the station says of itself (event schema)
_ID = Text(ID_PATTERN, f"words of a-z and '_' joined by dots, at most {MAX_ID} characters")
_EVENT_TYPE = Text(r"[a-z_.]+\.v[1-9][0-9]{0,2}", "the id and .v1 to .v999")
_HEAD: dict[str, Kind] = {"id": _ID, "version": Whole(1, 999_999), "event_type": _EVENT_TYPE}

#: Check -> the field that it needs.
_NEEDS = {
    "checksum": "citizen_id",
    "number_kind": "citizen_id",
    "roster": "citizen_id",
    "denylist": "citizen_id",
    "online": "citizen_id",
    "two_persons": "citizen_id",
    "age": "birth_date",
    "expiry": "expiry_date",
    "sex": "sex",
}
_DATES = ("birth_date", "issue_date", "expiry_date")


def parse(content: bytes, name: str) -> Profile:
    """Read one profile.

    Args:
        content: the TOML file.
        name: what to call it in problems.

    Raises:
        ConfigError: with every problem found.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError([f"{name}: larger than {MAX_FILE_BYTES} bytes"])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{name}:{content[: error.start].count(10) + 1}: not UTF-8 text"]) from None
    raw = read_toml(text, name)
    problems: list[Problem] = []
    values = {**_read_head(raw, problems), **_read_tables(raw, problems)}
    if not problems:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        profile = Profile(**values, sha256=digest, text=content)
        problems = list(_contradictions(profile))
    if problems:
        raise ConfigError(with_lines(problems, text, name))
    return profile


def shipped() -> list[Profile]:
    """Return the profiles that come with the package, by id."""
    found = [
        parse(entry.read_bytes(), entry.name)
        for entry in files("appliance.services").iterdir()
        if entry.name.endswith(".toml")
    ]
    return sorted(found, key=lambda profile: profile.id)


def _read_head(raw: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Return what stands above the first table."""
    places = tuple(f"{table}.{key}" for table, (kind, _) in TABLES.items() for key in declared(kind))
    kinds: dict[str, Kind] = {**_HEAD, "inferred": Words(places, "keys")}
    known = (*kinds, *TABLES)
    problems += [Problem(("", key), f"unknown key{suggestion(key, known)}") for key in raw if key not in known]
    values: dict[str, Any] = {}
    for key, kind in kinds.items():
        if key not in raw:
            problems.append(Problem(("", key), f"is missing: must be {kind.describe()}"))
            continue
        try:
            values[key] = kind.read(raw[key])
        except ValueError as error:
            problems.append(Problem(("", key), str(error)))
    return values


def _read_tables(raw: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    return {
        name: None if may_be_absent and name not in raw else read_table(kind, name, raw.get(name, {}), problems)
        for name, (kind, may_be_absent) in TABLES.items()
    }


def _contradictions(profile: Profile) -> Iterator[Problem]:
    """Return what cannot be meant, though each part is well formed."""
    yield from _names(profile)
    yield from _fields(profile)
    yield from _check_needs(profile)
    yield from _subject(profile)
    yield from _asked(profile)


def _names(profile: Profile) -> Iterator[Problem]:
    if len(profile.id) > MAX_ID:
        yield Problem(("", "id"), f"must be {_ID.describe()}")
    if profile.id.split(".")[0] in RESERVED:
        yield Problem(("", "id"), f"must not begin with {', '.join(RESERVED)}: those are the station's own events")
    is_version = re.fullmatch(re.escape(profile.id) + r"\.v[1-9][0-9]{0,2}", profile.event_type)
    if not is_version or len(profile.event_type) > MAX_EVENT_TYPE:
        yield Problem(("", "event_type"), f"must be {_EVENT_TYPE.describe()}")


def _fields(profile: Profile) -> Iterator[Problem]:
    for table in ("record", "second"):
        if "photo" in getattr(getattr(profile, table), "sealed", ()):
            yield Problem((table, "sealed"), "'photo' is larger than what an event may hold")
    yield from _read_problems("card", profile.card.read, profile.card.never)
    yield from _missing("record", "sealed", profile.record.sealed, profile.card.read)
    if profile.second is not None:
        yield from _read_problems("second", profile.second.read, profile.card.never)
        yield from _missing("second", "sealed", profile.second.sealed, profile.second.read)
        for table in ("card", "second"):
            if "citizen_id" not in getattr(profile, table).read:
                yield Problem((table, "read"), "needs 'citizen_id': two cards must be of two persons")
    if profile.display.name and "name_th" not in profile.card.read:
        yield Problem(("display", "name"), "'name_th' is not read")


def _read_problems(table: str, read: Iterable[str], never: Iterable[str]) -> Iterator[Problem]:
    for name in read:
        if name in never:
            yield Problem((table, "read"), f"{name!r} stands in card.never")
        if name in _OTHER_APPLETS and "citizen_id" not in read:
            yield Problem((table, "read"), f"{name!r} needs 'citizen_id', which binds it to the card")


def _missing(table: str, key: str, names: Iterable[str], read: Iterable[str]) -> Iterator[Problem]:
    return (Problem((table, key), f"{name!r} is not read") for name in names if name not in read)


def _check_needs(profile: Profile) -> Iterator[Problem]:
    read = profile.subject_read
    dates = set(_DATES) & set(read)
    for key in ("required", "advisory"):
        for check in getattr(profile.checks, key):
            needed = _NEEDS.get(check)
            if needed and needed not in read:
                yield Problem(("checks", key), f"{check!r} needs {needed!r}, which is not read")
            if check == "dates" and not dates:
                yield Problem(("checks", key), "'dates' needs one of the card's dates, and none is read")
            if check == "consistency" and len(dates) < 2:
                yield Problem(("checks", key), "'consistency' needs two of the card's dates")
    twice = set(profile.checks.required) & set(profile.checks.advisory)
    if twice:
        yield Problem(("checks", "advisory"), f"{', '.join(sorted(twice))} is required already")
    yield from (
        Problem(("checks", "required"), f"must hold {check!r}")
        for check in ("applet", "checksum")
        if check not in profile.checks.required
    )


def _subject(profile: Profile) -> Iterator[Problem]:
    """Whoever says whom a service is for has it checked."""
    subject, usual = profile.subject, Subject()
    if subject.min_age > subject.max_age:
        yield Problem(("subject", "max_age"), "is below min_age")
    limited: dict[str, bool] = {
        "age": (subject.min_age, subject.max_age) != (usual.min_age, usual.max_age),
        "sex": subject.sex is not usual.sex,
        "number_kind": subject.numbers != usual.numbers,
    }
    yield from _both("subject", limited, profile.checks)


def _asked(profile: Profile) -> Iterator[Problem]:
    """What has a table of its own is a check, and the other way round."""
    there = {"online": profile.online is not None, "two_persons": profile.second is not None}
    yield from _both("checks", there, profile.checks)
    offered = profile.choices.offered()
    words = [choice.word for choice in offered.values()]
    if len(set(words)) != len(words):
        yield Problem(("choices",), "two buttons stand for the same word")
    for check in ("dates", "consistency"):
        if check in profile.checks.advisory:
            yield Problem(("checks", "advisory"), f"{check!r} belongs into required: L1 says that the data agree")
    yield from _one_writing(profile)
    if (profile.vouch is not None) != (profile.id == VOUCHING):
        yield Problem(("vouch",), f"stands in the service {VOUCHING} and in no other")
    if profile.second is not None and profile.checks.duplicate_window_s:
        yield Problem(("checks", "duplicate_window_s"), "does nothing where there is a [second] card: leave it out")
    if profile.second is not None:
        yield from (
            Problem(("second", "unless"), f"no button stands for {word!r}")
            for word in profile.second.unless
            if word not in words
        )
    if profile.choices.default is Default.ALTERNATE and len(offered) < 2:
        yield Problem(("choices", "default"), "needs two choices to take turns")


def _one_writing(profile: Profile) -> Iterator[Problem]:
    """A question that writes is never asked twice, and who hears nothing of it knows nothing of what was written."""
    if profile.online is None:
        return
    is_write = profile.online.question in (Question.VISIT_OPEN, Question.VISIT_CLOSE)
    if is_write != (profile.online.on_timeout is OnTimeout.OUTCOME_UNKNOWN):
        fits = OnTimeout.OUTCOME_UNKNOWN if is_write else OnTimeout.COULD_NOT_CHECK
        yield Problem(
            ("online", "on_timeout"), f"must be {fits.value!r} for the question {profile.online.question.value!r}"
        )


def _both(table: str, stated: dict[str, bool], checks: Checks) -> Iterator[Problem]:
    for check, is_stated in stated.items():
        is_made = check in checks.required or check in checks.advisory
        if is_stated and not is_made:
            yield Problem((table,), f"is checked by {check!r}, which stands neither in required nor in advisory")
        if is_made and not is_stated:
            yield Problem(("checks",), f"{check!r} has nothing to check against")
