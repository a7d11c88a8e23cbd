"""What the agency sends down: receipts and documents. Everything is verified before any of it is used."""

import logging
from datetime import datetime

from appliance.errors import VerificationError
from appliance.events.document import KINDS, Document
from appliance.events.receipt import Receipt
from appliance.events.roster import Roster
from appliance.events.sign import KeySet
from appliance.outbox.delivery import Delivery

_log = logging.getLogger(__name__)


class Inbox:
    """Takes messages that were received.

    Args:
        prefix: ``cs/1/{agency}/{station}/``.
        station: our id.
        keys: the agency's public signature keys.
        delivery: the state database.
    """

    def __init__(self, prefix: str, station: str, keys: KeySet, delivery: Delivery) -> None:
        self._prefix = prefix
        self._station = station
        self._keys = keys
        self._delivery = delivery
        self.alarms: set[str] = set()

    def topics(self) -> list[str]:
        """Return what to subscribe to."""
        return [f"{self._prefix}receipt", f"{self._prefix}document/#"]

    def take_receipt(self, payload: bytes, now: datetime) -> Receipt | None:
        """Verify a receipt and move the queue; return it where it is genuine and fits our chain."""
        try:
            receipt = Receipt.open(_text(payload), self._keys, self._station)
            self._delivery.take_receipt(receipt, _text(payload), now.isoformat(timespec="seconds"))
        except VerificationError as error:
            self._refuse("bad_receipt", "receipt", error)
            return None
        return receipt

    def take_document(self, topic: str, payload: bytes) -> bool:
        """Verify a document and keep it; say whether it was taken up."""
        kind = topic.rpartition("/")[2]
        try:
            if kind not in KINDS:
                raise VerificationError(f"no document is called {kind[:40]!r}")
            document = Document.open(_text(payload), self._keys, kind, self._station)
            if kind == "roster":
                Roster.from_document(document)
        except VerificationError as error:
            self._refuse("bad_document", f"document {kind[:40]!r}", error)
            return False
        taken = self._delivery.take_document(kind, document.version, _text(payload))
        if taken:
            _log.info("took up %s version %d", kind, document.version)
        return taken

    def _refuse(self, alarm: str, what: str, error: VerificationError) -> None:
        self.alarms.add(alarm)
        _log.warning("refused a %s: %s", what, error)


def _text(payload: bytes) -> str:
    try:
        return payload.decode("ascii")
    except UnicodeDecodeError:
        raise VerificationError("not ASCII") from None
