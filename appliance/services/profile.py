"""Service profiles: what the station does for one service, as data.

Shipped profiles are the TOML files beside this module. A profile's hash goes into every event that it made, so the
agency can prove later what the station was told to read, check and keep.
"""

import base64
import hashlib
import tomllib
from collections.abc import Mapping
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
_FIELDS = ("citizen_id", "birth_date", "expiry_date")


@dataclass(frozen=True)
class Profile:
    """One service.

    Args:
        id: such as ``school.attendance``.
        version: rises with every change.
        event_type: CloudEvents type of its visits.
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{name}: {error}"]) from None
    problems = [*_unknown(raw), *_unknown_words(raw)]
    if not problems:
        try:
            return _profile(raw, text)
        except (KeyError, TypeError, AttributeError) as error:
            problems.append(f"missing or of the wrong type: {error}")
    raise ConfigError([f"{name}: {problem}" for problem in problems])


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


def _unknown_words(raw: Mapping[str, Any]) -> list[str]:
    if any(not isinstance(raw.get(table, {}), dict) for table in _KNOWN if table):
        return []
    read = raw.get("card", {}).get("read", [])
    sealed = raw.get("record", {}).get("sealed", [])
    required = raw.get("checks", {}).get("required", [])
    return [
        *(f"card.read: no field named {name!r}" for name in read if name not in _FIELDS),
        *(f"record.sealed: {name!r} is not read" for name in sealed if name not in read),
        *(f"checks.required: no check named {name!r}" for name in required if name not in CHECKS),
    ]
