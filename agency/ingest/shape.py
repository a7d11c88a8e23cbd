"""The shape of an event, by the published schema and a compiled library (docs/adr/0032).

A station checks a few events a minute, an agency thousands a second: there the check is the largest part of what an
event costs after its signature.
"""

import json
from functools import cache
from typing import Any

from jsonschema_rs import Draft7Validator

from appliance.events.schema import EVENT


def is_event(payload: dict[str, Any]) -> bool:
    """Say whether a payload has the shape of an event."""
    try:
        return _validator().is_valid(payload)
    except UnicodeEncodeError:  # a name that is no text
        return False


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator(json.loads(EVENT.text()))
