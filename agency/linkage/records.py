"""The agency's own records and entitlements, and any adapter to the Population Information Linkage Center.

No interface of the Center is public, so this is our own shape, small enough that an agency puts an adapter before
whatever it has: ``POST {url}`` with ``{"id", "question", "service", "choice", "about": {"citizen_id", …}}``. The answer
is ``{"outcome": "normal" | "not_normal" | "incomplete", "as_of": "YYYY-MM-DD"}``, and nothing else counts; nor does
what is of a day too long ago.
"""

import logging
from dataclasses import asdict
from datetime import date, timedelta

from agency.clock import today
from agency.linkage.http import Endpoint, NoAnswer, NotReached, Reply
from agency.linkage.source import Asked, Outcome, Said
from appliance.errors import VerificationError
from appliance.events import strict_json

NAME = "records"
_HTTP_OK = 200
_OURS = ("station", "ends_s")  # what nobody else need know
_WORDS = (Outcome.NORMAL, Outcome.NOT_NORMAL, Outcome.INCOMPLETE)

_log = logging.getLogger(__name__)


class Records:
    """Asks the agency's records (``source.Source``).

    Args:
        endpoint: of the records, or of an adapter.
        max_age_days: how old what they say may be.
    """

    def __init__(self, endpoint: Endpoint, max_age_days: int) -> None:
        self._endpoint, self._max_age = endpoint, timedelta(days=max_age_days)

    def answer(self, asked: Asked) -> Said:
        """Ask what the records say of a person."""
        content = {name: value for name, value in asdict(asked).items() if name not in _OURS}
        try:
            reply = self._endpoint.post("", strict_json.encode(content), "application/json")
        except (NotReached, NoAnswer) as error:
            _log.warning("query %s: the records do not answer: %s", asked.id, error)
            return Said(Outcome.UNAVAILABLE, NAME)
        said = _read(reply)
        if said is None or said.as_of is None:
            _log.warning("query %s: HTTP %d, and no answer that can be read", asked.id, reply.status)
            return Said(Outcome.UNKNOWN, NAME)
        if date.fromisoformat(today()) - date.fromisoformat(said.as_of) > self._max_age:
            _log.warning("query %s: the records are of %s: too old ([records] max_age_days)", asked.id, said.as_of)
            return Said(Outcome.UNKNOWN, NAME)
        return said


def _read(reply: Reply) -> Said | None:
    if reply.status != _HTTP_OK:
        return None
    try:
        content = strict_json.decode_object(reply.body)
        outcome, as_of = Outcome(content["outcome"]), content["as_of"]
        is_good = set(content) == {"outcome", "as_of"} and outcome in _WORDS and as_of == _day(as_of)
    except (VerificationError, KeyError, ValueError, TypeError):
        return None
    return Said(outcome, NAME, as_of) if is_good and as_of <= today() else None


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()
