"""The agency's keys as the station uses them: what ``keys`` document the link took up counts from the next event on.

The state database is asked each time, and a document that changed is followed from the keys of the enrolment. One
that cannot be followed changes nothing: the keys of before stay in force.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import overload

from appliance.errors import VerificationError
from appliance.events.agency_keys import AgencyKeys
from appliance.events.sign import Jwk
from appliance.outbox.store import Outbox

_log = logging.getLogger(__name__)


class LiveKeys:
    """The keys in force.

    Args:
        outbox: holds the newest ``keys`` document.
        enrolled: the keys of the grant.
        station: our id.
    """

    def __init__(self, outbox: Outbox, enrolled: list[Jwk], station: str) -> None:
        self._outbox = outbox
        self._enrolled = AgencyKeys.enrolled(enrolled)
        self._station = station
        self._text: str | None = None
        self._now = self._enrolled

    def now(self) -> AgencyKeys:
        """Return them. Raises StoreError."""
        text = self._outbox.document("keys")
        if text and text != self._text:
            self._text = text
            try:
                self._now = self._enrolled.follow(text, self._station)
            except VerificationError as error:
                _log.error("%s: the stored keys document is not used: %s", error.code, error)
            else:
                _log.info("the agency's keys of version %d are in force", self._now.version)
        return self._now


class LiveRecipients(Sequence[Jwk]):
    """To whom an event is sealed, asked anew for each event.

    Args:
        keys: the keys in force.
    """

    def __init__(self, keys: LiveKeys) -> None:
        self._keys = keys

    @overload
    def __getitem__(self, at: int) -> Jwk: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Jwk]: ...
    def __getitem__(self, at: int | slice) -> Jwk | Sequence[Jwk]:
        return self._keys.now().sealing[at]

    def __iter__(self) -> Iterator[Jwk]:
        """Return one version's keys, never half of two."""
        return iter(self._keys.now().sealing)

    def __len__(self) -> int:
        return len(self._keys.now().sealing)
