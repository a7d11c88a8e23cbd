"""``linkage.toml`` in the agency's home: whom the agency asks. Without the file it asks nobody.

::

    [card_status]                      # registry_status
    url = "https://…/CheckCardService.asmx"
    timeout_s = 3.0                    # below the deadline of the services, 4 s
    ca = "card-status-ca.pem"          # beside this file; the system's certificates where it is left out

    [records]                          # entitlement, agency_record: docs/linkage.md
    url = "https://…/records"
    token_file = "records.token"       # sent as "Authorization: Bearer …"

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
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agency.linkage.http import Endpoint
from appliance.errors import ConfigError

DEFAULT_TIMEOUT_S = 3.0
DEFAULT_PER_MINUTE, DEFAULT_PER_DAY = 30, 2000
_ENDPOINT: dict[str, type] = {"url": str, "timeout_s": float, "ca": str, "token_file": str}
_TABLES: dict[str, dict[str, type]] = {
    "card_status": _ENDPOINT,
    "records": _ENDPOINT,
    "claims": {**_ENDPOINT, "unit": str, "claim_type": str},
    "limits": {"per_minute": int, "per_day": int},
}
_REQUIRED = {"card_status": ("url",), "records": ("url",), "claims": ("url", "unit", "claim_type"), "limits": ()}
_TIMEOUTS_S = (0.1, 9.5)  # no service waits longer than 10 s
_LIMITS = {"per_minute": (1, 10_000), "per_day": (1, 1_000_000)}
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
        services: ids of services by station, ``*`` for those that are not named; empty where all may be used.
        per_minute: messages that one station may send in a minute.
        per_day: questions that one station may ask in a day.
    """

    card_status: Endpoint | None = None
    records: Endpoint | None = None
    claims: Endpoint | None = None
    unit: str = ""
    claim_type: str = ""
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)
    per_minute: int = DEFAULT_PER_MINUTE
    per_day: int = DEFAULT_PER_DAY


def load(path: Path) -> Linkage:
    """Read the file.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Linkage()
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    problems = [f"{path}: {fault}" for fault in _faults(content)]
    if problems:
        raise ConfigError(problems)
    claims = content.get("claims", {})
    return Linkage(
        card_status=_endpoint(path, content.get("card_status")),
        records=_endpoint(path, content.get("records")),
        claims=_endpoint(path, content.get("claims")),
        unit=claims.get("unit", ""),
        claim_type=claims.get("claim_type", ""),
        services=content.get("services", {}),
        **content.get("limits", {}),
    )


def _faults(content: Mapping[str, Any]) -> Iterator[str]:
    for name, table in content.items():
        if name not in (*_TABLES, "services"):
            yield f"no table [{name}] is known; there are {', '.join((*_TABLES, 'services'))}"
        elif not isinstance(table, dict):
            yield f"[{name}] must be a table"
        elif name == "services":
            yield from _services_faults(table)
        else:
            yield from _table_faults(name, table)


def _table_faults(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        kind = _TABLES[name].get(key)
        if kind is None:
            yield f"[{name}] {key}: is not known; there are {', '.join(_TABLES[name])}"
        elif kind is float and not _is_within(value, (int, float), _TIMEOUTS_S):
            yield f"[{name}] {key}: must be a number, {_TIMEOUTS_S[0]} to {_TIMEOUTS_S[1]}"
        elif kind is int and not _is_within(value, (int,), _LIMITS[key]):
            yield f"[{name}] {key}: must be a whole number, {_LIMITS[key][0]} to {_LIMITS[key][1]}"
        elif kind is str and not (isinstance(value, str) and value):
            yield f"[{name}] {key}: must be text"
    yield from (f"[{name}] {key}: is missing" for key in _REQUIRED[name] if key not in table)


def _services_faults(table: Mapping[str, Any]) -> Iterator[str]:
    for station, ids in table.items():
        if not _STATION.fullmatch(station):
            yield f"[services] {station!r}: is no id of a station, and not '*'"
        if not isinstance(ids, list) or not all(isinstance(one, str) and _SERVICE.fullmatch(one) for one in ids):
            yield f'[services] {station}: must be a list of ids of services, such as ["tdc.register"]'


def _is_within(value: object, kinds: tuple[type, ...], bounds: tuple[float, float]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]  # type: ignore[operator]


def _endpoint(path: Path, table: Mapping[str, Any] | None) -> Endpoint | None:
    """Return an endpoint that can be used. Raises ConfigError."""
    if table is None:
        return None
    headers = None
    if "token_file" in table:
        headers = {"Authorization": f"Bearer {_token(path.parent / table['token_file'])}"}
    ca = path.parent / table["ca"] if "ca" in table else None
    endpoint = Endpoint(table["url"], float(table.get("timeout_s", DEFAULT_TIMEOUT_S)), ca, headers)
    endpoint.check()
    return endpoint


def _token(path: Path) -> str:
    try:
        token = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise ConfigError([f"{path} holds no token: one line of ASCII"])
    return token
