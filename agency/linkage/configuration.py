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

    [limits]
    per_minute = 30                    # questions of one station
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agency.linkage.http import Endpoint
from appliance.errors import ConfigError

DEFAULT_TIMEOUT_S = 3.0
DEFAULT_PER_MINUTE = 30
_ENDPOINT: dict[str, type] = {"url": str, "timeout_s": float, "ca": str, "token_file": str}
_TABLES: dict[str, dict[str, type]] = {
    "card_status": _ENDPOINT,
    "records": _ENDPOINT,
    "claims": {**_ENDPOINT, "unit": str, "claim_type": str},
    "limits": {"per_minute": int},
}
_REQUIRED = {"card_status": ("url",), "records": ("url",), "claims": ("url", "unit", "claim_type"), "limits": ()}
_TIMEOUTS_S, _PER_MINUTE = (0.1, 30.0), (1, 10_000)


@dataclass(frozen=True)
class Linkage:
    """Whom the agency asks; None where it asks nobody.

    Args:
        card_status: the card-status service.
        records: the agency's records.
        claims: the claim service, with ``unit`` and ``claim_type``.
        unit: code of the health unit, for the claim service.
        claim_type: likewise.
        per_minute: questions that one station may ask in a minute.
    """

    card_status: Endpoint | None = None
    records: Endpoint | None = None
    claims: Endpoint | None = None
    unit: str = ""
    claim_type: str = ""
    per_minute: int = DEFAULT_PER_MINUTE


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
        per_minute=content.get("limits", {}).get("per_minute", DEFAULT_PER_MINUTE),
    )


def _faults(content: Mapping[str, Any]) -> Iterator[str]:
    for name, table in content.items():
        if name not in _TABLES:
            yield f"no table [{name}] is known; there are {', '.join(_TABLES)}"
        elif not isinstance(table, dict):
            yield f"[{name}] must be a table"
        else:
            yield from _table_faults(name, table)


def _table_faults(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        kind = _TABLES[name].get(key)
        if kind is None:
            yield f"[{name}] {key}: is not known; there are {', '.join(_TABLES[name])}"
        elif kind is float and not _is_within(value, (int, float), _TIMEOUTS_S):
            yield f"[{name}] {key}: must be a number, {_TIMEOUTS_S[0]} to {_TIMEOUTS_S[1]}"
        elif kind is int and not _is_within(value, (int,), _PER_MINUTE):
            yield f"[{name}] {key}: must be a whole number, {_PER_MINUTE[0]} to {_PER_MINUTE[1]}"
        elif kind is str and not (isinstance(value, str) and value):
            yield f"[{name}] {key}: must be text"
    yield from (f"[{name}] {key}: is missing" for key in _REQUIRED[name] if key not in table)


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
