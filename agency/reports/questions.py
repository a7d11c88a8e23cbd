"""The online questions and the health visits: answers as they were signed, visits as their questions and seals say."""

import json
from collections import Counter
from collections.abc import Iterator

from agency.desk.opening import OpeningKeys, open_with
from agency.linkage.visits import visit_context
from agency.reports.problems import Problem
from agency.store.database import Connection
from agency.store.health_visits import OPEN, OPENING, HealthVisit, list_visits
from agency.store.questions import Question, every_question, find_question
from appliance.errors import VerificationError
from appliance.events.query import Answer
from appliance.events.sign import KeySet

#: What stands behind a visit: a yes; or nobody heard the end of it, and the visit went on by another card.
_MAY_STAND_BEHIND = ("normal", "outcome_unknown", None)


def audit_questions(connection: Connection, keys: KeySet, counts: Counter[str]) -> Iterator[Problem]:
    """Yield the questions whose row differs from the answer that was signed."""
    for question in every_question(connection):
        counts["questions"] += 1
        fault = _fault(question, keys)
        if fault:
            yield Problem("answer", question.station, question.id, fault)


def _fault(question: Question, keys: KeySet) -> str | None:
    if question.answer is None:
        return None if question.outcome is None else "an outcome stands without an answer"
    try:
        answer = Answer.open(question.answer, keys, question.station)
    except VerificationError as error:
        return f"the answer: {error}"
    signed = (answer.query, answer.question, answer.outcome, answer.source)
    is_same = signed == (question.id, question.question, question.outcome, question.source)
    return None if is_same else "differs from the answer that was signed"


def audit_visits(connection: Connection, keys: OpeningKeys, counts: Counter[str]) -> Iterator[Problem]:
    """Yield the health visits that no answered question opened or ended, or whose seal is not theirs."""
    for visit in list_visits(connection, None, None):
        counts["health_visits"] += 1
        for fault in _visit_faults(connection, visit, keys, counts):
            yield Problem("visit", visit.station, visit.opened_by, fault)


def _visit_faults(connection: Connection, visit: HealthVisit, keys: OpeningKeys, counts: Counter[str]) -> Iterator[str]:
    ended = (visit.state in (OPENING, OPEN), visit.closed_by is None, visit.closed_at is None)
    if len(set(ended)) != 1:
        yield "its state and its end contradict each other"
    for id_, question in ((visit.opened_by, "visit_open"), (visit.closed_by, "visit_close")):
        if id_ is None:
            continue
        asked = find_question(connection, id_)
        if (
            asked is None
            or asked.question != question
            or (visit.state != OPENING and asked.outcome not in _MAY_STAND_BEHIND)
        ):
            yield f"no answered question {question} stands behind it"
    sealed = json.loads(visit.sealed)
    if not any(one["header"]["kid"] in keys for one in sealed["recipients"]):
        counts["seals_not_opened"] += 1
        return
    try:
        open_with(sealed, keys, visit_context(visit.opened_by))
    except VerificationError as error:
        yield f"the seal does not open: {error}"
