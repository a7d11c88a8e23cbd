"""Which profiles a station knows: those of the software, and above them those of the agency's ``services`` document.

The document carries whole files, so the hash in an event is the hash of the file that the agency signed. A profile
never goes back: a lower version than the one known is refused, and so is another content under the same version, or one
that no longer forbids what ``card.never`` forbade. Nor may a document leave out what one before it brought. With such a
profile the whole document is refused, and what was known before stays in force.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.errors import ConfigError, VerificationError
from appliance.services.loading import parse, shipped
from appliance.services.profile import Profile

_SAID_PROBLEMS = 3


def services_body(profiles: Iterable[Profile]) -> dict[str, Any]:
    """Return the body of a ``services`` document."""
    return {"profiles": [profile.text.decode() for profile in profiles]}


@dataclass(frozen=True)
class Catalogue:
    """Profiles by id, each the newest that is known."""

    profiles: Mapping[str, Profile]

    @classmethod
    def of_software(cls) -> "Catalogue":
        """Return what comes with the package."""
        return cls({profile.id: profile for profile in shipped()})

    def with_document(self, body: Mapping[str, Any], before: "Catalogue | None" = None) -> "Catalogue":
        """Return the profiles of the software and of a verified document; a newer one of the software stays.

        Args:
            body: of the document, already checked against its schema.
            before: what was in force until now, where the document is new: nothing may be lower than that.

        Raises:
            VerificationError: a profile that cannot be read, stands twice, or goes back. Nothing of it is used.
        """
        signed: dict[str, Profile] = {}
        for number, text in enumerate(body["profiles"], 1):
            profile = _parsed(text, f"profile {number}")
            if profile.id in signed:
                raise VerificationError(f"{profile.id} stands twice in the services document")
            if before is not None:
                _check_step(before.profiles.get(profile.id), profile)
            signed[profile.id] = profile
        if before is not None:
            for known in before.profiles.values():
                if known.id not in signed and known != self.profiles.get(known.id):
                    raise VerificationError(
                        f"{known.id} version {known.version} is left out: a service never goes back"
                    )
        both = (*self.profiles.values(), *signed.values())
        return Catalogue({one.id: one for one in sorted(both, key=lambda one: one.version)})


def _parsed(text: str, name: str) -> Profile:
    try:
        return parse(text.encode(), name)
    except ConfigError as error:
        said = "; ".join(error.problems[:_SAID_PROBLEMS])
        raise VerificationError(f"the services document holds what is no profile: {said}") from None


def _check_step(known: Profile | None, new: Profile) -> None:
    if known is None or new.sha256 == known.sha256:
        return
    if new.version > known.version:
        allowed = [name for name in known.card.never if name not in new.card.never]
        if allowed:
            words = f"{', '.join(allowed)}, which card.never of version {known.version} forbids"
            raise VerificationError(f"{new.id} version {new.version} no longer forbids {words}")
        return
    if new.version == known.version:
        raise VerificationError(f"{new.id} version {new.version} is known with other content")
    raise VerificationError(f"{new.id} goes back from version {known.version} to {new.version}")
