"""``linkage.toml`` in the agency's home: whom the agency asks. Without the file it asks nobody.

::

    [card_status]                      # registry_status
    url = "https://…/CheckCardService.asmx"
    timeout_s = 3.0                    # below the deadline of the services, 4 s
    ca = "card-status-ca.pem"          # beside this file; the system's certificates where it is left out

    [records]                          # entitlement, agency_record: docs/linkage.md
    url = "https://…/records"
    token_file = "records.token"       # sent as "Authorization: Bearer …"
    max_age_days = 31                  # what is of an earlier day says nothing

    [claims]                           # visit_open, visit_close; without it the agency gives out its own codes
    url = "https://…/nhso"
    unit = "10670"
    claim_type = "PG0060001"

    [services]                         # by which services each station may ask; all of them where it is left out
    bkk-001 = ["moph.visit_open", "moph.visit_close"]
    "*" = ["tdc.register"]             # the stations that are not named

    [limits]
    per_minute = 30                    # messages of one station
    per_day = 2000                     # questions of one station on a Thai calendar day
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agency.linkage.http import Endpoint
from appliance.errors import ConfigError
from appliance.settings_file import Problem, read_toml, suggestion, with_lines

DEFAULT_TIMEOUT_S = 3.0
DEFAULT_PER_MINUTE, DEFAULT_PER_DAY = 30, 2000
DEFAULT_MAX_AGE_DAYS = 31
_ENDPOINT: dict[str, type] = {"url": str, "timeout_s": float, "ca": str, "token_file": str}
_TABLES: dict[str, dict[str, type]] = {
    "card_status": _ENDPOINT,
    "records": {**_ENDPOINT, "max_age_days": int},
    "claims": {**_ENDPOINT, "unit": str, "claim_type": str},
    "limits": {"per_minute": int, "per_day": int},
}
_REQUIRED = {"card_status": ("url",), "records": ("url",), "claims": ("url", "unit", "claim_type")}
_TIMEOUTS_S = (0.1, 9.5)  # no service waits longer than 10 s
_LIMITS = {"per_minute": (1, 10_000), "per_day": (1, 1_000_000), "max_age_days": (0, 36_500)}
_STATION = re.compile(r"\*|[a-z0-9][a-z0-9-]{0,62}")
_SERVICE = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")


@dataclass(frozen=True)
class Linkage:
    """Whom the agency asks; None where it asks nobody.

    Args:
        card_status: the card-status service.
        records: the agency's records.
        claims: the claim service, with ``unit`` and ``claim_type``.
        unit: code of the health unit, for the claim service.
        claim_type: likewise.
        max_age_days: how old what the records say may be.
        services: ids of services by station, ``*`` for those that are not named; empty where all may be used.
        per_minute: messages that one station may send in a minute.
        per_day: questions that one station may ask in a day.
    """

    card_status: Endpoint | None = None
    records: Endpoint | None = None
    claims: Endpoint | None = None
    unit: str = ""
    claim_type: str = ""
    max_age_days: int = DEFAULT_MAX_AGE_DAYS
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)
    per_minute: int = DEFAULT_PER_MINUTE
    per_day: int = DEFAULT_PER_DAY


def load(path: Path) -> Linkage:
    """Read the file.

    Raises:
        ConfigError: everything that is wrong with it, each with its line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError([f"{path} is a link to a file that is not there: put it back"]) from None
        return Linkage()
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text: save it as UTF-8"]) from None
    content = read_toml(text, str(path))
    problems = list(_faults(content))
    endpoints = {} if problems else {name: _endpoint(path, name, content.get(name), problems) for name in _REQUIRED}
    if problems:
        raise ConfigError(with_lines(problems, text, str(path)))
    claims = content.get("claims", {})
    return Linkage(
        card_status=endpoints["card_status"],
        records=endpoints["records"],
        claims=endpoints["claims"],
        unit=claims.get("unit", ""),
        claim_type=claims.get("claim_type", ""),
        max_age_days=content.get("records", {}).get("max_age_days", DEFAULT_MAX_AGE_DAYS),
        services=content.get("services", {}),
        **content.get("limits", {}),
    )


def _faults(content: Mapping[str, Any]) -> Iterator[Problem]:
    tables = (*_TABLES, "services")
    for name, table in content.items():
        if not isinstance(table, dict):
            what = f"must be a table: write [{name}]" if name in tables else "stands in no table"
            yield Problem((name,), what)
        elif name not in tables:
            yield Problem((name,), f"unknown table{suggestion(name, tables)}; there are {', '.join(tables)}")
        elif name == "services":
            yield from _services_faults(table)
        else:
            yield from _table_faults(name, table)


def _table_faults(name: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    known = _TABLES[name]
    for key, value in table.items():
        kind = known.get(key)
        place = (name, key)
        if kind is None:
            yield Problem(place, f"unknown key{suggestion(key, known)}; there are {', '.join(known)}")
        elif kind is float and not _is_within(value, (int, float), _TIMEOUTS_S):
            yield Problem(place, f"must be a number, {_TIMEOUTS_S[0]} to {_TIMEOUTS_S[1]}")
        elif kind is int and not _is_within(value, (int,), _LIMITS[key]):
            yield Problem(place, f"must be a whole number, {_LIMITS[key][0]} to {_LIMITS[key][1]}")
        elif kind is str and not (isinstance(value, str) and value):
            yield Problem(place, "must be text")
    yield from (Problem((name, key), "is missing") for key in _REQUIRED.get(name, ()) if key not in table)


def _services_faults(table: Mapping[str, Any]) -> Iterator[Problem]:
    for station, ids in table.items():
        if not _STATION.fullmatch(station):
            yield Problem(("services", station), "is no id of a station, and not '*'")
        if not isinstance(ids, list) or not all(isinstance(one, str) and _SERVICE.fullmatch(one) for one in ids):
            yield Problem(("services", station), 'must be a list of ids of services, such as ["tdc.register"]')


def _is_within(value: object, kinds: tuple[type, ...], bounds: tuple[float, float]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]  # type: ignore[operator]


def _endpoint(path: Path, name: str, table: Mapping[str, Any] | None, problems: list[Problem]) -> Endpoint | None:
    """Return an endpoint that can be used; what is wrong with it goes to ``problems``."""
    if table is None:
        return None
    headers = None
    try:
        if "token_file" in table:
            headers = {"Authorization": f"Bearer {_token(path.parent / table['token_file'])}"}
        ca = path.parent / table["ca"] if "ca" in table else None
        endpoint = Endpoint(table["url"], float(table.get("timeout_s", DEFAULT_TIMEOUT_S)), ca, headers)
        endpoint.check()
    except ConfigError as error:
        problems += [Problem((name,), what) for what in error.problems]
        return None
    return endpoint


def _token(path: Path) -> str:
    try:
        token = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no ASCII, or no name of a file"
        raise ConfigError([f"cannot read {path}: {reason}"]) from None
    if not token or not token.isprintable() or " " in token:
        raise ConfigError([f"{path} holds no token: one line of ASCII"])
    return token
