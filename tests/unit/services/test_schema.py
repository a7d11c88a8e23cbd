"""The published schema of a service profile and the loader agree; a validator of others stands for the schema."""

import copy
import json
import random
import tomllib
from contextlib import suppress
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from appliance.errors import ConfigError
from appliance.services.loading import parse, shipped
from appliance.services.profile import Profile
from appliance.settings_file import literal

SCHEMA = json.loads(files("appliance.events.schemas").joinpath("service-1.json").read_text("utf-8"))
JUNK: list[Any] = [None, 0, -1, 10**9, True, "", "x", "a\x1bb", "\u202e", [], ["x"], {}, {"word": "x"}, 1.5]


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema_rs.Draft7Validator(SCHEMA)


@pytest.mark.parametrize("profile", shipped(), ids=lambda profile: profile.id)
def test_every_shipped_profile_is_of_the_schema(profile: Profile, validator: Any) -> None:
    assert validator.is_valid(tomllib.loads(profile.text.decode()))


def toml(values: dict[str, Any]) -> str:
    """Return tables of values as TOML."""
    heads = [f"{key} = {written(value)}" for key, value in values.items() if not isinstance(value, dict)]
    tables = [
        "\n".join([f"[{name}]", *(f"{key} = {written(value)}" for key, value in table.items())])
        for name, table in values.items()
        if isinstance(table, dict)
    ]
    return "\n".join([*heads, *tables]) + "\n"


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    return literal(value)


def mutated(values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a copy in which one thing is something else, gone, or new."""
    new = copy.deepcopy(values)
    table = rng.choice([new, *(part for part in new.values() if isinstance(part, dict))])
    key = rng.choice(list(table))
    match rng.randrange(4):
        case 0:
            del table[key]
        case 1:
            table[f"{key}x"] = table[key]
        case 2 if isinstance(table[key], list) and table[key]:
            table[key][0] = rng.choice([junk for junk in JUNK if junk is not None])
        case _:
            table[key] = rng.choice([junk for junk in JUNK if junk is not None])
    return new


@pytest.mark.parametrize("seed", range(16))
def test_what_the_schema_refuses_the_loader_refuses_too(seed: int, validator: Any) -> None:
    """The loader may refuse more, for it also knows what the parts say of each other; never less."""
    rng = random.Random(seed)
    values = tomllib.loads(shipped()[seed].text.decode())
    refused = 0
    for _ in range(120):
        changed = mutated(values, rng)
        text = toml(changed)
        assert tomllib.loads(text) == changed
        is_of_schema = validator.is_valid(changed)
        refused += not is_of_schema
        is_loaded = True
        with suppress(ConfigError):
            parse(text.encode(), "x.toml")
            is_loaded = is_of_schema
        assert is_loaded, text
    assert refused > 40
