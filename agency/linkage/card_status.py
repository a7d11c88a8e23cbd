"""The card-status service of the Department of Provincial Administration: is this card the one in force?

``CheckCardByCID(ChipNo, pid, bp1no)`` over SOAP 1.2, as open code of its users shows it; no specification is public. It
takes exactly what a chip gives: chip number, citizen number, request number. Of its codes 0 ("normal"), 4 ("not
normal") and 5 ("incomplete") are known. Every other one, and an answer without one, is ``unknown``: never normal.
"""

import logging
import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from agency.linkage.http import Endpoint, NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome, Said

NAME = "card-status"
_OUTCOMES = {"0": Outcome.NORMAL, "4": Outcome.NOT_NORMAL, "5": Outcome.INCOMPLETE}
_HTTP_OK = 200

_SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
_SERVICE = "{http://tempuri.org/}"
_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<soap12:Envelope xmlns:soap12="http://www.w3.org/2003/05/soap-envelope"><soap12:Body>'
    '<CheckCardByCID xmlns="http://tempuri.org/"><ChipNo>{chip}</ChipNo><pid>{pid}</pid><bp1no>{request}</bp1no>'
    "</CheckCardByCID></soap12:Body></soap12:Envelope>"
)

_log = logging.getLogger(__name__)


class CardStatus:
    """Asks the service (``source.Source``).

    Args:
        endpoint: of the service.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def answer(self, asked: Asked) -> Said:
        """Ask about the card that is in."""
        chip, pid = asked.text("chip_number"), asked.text("citizen_id")
        request = re.sub(r"[^0-9]", "", asked.text("request_number").partition("/")[0])
        if not (chip and pid and request):
            return Said(Outcome.INCOMPLETE, NAME)
        body = _ENVELOPE.format(chip=escape(chip), pid=escape(pid), request=escape(request)).encode()
        try:
            reply = self._endpoint.post("", body, "application/soap+xml; charset=utf-8")
        except (NotReached, NoAnswer) as error:
            _log.warning("query %s: the card-status service does not answer: %s", asked.id, error)
            return Said(Outcome.UNAVAILABLE, NAME)
        code = code_in(reply.body) if reply.status == _HTTP_OK else None
        if code not in _OUTCOMES:
            _log.warning("query %s: HTTP %d, and a code that is none of ours", asked.id, reply.status)
        return Said(_OUTCOMES.get(code or "", Outcome.UNKNOWN), NAME)


def code_in(body: bytes) -> str | None:
    """Return the code in an answer of the service; None where there is no single one, or an error is told."""
    if b"<!" in body or b"\x00" in body:  # no document type, so no entities; nor one in UTF-16
        return None
    try:
        envelope = ElementTree.fromstring(body)  # noqa: S314 - without a document type there is nothing to expand
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    path = f"{_SOAP}Body/{_SERVICE}CheckCardByCIDResponse/{_SERVICE}CheckCardByCIDResult"
    results = envelope.findall(path) if envelope.tag == f"{_SOAP}Envelope" else []
    if len(results) != 1:
        return None
    members = [(child.tag.removeprefix(_SERVICE), (child.text or "").strip()) for child in results[0]]
    codes = [text for name, text in members if name == "Code"]
    is_error = [text for name, text in members if name == "IsError"]
    return codes[0] if len(codes) == 1 and is_error == ["false"] else None
