"""JSON as this project signs it: compact UTF-8 out; in, one meaning only (no duplicate keys, no NaN)."""

import json
import math
from functools import cache
from typing import Any

from appliance.errors import VerificationError


def encode(value: Any) -> bytes:
    """Return ``value`` as compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decode_object(text: bytes | str) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        VerificationError: not UTF-8, not JSON, not an object, nested too deep, a key stands twice, or a number
            is not finite.
    """
    try:
        value = _decoder().decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"not strict JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise VerificationError("not a JSON object")
    return value


@cache
def _decoder() -> json.JSONDecoder:
    """Return the one decoder: to make it costs as much as to read a small object."""
    return json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> None:
    raise ValueError(name)
