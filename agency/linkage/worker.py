"""The linkage worker: queries from the broker, one question each to whoever knows, signed answers back.

A query is on the disk before anybody is asked. One that comes again gets the answer that it had; while it is in hand
it is not asked twice; and where the worker died in between, a question that writes is answered ``outcome_unknown``, and
one that only reads is asked anew.

Where a query cannot be noted, or nobody waits for its answer any more, nobody is asked: ``unavailable``. A source that
trips has said nothing: ``unknown``, or ``outcome_unknown`` where it may have written. Each source has its own threads:
one that is slow holds up no other.

What is no honest station's query is dropped and logged, by station and reason, never by content: no answer tells a
stranger why. Answered without asking (``unavailable``) are a query that is new and too old, and one too many today.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from agency.broker.client import BrokerClient, Message
from agency.broker.topics import station_of, topic
from agency.clock import now_text, today
from agency.linkage.asking import Meter, Services, Stale, allowed, asked_of, is_write, open_query
from agency.linkage.source import Asked, NotConnected, Outcome, Said, Source
from agency.store.database import Database, DatabaseError
from agency.store.questions import Question, begin, find_question, finish
from agency.store.stations import event_keys
from appliance.errors import ConfigError, DeliveryError, StoreError, VerificationError
from appliance.events.chain import jws_hash
from appliance.events.query import MAX_QUERY_BYTES, Answer, Query
from appliance.events.sign import Jwk, Signer
from appliance.services.vocabulary import Question as Kind

LARGEST_MESSAGE = MAX_QUERY_BYTES + 512
THREADS = 8  # of one source
_MOST_OF_A_SOURCE, _MOST_OF_A_STATION, _MOST_REFUSED = 64, 4, 10_000
_POLL_S = 0.5
_NAME = "linkage"
_ENDS_THE_WORKER = (StoreError, ConfigError, OSError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bureau:
    """What a worker must know of its agency, as it is now.

    Args:
        signer: the answer key in use.
        private_keys: what opens queries, by kid.
        services: by which each station may ask.
    """

    signer: Signer
    private_keys: Mapping[str, Jwk]
    services: Services


@dataclass(frozen=True)
class _Task:
    """A query that its station signed."""

    query: Query
    kid: str
    hash: str
    received_s: float

    @property
    def unheard(self) -> Outcome:
        """Return what is said where somebody may have been asked and said nothing."""
        return Outcome.OUTCOME_UNKNOWN if is_write(self.query.question) else Outcome.UNKNOWN


def query_topics(agency: str) -> tuple[str, ...]:
    """Return what a linkage worker subscribes to."""
    return (topic(agency, "+", "query"),)


class Worker:
    """Answers until it is told to stop.

    Args:
        database: the store.
        client: started, subscribed to ``query_topics``.
        agency: agency id.
        bureau: returns the agency as it is now.
        sources: who knows, by question.
        meter: how much each station may ask.
    """

    def __init__(
        self,
        database: Database,
        client: BrokerClient,
        agency: str,
        bureau: Callable[[], Bureau],
        sources: Mapping[str, Source],
        meter: Meter,
    ) -> None:
        self._database, self._client, self._agency = database, client, agency
        self._bureau, self._meter = bureau, meter
        nobody = NotConnected()
        self._sources: dict[str, Source] = {one.value: sources.get(one.value, nobody) for one in Kind}
        self._in_hand: dict[str, tuple[str, int]] = {}  # query id -> station and source
        self._refused: deque[str] = deque(maxlen=_MOST_REFUSED)  # ids of which it was said that nobody is asked
        self._changed = threading.Lock()
        self._failed: list[BaseException] = []

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; then finish what is in hand.

        Raises:
            DatabaseError: the database fails.
            DeliveryError: the MQTT client is dead.
            ConfigError: a key cannot be used.
        """
        pools = {id(source): ThreadPoolExecutor(THREADS, "ask") for source in self._sources.values()}
        try:
            while not stop.is_set():
                self._client.check()
                if self._failed:
                    raise self._failed[0]
                message = self._client.next_message(_POLL_S)
                if message is not None:
                    self._receive(message, pools)
        finally:
            for pool in pools.values():
                pool.shutdown(wait=False, cancel_futures=True)  # of what only waits, nobody was asked
            for pool in pools.values():
                pool.shutdown()

    def _receive(self, message: Message, pools: Mapping[int, ThreadPoolExecutor]) -> None:
        station = station_of(message.topic, self._agency, "query")
        if station is None or message.is_retained:
            _log.warning("ignored a message on %s%s", message.topic, " that was retained" * message.is_retained)
            return
        if not self._meter.takes(station, time.monotonic()):
            _log.warning("station %s: asks too much; a query is dropped", station)
            return
        try:
            task = self._opened(message.payload, station)
        except VerificationError as error:
            _log.warning("station %s: dropped a query: %s", station, error)
            return
        except _ENDS_THE_WORKER:
            raise
        except Exception as error:  # noqa: BLE001 - what trips us must not stop the others
            _log.error("station %s: dropped a query: %s", station, type(error).__name__)
            return
        if self._take_in_hand(task.query):
            pools[id(self._sources[task.query.question])].submit(self._work, task)

    def _opened(self, payload: bytes, station: str) -> _Task:
        with self._database.read() as connection:
            keys = event_keys(connection, station)
        query, kid = open_query(payload, self._agency, station, keys)
        return _Task(query, kid, jws_hash(payload.decode("ascii")), time.monotonic())

    def _take_in_hand(self, query: Query) -> bool:
        with self._changed:
            if query.id in self._in_hand:
                return False
            station, source = query.station, id(self._sources[query.question])
            of_station = sum(one == station for one, _ in self._in_hand.values())
            of_source = sum(one == source for _, one in self._in_hand.values())
            if of_source >= _MOST_OF_A_SOURCE or of_station >= _MOST_OF_A_STATION:
                _log.warning("station %s: too many queries at once; one is dropped", station)
                return False
            self._in_hand[query.id] = station, source
            return True

    def _work(self, task: _Task) -> None:
        """Answer one query, in a thread of the pool."""
        query, answer = task.query, None
        try:
            answer = self._answer(task)
        except VerificationError as error:
            _log.warning("station %s: dropped query %s: %s", query.station, query.id, error)
        except _ENDS_THE_WORKER as error:
            self._failed.append(error)  # raised by the main thread
        except Exception as error:  # noqa: BLE001 - what trips us must not stop the others
            _log.error("station %s: dropped query %s: %s", query.station, query.id, type(error).__name__)
        finally:
            with self._changed:
                self._in_hand.pop(query.id, None)
        if answer is not None:
            with suppress(DeliveryError):  # the client tells of it; the station asks again or does not
                self._client.publish(topic(self._agency, query.station, "answer"), answer)

    def _answer(self, task: _Task) -> str:
        """Return the answer that the query had, else a new one. Raises VerificationError."""
        query, bureau = task.query, self._bureau()
        with self._database.read() as connection:
            held = find_question(connection, query.id)
        if held is not None and held.hash != task.hash:
            raise VerificationError("another query has this id")
        if held is not None and held.answer is not None:
            return held.answer
        if held is not None and is_write(query.question):
            _log.error("station %s: query %s was begun and not ended; its outcome is unknown", query.station, query.id)
            return self._end(task, Said(Outcome.OUTCOME_UNKNOWN, _NAME), bureau)
        return self._new_answer(task, bureau, is_begun=held is not None)

    def _new_answer(self, task: _Task, bureau: Bureau, *, is_begun: bool) -> str:
        query = task.query
        if not is_begun and query.id in self._refused:
            return self._refuse(query, _NAME, bureau)
        try:
            profile = allowed(query, bureau.services, datetime.now(UTC))
        except Stale as error:
            _log.warning("station %s: %s", query.station, error)
            return self._refuse(query, "clock", bureau)
        asked = asked_of(query, profile, bureau.private_keys, task.received_s)
        if not is_begun and not self._takes_today(query.station):
            return self._refuse(query, "limit", bureau)
        if not is_begun and not self._is_noted(task):
            return self._refuse(query, _NAME, bureau)
        return self._end(task, self._ask(task, asked), bureau)

    def _refuse(self, query: Query, source: str, bureau: Bureau) -> str:
        """Return that nobody was asked, and see to it that nobody is when the query comes again.

        It is not even noted on the disk: a replay of years ago must not fill the store.
        """
        self._refused.append(query.id)
        return _signed(query, Said(Outcome.UNAVAILABLE, source), bureau)

    def _takes_today(self, station: str) -> bool:
        with self._changed:
            is_taken = self._meter.takes_today(station, today())
        if not is_taken:
            _log.warning("station %s: has asked what it may today ([limits] per_day); nobody is asked", station)
        return is_taken

    def _is_noted(self, task: _Task) -> bool:
        """Note a new query; say whether that is done."""
        query = task.query
        names = (query.id, query.station, task.kid, query.question, query.service["id"])
        try:
            with self._database.write() as connection:
                begin(connection, Question(*names, task.hash, now_text()))
        except DatabaseError as error:
            _log.error("station %s: query %s: nobody is asked: %s", query.station, query.id, error)
            return False
        return True

    def _ask(self, task: _Task, asked: Asked) -> Said:
        query = task.query
        if not asked.is_awaited:
            _log.warning("station %s: query %s has waited too long; nobody is asked", query.station, query.id)
            return Said(Outcome.UNAVAILABLE, _NAME)
        try:
            return self._sources[query.question].answer(asked)
        except _ENDS_THE_WORKER:
            raise
        except Exception as error:  # noqa: BLE001 - what trips us must not stop the others
            _log.error("station %s: query %s: %s while it was asked", query.station, query.id, type(error).__name__)
            return Said(task.unheard, _NAME)

    def _end(self, task: _Task, said: Said, bureau: Bureau) -> str:
        """Sign what was said, commit it, and return it."""
        query = task.query
        try:
            answer = _signed(query, said, bureau)
        except VerificationError as error:
            _log.error("station %s: query %s: what was said cannot be signed: %s", query.station, query.id, error)
            said = Said(task.unheard, _NAME)
            answer = _signed(query, said, bureau)
        self._database.commit(lambda found: finish(found, query.id, said.outcome.value, said.source, answer))
        _log.info("station %s: %s: %s by %s", query.station, query.question, said.outcome.value, said.source)
        return answer


def _signed(query: Query, said: Said, bureau: Bureau) -> str:
    answer = Answer(
        query=query.id,
        nonce=query.nonce,
        station=query.station,
        question=query.question,
        outcome=said.outcome.value,
        source=said.source,
        as_of=said.as_of or today(),
        answered_at=now_text(),
    )
    return answer.sign(bureau.signer)
