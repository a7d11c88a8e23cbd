"""The card-status service of the Department of Provincial Administration: is this card the one in force?

``CheckCardByCID(ChipNo, pid, bp1no)`` over SOAP 1.2, as open code of its users shows it; no specification is public. It
takes exactly what a chip gives: chip number, citizen number, request number. Of its codes 0 ("normal"), 4 ("not
normal") and 5 ("incomplete") are known. Every other one, and an answer without one, is ``unknown``: never normal.
"""

import logging
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from agency.linkage.http import Endpoint, NoAnswer, NotReached
from agency.linkage.source import Asked, Outcome, Said

NAME = "card-status"
_OUTCOMES = {"0": Outcome.NORMAL, "4": Outcome.NOT_NORMAL, "5": Outcome.INCOMPLETE}
_HTTP_OK = 200

_SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
_SERVICE = "{http://tempuri.org/}"
_PATH = (f"{_SOAP}Body", f"{_SERVICE}CheckCardByCIDResponse", f"{_SERVICE}CheckCardByCIDResult")
_BLANKS = " \t\r\n"
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
    """Return the code in an answer of the service; None where there is no single one, or an error is told.

    An answer is UTF-8, whatever it declares, and has no document type: one body with one response with one result,
    whose members are leaves.
    """
    try:
        parser = ElementTree.XMLParser(target=_Plain(), encoding="utf-8")  # noqa: S314 - nothing to expand in it
        found: Element | None = ElementTree.fromstring(body, parser)  # noqa: S314 - likewise
    except (ElementTree.ParseError, ValueError):
        return None
    if found is None or found.tag != f"{_SOAP}Envelope" or found.attrib:
        return None
    for tag in _PATH:
        found = _only_child(found, tag)
        if found is None:
            return None
    if _text(found.text) or not all(map(_is_leaf, found)):
        return None
    code, is_error = (found.findall(f"{_SERVICE}{name}") for name in ("Code", "IsError"))
    if len(code) != 1 or len(is_error) != 1 or code[0].attrib or is_error[0].attrib:
        return None
    return _text(code[0].text) if _text(is_error[0].text) == "false" else None


class _Plain(ElementTree.TreeBuilder):
    """Makes a tree, of a document without a document type; so there are no entities."""

    def doctype(self, *_: object) -> None:
        """Refuse it, before anything in it is read."""
        raise ValueError


def _only_child(element: Element, tag: str) -> Element | None:
    """Return the one child of an element that holds nothing else; None where that is another one, or has attributes."""
    children = list(element)
    is_it = len(children) == 1 and children[0].tag == tag and not children[0].attrib
    return children[0] if is_it and not _text(element.text) and not _text(children[0].tail) else None


def _is_leaf(member: Element) -> bool:
    return member.tag.startswith(_SERVICE) and not len(member) and not _text(member.tail)


def _text(text: str | None) -> str:
    return (text or "").strip(_BLANKS)
