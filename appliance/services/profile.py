"""Service profiles: what the station does for one service, as data.

Shipped profiles are the TOML files beside this module. A profile's hash goes into every event that it made, so the
agency can prove later what the station was told to read, check and keep.
"""

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from appliance.errors import ConfigError

_KNOWN = {
    "": {"id", "version", "event_type", "title", "card", "checks", "choices", "record", "retention"},
    "title": {"th", "en"},
    "card": {"read"},
    "checks": {"required", "duplicate_window_s"},
    "choices": {"A", "B", "default"},
    "record": {"sealed"},
    "retention": {"station_after_receipt_days"},
}
CHECKS = ("applet", "checksum", "roster", "expiry")
ID_PATTERN = r"[a-z][a-z_]*(\.[a-z][a-z_]*)+"  # as in the schema of events, which holds id and event_type
_OTHER_APPLETS = ("laser_number", "chip_number", "health")
MAX_ID, MAX_EVENT_TYPE = 64, 80
_FIELDS = (
    "version", "citizen_id", "name_th", "name_en", "birth_date", "sex", "request_number", "issuer", "issuer_code",
    "issue_date", "expiry_date", "card_type", "address", "photo_number", "photo", "laser_number", "chip_number",
    "health",
)  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """One service.

    Args:
        id: such as ``school.attendance``.
        version: rises with every change.
        event_type: CloudEvents type of its visits: the id and ``.v1`` to ``.v999``.
        title: ``th`` and ``en``.
        card_read: symbolic names of the card fields that it may read.
        required: checks that must pass.
        duplicate_window_s: a second insertion within this time is the same visit; 0 for none.
        choices: button (``A``, ``B``) to choice.
        alternates: without a press the choices take turns, starting with A's, each day anew.
        sealed: symbolic names of the fields that go into the seal.
        retention_days: how long the sealed part stays on the station after its receipt.
        sha256: base64url of SHA-256 of the file.
    """

    id: str
    version: int
    event_type: str
    title: Mapping[str, str]
    card_read: tuple[str, ...]
    required: tuple[str, ...]
    duplicate_window_s: int
    choices: Mapping[str, str]
    alternates: bool
    sealed: tuple[str, ...]
    retention_days: int
    sha256: str


def parse(text: bytes, name: str) -> Profile:
    """Read one profile.

    Args:
        text: the TOML file.
        name: what to call it in problems.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        raw = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{name}: {error}"]) from None
    problems = [*_unknown(raw), *_misshaped(raw)] or [*_unknown_words(raw), *_misnamed(raw)]
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems])
    return _profile(raw, text)


def shipped() -> list[Profile]:
    """Return the profiles that come with the package, by id."""
    found = [
        parse(entry.read_bytes(), entry.name)
        for entry in files("appliance.services").iterdir()
        if entry.name.endswith(".toml")
    ]
    return sorted(found, key=lambda profile: profile.id)


def _profile(raw: Mapping[str, Any], text: bytes) -> Profile:
    checks, choices = raw["checks"], raw.get("choices", {})
    return Profile(
        id=raw["id"],
        version=raw["version"],
        event_type=raw["event_type"],
        title=dict(raw["title"]),
        card_read=tuple(raw["card"]["read"]),
        required=tuple(checks["required"]),
        duplicate_window_s=checks.get("duplicate_window_s", 0),
        choices={button: choices[button] for button in ("A", "B") if button in choices},
        alternates=choices.get("default") == "alternate",
        sealed=tuple(raw["record"]["sealed"]),
        retention_days=raw["retention"]["station_after_receipt_days"],
        sha256=base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode(),
    )


def _unknown(raw: Mapping[str, Any]) -> list[str]:
    problems = [f"unknown key {key!r}" for key in raw if key not in _KNOWN[""]]
    for table, known in _KNOWN.items():
        if table:
            content = raw.get(table, {})
            if not isinstance(content, dict):
                problems.append(f"{table!r} is not a table")
            else:
                problems += [f"unknown key {table}.{key}" for key in content if key not in known]
    return problems


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_title(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 1 <= len(value.strip()) <= 60


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[a-z][a-z_]{0,39}", value) is not None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


#: What each member must be: place, words for it, and whether a value is that.
_SHAPES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("id", "a text", lambda value: isinstance(value, str)),
    ("event_type", "a text", lambda value: isinstance(value, str)),
    ("version", "a whole number from 1 to 999,999", lambda value: _is_whole(value, 1, 999_999)),
    ("title.th", "a title of 1 to 60 characters", _is_title),
    ("title.en", "a title of 1 to 60 characters", _is_title),
    ("card.read", "a list of field names, at least one", lambda value: _are_texts(value) and value),
    (
        "checks.required",
        'a list of checks with "applet" among them',
        lambda value: _are_texts(value) and "applet" in value,
    ),
    ("checks.duplicate_window_s", "a whole number of seconds up to a day", lambda value: _is_whole(value, 0, 86_400)),
    ("choices.A", "a word of a-z and '_'", _is_word),
    ("choices.B", "a word of a-z and '_'", _is_word),
    ("choices.default", '"alternate"', lambda value: value == "alternate"),
    ("record.sealed", "a list of field names", _are_texts),
    (
        "retention.station_after_receipt_days",
        "a whole number of days up to 365",
        lambda value: _is_whole(value, 0, 365),
    ),
)
_OPTIONAL = {"choices.A", "choices.B", "choices.default", "checks.duplicate_window_s"}


def _misshaped(raw: Mapping[str, Any]) -> list[str]:
    """Return what is missing or of the wrong kind."""
    problems = []
    for place, words, is_right in _SHAPES:
        table, _, key = place.rpartition(".")
        holder = raw.get(table, {}) if table else raw
        if not isinstance(holder, dict):
            continue  # said already
        if key not in holder:
            problems += [] if place in _OPTIONAL else [f"{place} is missing: {words}"]
        elif not is_right(holder[key]):
            problems.append(f"{place}: must be {words}")
    return problems


def _misnamed(raw: Mapping[str, Any]) -> list[str]:
    """Return what no event could carry."""
    service, event_type = raw["id"], raw["event_type"]
    problems = []
    if not (re.fullmatch(ID_PATTERN, service) and len(service) <= MAX_ID):
        problems.append(f"id: {service!r} must be at most {MAX_ID} of a-z and '_', words joined by dots")
    is_version = re.fullmatch(re.escape(service) + r"\.v[1-9][0-9]{0,2}", event_type)
    if not (is_version and len(event_type) <= MAX_EVENT_TYPE):
        problems.append(f"event_type: {event_type!r} must be the id and .v1 to .v999")
    return problems


def _unknown_words(raw: Mapping[str, Any]) -> list[str]:
    read, sealed, required = raw["card"]["read"], raw["record"]["sealed"], raw["checks"]["required"]
    other = [name for name in _OTHER_APPLETS if name in read and "citizen_id" not in read]
    return [
        *(f"card.read: no field named {name!r}" for name in read if name not in _FIELDS),
        *(f"card.read: {name!r} needs 'citizen_id', which binds it to the card" for name in other),
        *(f"record.sealed: {name!r} is not read" for name in sealed if name not in read),
        *(f"checks.required: no check named {name!r}" for name in required if name not in CHECKS),
    ]
