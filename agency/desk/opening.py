"""Opening seals that were made over the years: to whichever duty and escrow keys were in force then."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from appliance.errors import VerificationError
from appliance.events.seal import open_seal
from appliance.events.sign import Jwk

#: Private sealing keys by kid.
OpeningKeys: TypeAlias = Mapping[str, Jwk]


def open_with(sealed: dict[str, Any], keys: OpeningKeys, context: str) -> dict[str, Any]:
    """Open a seal with the first of its recipients whose key is here.

    Raises:
        VerificationError: sealed to none of these keys, altered, or moved here from another place.
    """
    for recipient in sealed.get("recipients", []):
        key = keys.get(recipient.get("header", {}).get("kid"))
        if key is not None:
            return open_seal(sealed, key, context)
    raise VerificationError("sealed to none of the keys that are here")
