"""The ingest worker: messages from the broker in batches, receipts back. One thread owns the database.

Nothing here is half-dead: a database that fails or a network thread that ends is an error that ends the process, and
whoever started it starts it again. Nothing is lost by that: what was not covered by a receipt is sent again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

from agency.broker.client import BrokerClient, Message
from agency.broker.topics import station_of, topic
from agency.ingest.batch import Bundle, take
from agency.ingest.bundle import MAX_BUNDLE_BYTES
from agency.ingest.news import News
from agency.ingest.office import Office
from agency.ingest.receipts import Address, Pacer, compose, share
from agency.ingest.restored import Witness, notice, notice_receipt
from agency.store.database import Database
from agency.store.epoch import reach
from agency.store.receipts import keep_receipts
from agency.store.stations import event_keys

_log = logging.getLogger(__name__)

LARGEST_MESSAGE = MAX_BUNDLE_BYTES + 512  # a little more: who just misses the bound is counted like every other
_MAX_BATCH_MESSAGES = 200
_LONGEST_WAIT_S = 0.5


def event_topics(agency: str) -> tuple[str, ...]:
    """Return what an ingest worker subscribes to."""
    return (topic(agency, "+", "event"),)


def receipt_topics(agency: str) -> tuple[str, ...]:
    """Return where an ingest worker looks once what the broker has kept."""
    return (topic(agency, "+", "receipt"),)


@dataclass(frozen=True)
class Share:
    """Which stations a worker takes: each station is one worker's, so its events stay in their order.

    Args:
        number: of the worker, from 1.
        of: how many there are.
    """

    number: int = 1
    of: int = 1

    def holds(self, station: str) -> bool:
        """Say whether a station is ours."""
        return crc32(station.encode()) % self.of == self.number - 1


EVERY_STATION = Share()


class Worker:
    """Takes events until it is told to stop.

    Args:
        database: the store.
        client: started, subscribed to ``event_topics``.
        office: returns the agency as it is now.
        witness: who has seen how far the store had come.
        part: which stations are ours; the first worker tells all of them what is new.
    """

    def __init__(
        self,
        database: Database,
        client: BrokerClient,
        office: Callable[[], Office],
        witness: Witness,
        part: Share = EVERY_STATION,
    ) -> None:
        self._part = part
        self._database = database
        self._witness = witness
        self._news = News(database)
        self._client = client
        self._office = office
        self._agency = office().agency
        self._pacer = Pacer()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; then finish the batch and send every receipt that is owed.

        Raises:
            DatabaseError: the database fails.
            DeliveryError: the MQTT client is dead.
            OSError: the witness cannot be written.
            ConfigError: a key that was rotated cannot be used.
        """
        with self._database.write() as connection:
            self._complain(notice(connection, self._witness))
        while not stop.is_set():
            self._client.check()
            bundles = list(self._collect())
            if bundles:
                self._take(bundles)
            self._send(self._pacer.take_due(time.monotonic()))
            if self._part.number == 1:
                signer, is_drained = self._office().signer, self._client.is_drained()
                self._send(self._news.take(time.monotonic(), signer.kid, is_drained))
        self._send(self._pacer.take_all(time.monotonic()))

    def _collect(self) -> Iterator[Bundle]:
        """Yield the bundles that wait; wait for the first one until a receipt is due."""
        wait = self._pacer.wait(time.monotonic(), _LONGEST_WAIT_S)
        for _ in range(_MAX_BATCH_MESSAGES):
            message = self._client.next_message(wait)
            if message is None:
                return
            bundle = self._bundle(message)
            if bundle is not None:
                yield bundle
            wait = 0.0

    def _bundle(self, message: Message) -> Bundle | None:
        if (receiver := station_of(message.topic, self._agency, "receipt")) is not None:
            if self._part.holds(receiver):
                self._look_at(message, receiver)
            return None
        station = station_of(message.topic, self._agency, "event")
        if station is None:
            _log.warning("ignored a message on %s", message.topic)
            return None
        if not self._part.holds(station):
            return None
        if message.is_retained:
            _log.warning("station %s: ignored a retained event message", station)
            return None
        return Bundle(station, message.payload)

    def _look_at(self, message: Message, station: str) -> None:
        """Look at a receipt that the broker kept; what other workers send now is no news."""
        if message.is_retained:
            with self._database.write() as connection:
                self._complain(notice_receipt(connection, message.payload, self._office().keys, station))

    def _complain(self, epoch: int | None) -> None:
        if epoch is not None:
            _log.error("the database was put back from an older copy: epoch %d; stations send again", epoch)

    def _take(self, bundles: list[Bundle]) -> None:
        tally = take(self._database, self._office().rules, bundles)  # not sooner: these may be sealed to new keys
        now = time.monotonic()
        for address, urgency in tally.urgencies.items():
            self._pacer.ask(address, urgency, now)
        for line in tally.lines():
            _log.info(line)

    def _send(self, addresses: list[Address]) -> None:
        """Sign receipts, keep them, and only then let them leave."""
        if not addresses:
            return
        with self._database.write() as connection:
            keys = event_keys(connection, *{address.station for address in addresses})
            good = {key.kid for key in keys if key.revoked_at is None}  # one may have been revoked since it was asked
            owed = [address for address in addresses if address.chain.kid in good]
            here = reach(connection)
            signer, window = self._office().signer, share(len(owed))
            signed = {one: compose(connection, one, here.epoch, window).sign(signer) for one in owed}
            keep_receipts(connection, {address.chain: jws for address, jws in signed.items()})
        self._witness.write(here)
        for address, jws in signed.items():
            self._client.publish_retained(topic(self._agency, address.station, "receipt"), jws)
