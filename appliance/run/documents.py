"""The agency's documents as the station uses them: the roster in force, and the services in force.

The link verified each before it kept it. They are verified here once more, for the station believes nobody, and only
when the document or the agency's keys changed.
"""

import logging
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from appliance.cards.thai_id import Field
from appliance.errors import ConfigError, StoreError, VerificationError
from appliance.events.document import Document
from appliance.events.roster import Roster, SignedRoster
from appliance.events.schema import SERVICES
from appliance.events.sign import KeySet
from appliance.events.writer import EventWriter
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import agency_keys
from appliance.ports import Clock
from appliance.run.live_keys import LiveKeys
from appliance.services.catalogue import Catalogue
from appliance.services.loading import parse
from appliance.services.profile import Profile
from appliance.services.vocabulary import VOUCHING

SERVICE_CHANGED = "station.service_changed.v1"

_log = logging.getLogger(__name__)


class RosterSource:
    """The roster in force, verified anew whenever the document changed.

    Args:
        outbox: holds the newest signed document.
        keys: returns the agency's signature keys in force.
        station: our id.
        kind: ``roster``, or ``denylist`` for the people whom the agency stopped.
    """

    def __init__(self, outbox: Outbox, keys: Callable[[], KeySet], station: str, kind: str = "roster") -> None:
        self._outbox, self._kind = outbox, kind
        self._keys = keys
        self._station = station
        self._opened: tuple[str | None, KeySet | None] = None, None
        self._roster: SignedRoster | None = None

    def __call__(self) -> SignedRoster | None:
        """Return it; None where there is none that holds."""
        now = self._outbox.document(self._kind), self._keys()
        if now != self._opened:
            self._opened, self._roster = now, self._open(*now)
        return self._roster

    def _open(self, jws: str | None, keys: KeySet) -> SignedRoster | None:
        if not jws:
            return None
        try:
            document = Document.open(jws, keys, self._kind, self._station)
            return SignedRoster(Roster.from_document(document), document.issued_at, document.expires_at)
        except VerificationError as error:
            _log.error("%s: the stored %s is not used: %s", error.code, self._kind, error)
            return None


class ServiceSource:
    """The active service, by the newest profile of its id.

    Args:
        service_id: of the settings.
        outbox: holds the newest signed document.
        keys: returns the agency's signature keys in force.
        station: our id.

    Raises:
        ConfigError: nobody knows a service of that id that serves people with cards.
    """

    def __init__(self, service_id: str, outbox: Outbox, keys: Callable[[], KeySet], station: str) -> None:
        self._id, self._outbox, self._keys, self._station = service_id, outbox, keys, station
        self._software = _software(service_id)
        self._opened: tuple[str | None, KeySet | None] = None, None
        self._catalogue = self._software
        self.active = self._newest()

    def look(self) -> bool:
        """Take up what the agency sent since the last look; say whether the active service is another one now.

        A document that leaves the active service out changes nothing: it must not be able to stop the station.
        """
        try:
            newest = self._newest()
        except ConfigError as error:
            _log.error("%s: serving %s as before: %s", error.code, self.active.id, error)
            return False
        is_another = newest.sha256 != self.active.sha256
        self.active = newest
        return is_another

    def vouching(self) -> Profile | None:
        """Return the service by which officers vouch; None where the agency has none."""
        return self._catalogue.profiles.get(VOUCHING)

    def retention(self) -> dict[str, int]:
        """Return how many days the content of each service's events stays after its receipt, by event type."""
        profiles = self._catalogue.profiles.values()
        return {one.event_type: one.retention.station_after_receipt_days for one in profiles}

    def is_outdated(self) -> bool:
        """Say whether something came since the last look. Raises StoreError."""
        return self._held() != self._opened

    def _held(self) -> tuple[str | None, KeySet]:
        return self._outbox.document("services"), self._keys()

    def _newest(self) -> Profile:
        now = self._held()
        if now != self._opened:
            self._opened, self._catalogue = now, self._open(*now)
        profiles = {id_: one for id_, one in self._catalogue.profiles.items() if one.vouch is None}
        if self._id not in profiles:
            raise ConfigError([f"[service] id: no service {self._id!r}; there is {', '.join(sorted(profiles))}"])
        return profiles[self._id]

    def _open(self, jws: str | None, keys: KeySet) -> Catalogue:
        return services_in_force(self._software, jws, keys, self._station)


def services_in_force(software: Catalogue, jws: str | None, keys: KeySet, station: str) -> Catalogue:
    """Return the profiles of the software and, above them, those of a ``services`` document that holds.

    Args:
        software: what comes with the package.
        jws: the newest document that was kept; None for none.
        keys: the agency's signature keys in force.
        station: our id.
    """
    if not jws:
        return software
    try:
        document = Document.open(jws, keys, "services", station)
        SERVICES.check(document.body)
        return software.with_document(document.body)
    except VerificationError as error:
        _log.error("%s: the stored services are not used: %s", error.code, error)
        return software


class ServiceChanges:
    """Signs that the station serves by another profile than before, also where it changed while nobody ran.

    Args:
        outbox: takes the event, and knows what the station last said of itself.
        writer: signs it.
        clock: the time of the event.
    """

    def __init__(self, outbox: Outbox, writer: EventWriter, clock: Clock) -> None:
        self._outbox, self._writer, self._clock = outbox, writer, clock
        self._served: dict[str, Any] | None = None

    def note(self, active: Profile) -> None:
        """Sign where ``active`` is another one. Raises StoreError."""
        self._served = self._served or (self._outbox.said() or {}).get("service")
        service = {"id": active.id, "version": active.version, "sha256": active.sha256}
        if self._served not in (None, service):
            at = self._clock.now()
            data = {"clock": at.as_data(), "service": service}
            self._outbox.append(lambda position: self._writer.station(position, SERVICE_CHANGED, at.time, data))
        self._served = service


def services_here(station: str, state: Path) -> Catalogue:
    """Return the profiles that a station knows; those of the software where it has no database or no keys yet.

    Args:
        station: its id.
        state: its state directory.
    """
    found = Catalogue.of_software()
    with (
        suppress(ConfigError, StoreError, PermissionError),
        closing(Outbox.open(state / DATABASE_NAME, read_only=True)) as outbox,
    ):
        keys = LiveKeys(outbox, agency_keys(state), station).now().signatures
        return services_in_force(found, outbox.document("services"), keys, station)
    return found


def may_read(profile: Profile) -> list[Field]:
    """Return every field that a service reads of any card."""
    names = [*profile.card.read, *(profile.second.read if profile.second else ())]
    return [field for field in Field if field.symbol in names]


def _software(service_id: str) -> Catalogue:
    """Return the profiles of the software; those for demonstrations only where one is asked for."""
    known = Catalogue.of_software()
    if not service_id.startswith("demo."):
        return known
    folder = files("appliance.simulate")
    demonstrations = [parse(one.read_bytes(), one.name) for one in folder.iterdir() if one.name.endswith(".toml")]
    return Catalogue({**known.profiles, **{one.id: one for one in demonstrations}})
