"""What the agency sends down: receipts and documents. Everything is verified before any of it is used.

Commands are not known to this version. One that the broker retained is never acted on by any: whoever can publish
could else have it carried out anew at every connection.
"""

import logging
from collections import Counter
from datetime import datetime

from appliance.errors import VerificationError
from appliance.events.agency_keys import AgencyKeys
from appliance.events.document import KINDS, Document
from appliance.events.receipt import Receipt
from appliance.events.roster import Roster
from appliance.events.schema import SERVICES
from appliance.events.sign import KeySet
from appliance.outbox.delivery import Delivery
from appliance.services.catalogue import Catalogue

_log = logging.getLogger(__name__)


class Inbox:
    """Takes messages that were received.

    Args:
        prefix: ``cs/1/{agency}/{station}/``.
        station: our id.
        keys: the agency's signature keys of the enrolment; the documents of kind ``keys`` lead on from there.
        delivery: the state database.
    """

    def __init__(self, prefix: str, station: str, keys: KeySet, delivery: Delivery) -> None:
        self._prefix = prefix
        self._station = station
        self._agency = AgencyKeys(0, keys, ())
        self._delivery = delivery
        self._refused: Counter[str] = Counter()
        self.alarms: set[str] = set()
        if held := delivery.document("keys"):
            self._follow(held)

    def topics(self) -> list[str]:
        """Return what to subscribe to."""
        return [f"{self._prefix}{leaf}" for leaf in ("receipt", "document/#", "command", "answer")]

    def take_receipt(self, payload: bytes, now: datetime) -> Receipt | None:
        """Verify a receipt and move the queue; return it where it is genuine and for our chain.

        One for a chain of before, which a damaged file held, only takes out what was saved of it.
        """
        try:
            receipt = Receipt.open(_text(payload), self._agency.signatures, self._station)
            self._delivery.take_receipt(receipt, _text(payload), now.isoformat(timespec="seconds"))
        except VerificationError as error:
            self._refuse("bad_receipt", "receipt", error)
            return None
        return receipt if self._delivery.is_current(receipt.chain) else None

    def take_document(self, topic: str, payload: bytes) -> bool:
        """Verify a document and keep it; say whether it was taken up."""
        kind = topic.rpartition("/")[2]
        if kind == "keys":
            return self._take_keys(payload)
        try:
            if kind not in KINDS:
                raise VerificationError(f"no document is called {kind[:40]!r}")
            document = Document.open(_text(payload), self._agency.signatures, kind, self._station)
            self._check_body(document)
        except VerificationError as error:
            self._refuse("bad_document", f"document {kind[:40]!r}", error)
            return False
        taken = self._delivery.take_document(kind, document.version, _text(payload))
        if taken:
            _log.info("took up %s version %d", kind, document.version)
        return taken

    def _check_body(self, document: Document) -> None:
        """Refuse a document that the station could not use. Raises VerificationError."""
        if document.kind in ("roster", "denylist"):
            Roster.from_document(document)
        if document.kind == "services":
            SERVICES.check(document.body)
            Catalogue.of_software().with_document(document.body, before=self._services())

    def _services(self) -> Catalogue:
        """Return the services in force."""
        software, held = Catalogue.of_software(), self._delivery.document("services")
        if held is None:
            return software
        try:
            document = Document.open(held, self._agency.signatures, "services", self._station)
            return software.with_document(document.body)
        except VerificationError:
            return software  # a retired key signed it, or the file was altered: the station does not use it either

    def _take_keys(self, payload: bytes) -> bool:
        """Follow the agency's keys to their newest version, and keep every step of the way."""
        try:
            text = _text(payload)
        except VerificationError as error:
            self._refuse("bad_document", "document 'keys'", error)
            return False
        if not self._follow(text):
            return False
        taken = self._delivery.take_document("keys", self._agency.version, self._agency.text)
        if taken:
            _log.info("took up keys version %d", self._agency.version)
        return taken

    def _follow(self, text: str) -> bool:
        try:
            self._agency = self._agency.follow(text, self._station)
        except VerificationError as error:
            self._refuse("bad_document", "document 'keys'", error)
            return False
        return True

    def take_command(self, is_retained: bool) -> None:
        """Ignore a command, and report one that was retained."""
        if is_retained:
            self._note("retained_command", "ignored a retained command")
        else:
            self._note("", "ignored a command: this version knows none")

    def _refuse(self, alarm: str, what: str, error: VerificationError) -> None:
        self._note(alarm, f"refused a {what}: {error}")

    def _note(self, alarm: str, words: str) -> None:
        """Raise an alarm; say the words, but not once for each message of a flood."""
        if alarm:
            self.alarms.add(alarm)
        self._refused[alarm] += 1
        count = self._refused[alarm]
        if count & (count - 1) == 0:
            _log.warning("%s%s", words, f" ({count} of this kind so far)" if count > 1 else "")


def _text(payload: bytes) -> str:
    try:
        return payload.decode("ascii")
    except UnicodeDecodeError:
        raise VerificationError("not ASCII") from None
