"""Online questions and their answers: who was asked is on the disk before anybody is, and an id is answered once."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update

from agency.store.database import Connection
from agency.store.tables import question


@dataclass(frozen=True)
class Question:
    """One question. Nothing of the person is kept with it.

    Args:
        id: of the query.
        station: who asked.
        kid: the event key that signed it.
        question: what.
        service: id of the profile.
        hash: of the query as signed.
        received_at: RFC 3339.
        outcome: the word of the answer; None while it is open.
        source: who knew; likewise.
        answer: the answer as signed; likewise.
    """

    id: str
    station: str
    kid: str
    question: str
    service: str
    hash: str
    received_at: str
    outcome: str | None = None
    source: str | None = None
    answer: str | None = None


def begin(connection: Connection, new: Question) -> None:
    """Note a question, before anybody is asked."""
    connection.execute(insert(question).values(**vars(new)))


def find_question(connection: Connection, id_: str) -> Question | None:
    """Return a question by the id of its query."""
    row = connection.execute(select(question).where(question.c.id == id_)).first()
    return Question(*row) if row else None


def asked_since(connection: Connection, since: str) -> dict[str, int]:
    """Return how many questions each station asked from a time on, RFC 3339 in UTC."""
    query = select(question.c.station, func.count()).where(question.c.received_at >= since).group_by(question.c.station)
    return {row[0]: row[1] for row in connection.execute(query)}


def finish(connection: Connection, id_: str, outcome: str, source: str, answer: str) -> None:
    """Note the answer to a question that is open."""
    is_open = (question.c.id == id_) & question.c.answer.is_(None)
    connection.execute(update(question).where(is_open).values(outcome=outcome, source=source, answer=answer))


def every_question(connection: Connection) -> Iterator[Question]:
    """Yield every question, oldest first."""
    for row in connection.execute(select(question).order_by(question.c.received_at, question.c.id)):
        yield Question(*row)


def list_questions(connection: Connection, station: str | None, limit: int) -> list[Question]:
    """Return the newest questions, the newest last."""
    query = select(question).order_by(question.c.received_at.desc(), question.c.id.desc()).limit(limit)
    if station is not None:
        query = query.where(question.c.station == station)
    return [Question(*row) for row in connection.execute(query)][::-1]
