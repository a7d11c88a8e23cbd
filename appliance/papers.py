"""The station's papers: its event key and the agency's public keys, as files under the state directory.

``keys/event.jwk`` (0600) is the station's alone, ``agency.jwks`` is public. ``card-station enrol`` makes them.
"""

from pathlib import Path

from appliance.errors import ConfigError, NotEnrolled, SigningError, VerificationError
from appliance.events import strict_json
from appliance.events.agency_keys import AgencyKeys
from appliance.events.sign import Jwk, KeySet, Signer

EVENT_KEY = Path("keys/event.jwk")
AGENCY_KEYS = Path("agency.jwks")


def event_signer(state: Path) -> Signer:
    """Return the signer with this station's event key. Raises NotEnrolled, SigningError."""
    try:
        return Signer(strict_json.decode_object((state / EVENT_KEY).read_bytes()))
    except FileNotFoundError:
        raise NotEnrolled("this station has no event key") from None
    except (OSError, VerificationError) as error:
        raise SigningError(f"the event key cannot be read: {type(error).__name__}") from None


def event_key(state: Path) -> tuple[KeySet, str]:
    """Return the station's public event key, as a set to verify with, and its thumbprint. Raises SigningError."""
    signer = event_signer(state)
    return KeySet([signer.public("event")]), signer.kid


def agency_keys(state: Path) -> list[Jwk]:
    """Return the agency's public keys. Raises NotEnrolled, ConfigError."""
    try:
        keys: list[Jwk] = strict_json.decode_object((state / AGENCY_KEYS).read_bytes())["keys"]
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise VerificationError("not a JWK set")
        KeySet(keys)
    except FileNotFoundError:
        raise NotEnrolled("this station holds no keys of an agency") from None
    except (OSError, KeyError, VerificationError) as error:
        raise ConfigError(
            [f"{AGENCY_KEYS} cannot be used ({type(error).__name__}): run 'card-station enrol'"]
        ) from None
    return keys


def every_agency_key(state: Path, steps: str | None) -> list[Jwk]:
    """Return the agency's public keys of the enrolment, and those of every step since.

    Args:
        state: the state directory.
        steps: the ``keys`` document that was kept; one that does not hold adds nothing.

    Raises NotEnrolled, ConfigError.
    """
    enrolled = agency_keys(state)
    try:
        return [*enrolled, *AgencyKeys.enrolled(enrolled).follow(steps, "").ever] if steps else enrolled
    except VerificationError:
        return enrolled
