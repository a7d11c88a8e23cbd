"""The station's keys and the agency's public keys, as files under the state directory.

``keys/event.jwk`` (0600, the station's alone), ``agency.jwks`` (public). ``card-station enrol`` makes them.
"""

import json
from pathlib import Path
from typing import Any

from appliance.errors import ConfigError, SigningError
from appliance.events.sign import Jwk, Signer

EVENT_KEY = Path("keys/event.jwk")
AGENCY_KEYS = Path("agency.jwks")


def event_signer(state: Path) -> Signer:
    """Load the event key. Raises SigningError."""
    try:
        return Signer(json.loads((state / EVENT_KEY).read_text("ascii")))
    except (OSError, ValueError) as error:
        raise SigningError(f"no usable event key ({type(error).__name__}): run 'card-station enrol'") from None


def agency_keys(state: Path) -> dict[str, Any]:
    """Load the agency's public keys. Raises ConfigError."""
    try:
        keys: dict[str, Any] = json.loads((state / AGENCY_KEYS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError([f"no usable agency.jwks ({type(error).__name__}): run 'card-station enrol'"]) from None
    return keys


def sealing_keys(keys: dict[str, Any]) -> list[Jwk]:
    """Return the keys that seals are made for: duty and escrow."""
    return [key for key in keys["keys"] if key.get("use") == "enc"]
