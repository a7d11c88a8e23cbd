"""The link process: network, TLS key, the state database. No card, no panel, no event key.

One loop: wait for a nudge, for MQTT or for a time; take what happened; publish what the window allows; say the
status. A network thread that died or hangs, or a database that fails, ends the process, and systemd starts it anew.
"""

import json
import logging
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.errors import OutboxDamaged, OutboxFull, OutboxUnavailable
from appliance.events import strict_json
from appliance.events.sign import KeySet
from appliance.hardware.clock import THAI_TIME
from appliance.link import status as link_status
from appliance.link.address import Address
from appliance.link.bundle import MAX_BUNDLE_EVENTS, first_bundle
from appliance.link.inbox import Inbox
from appliance.link.leftovers import Leftovers
from appliance.link.mqtt import (
    Acknowledged,
    Breach,
    Connected,
    Disconnected,
    Happening,
    MqttLine,
    Received,
    Subscribed,
)
from appliance.link.reasons import FIRST_FAILURE, NO_MATCHING_SUBSCRIBERS, meaning
from appliance.link.window import UNASKED_SIZE, Window
from appliance.outbox import mend
from appliance.outbox.check import suspect
from appliance.outbox.delivery import Delivery
from appliance.outbox.store import DATABASE_NAME
from appliance.papers import agency_keys
from appliance.run import lock
from appliance.run.notify import SystemdNotifier
from appliance.run.nudge import Ear
from appliance.run.query_socket import AnswerSocket
from appliance.run.stop import StopSignal

STATUS_EVERY_S = 5.0
RECEIPT_PATIENCE_S = 300.0
_UNTIL_THE_NEXT_CONNECTION = {
    "broker_busy",
    "broker_refuses",
    "message_too_large",
    "not_authorised",
    "wrong_protocol",
}

_log = logging.getLogger(__name__)


class Link:
    """The loop's state."""

    def __init__(self, settings: Settings, state: Path, ear: Ear, questions: AnswerSocket) -> None:
        self._prefix = f"cs/1/{settings.station.agency}/{settings.station.id}/"
        self._delivery = Delivery.open(state / DATABASE_NAME)
        self._boot = self._delivery.next_boot()
        self._inbox = Inbox(self._prefix, settings.station.id, KeySet(agency_keys(state)), self._delivery)
        will = (f"{self._prefix}status", link_status.will(self._boot, _now()))
        self._line = MqttLine(Address.of(settings, state), will, ear.wake)
        self._window = Window(through=self._delivery.standing().through)
        self._leftovers = Leftovers(self._delivery)
        self._questions = questions
        self._alarms: set[str] = set()
        self._said: dict[str, Any] = {}
        self._say_at_s = 0.0

    def start(self) -> None:
        """Connect."""
        self._line.start()

    def stop(self) -> None:
        """Say goodbye and close the database."""
        if self._window.in_flight:
            last = {**self._said, "state": "maintenance", "boot": self._boot, "since": _now().isoformat("T", "seconds")}
            self._line.publish(f"{self._prefix}status", strict_json.encode(last), retain=True)
        self._line.stop()
        self._delivery.close()

    def turn(self) -> float:
        """Do what there is to do; return how long to wait at most. Raises StoreError, RuntimeError."""
        self._delivery.check_place()
        for happening in self._line.take():
            self._take(happening)
        if not self._line.is_alive():
            raise RuntimeError("the network thread died or hangs")
        self._ask()
        head = self._publish()
        self._say()
        return min(self._window.wait_s(head, time.monotonic()), STATUS_EVERY_S)

    def _take(self, happening: Happening) -> None:
        match happening:
            case Connected(in_flight):
                _log.info("connected")
                self._alarms -= _UNTIL_THE_NEXT_CONNECTION
                self._line.subscribe(self._inbox.topics())
                self._window.connected(in_flight)
                self._leftovers.connected()
                self._said = {}
            case Disconnected(reason, words):
                _log.warning("%s: not connected: %s", meaning(reason).error.code, words)
                self._window.disconnected()
                self._alarm(meaning(reason).alarm)
            case Acknowledged(mid, reason):
                self._acknowledged(mid, reason)
            case Subscribed(reasons):
                for reason in reasons:
                    if reason >= FIRST_FAILURE:
                        self._alarm(meaning(reason).alarm)
            case Breach(alarm):
                self._alarm(alarm)
            case Received():
                self._received(happening)

    def _acknowledged(self, mid: int, reason: int) -> None:
        is_taken = reason != NO_MATCHING_SUBSCRIBERS and reason < FIRST_FAILURE
        is_of_events = self._window.acknowledged(mid, is_taken, time.monotonic()) or self._leftovers.acknowledged(mid)
        if is_of_events or reason >= FIRST_FAILURE:  # nobody has to listen to a status
            self._alarm(meaning(reason).alarm)

    def _received(self, message: Received) -> None:
        if message.topic == f"{self._prefix}receipt":
            self._take_receipt(message)
        elif message.topic.startswith(f"{self._prefix}document/"):
            is_taken = self._inbox.take_document(message.topic, message.payload)
            if is_taken and message.topic.endswith("/keys"):
                self._line.subscribe(self._inbox.topics())  # what the old keys refused comes again
        elif message.topic == f"{self._prefix}answer":
            self._take_answer(message)
        elif message.topic == f"{self._prefix}command":
            self._inbox.take_command(message.is_retained)

    def _ask(self) -> None:
        """Publish what the station asks; say so at once where it goes nowhere."""
        for query in self._questions.queries():
            is_up = self._window.in_flight > 0
            if not is_up or self._line.publish(f"{self._prefix}query", query) is None:
                self._questions.offline(query)

    def _take_answer(self, message: Received) -> None:
        """Hand an answer to the station, which alone can tell what it is worth."""
        if message.is_retained:
            self._alarm("retained_answer")
        else:
            self._questions.answer(message.payload)

    def _take_receipt(self, message: Received) -> None:
        receipt = self._inbox.take_receipt(message.payload, _now())
        standing = self._delivery.standing()
        if receipt and receipt.through == standing.through and not standing.frozen:
            self._alarms -= {"nobody_listens", "broker_busy"}
            # an old receipt says where we stand, not how much the agency bears now
            size = min(receipt.window, UNASKED_SIZE) if message.is_retained else receipt.window
            self._window.received(standing.through, size, receipt.min_gap_ms, time.monotonic())
            self._line.meter(receipt.min_gap_ms / 1000)
            missed = None if message.is_retained else self._delivery.first_held(receipt.missing)
            if missed is not None:
                self._window.resend_from(missed)
        if standing.frozen:
            _log.error("the queue is frozen: %s", standing.frozen)

    def _publish(self) -> int:
        standing = self._delivery.standing()
        while not standing.frozen and (
            span := self._window.next_after(standing.head, time.monotonic(), standing.floor)
        ):
            after, limit = span
            bundle = first_bundle(self._delivery.events(after, min(limit, MAX_BUNDLE_EVENTS)))
            if not bundle:
                break
            payload = "\n".join(jws for _, jws in bundle).encode()
            mid = self._line.publish(f"{self._prefix}event", payload)
            if mid is None:
                break
            self._window.published(bundle[-1][0], mid, time.monotonic())
        if standing.through == standing.head and not standing.frozen and self._window.in_flight:
            self._publish_leftovers()
        return standing.head

    def _publish_leftovers(self) -> None:
        found = self._leftovers.next_bundle(MAX_BUNDLE_EVENTS, time.monotonic())
        bundle = first_bundle([(place[1], jws) for place, jws in found])
        if bundle:
            mid = self._line.publish(f"{self._prefix}event", "\n".join(jws for _, jws in bundle).encode())
            if mid is not None:
                self._leftovers.published(found[len(bundle) - 1][0], mid, time.monotonic())

    def _say(self) -> None:
        now_s = time.monotonic()
        if not self._window.in_flight or (self._said and now_s < self._say_at_s):
            return
        self._say_at_s = now_s + STATUS_EVERY_S
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        said = link_status.status(self._delivery, self._boot, _now(), boot_s, self._current_alarms())
        if _without_ages(said) != _without_ages(self._said):
            mid = self._line.publish(f"{self._prefix}status", strict_json.encode(said), retain=True)
            if mid is None:
                return
        self._said = said

    def _alarm(self, name: str) -> None:
        if name and name not in self._alarms:
            _log.error("alarm: %s", name)
            self._alarms.add(name)

    def _current_alarms(self) -> set[str]:
        is_overdue = self._window.unanswered_s(time.monotonic()) >= RECEIPT_PATIENCE_S
        return self._alarms | self._inbox.alarms | ({"no_receipt"} if is_overdue else set())


def main(settings: Settings, state: Path, runtime: Path) -> int:
    """Run until SIGTERM. Raises DeliveryError, StoreError, ConfigError where it cannot start or go on."""
    runtime.mkdir(parents=True, exist_ok=True)
    held = lock.hold(state / "link.lock") if state.is_dir() else None
    ear = Ear(runtime)
    notifier = SystemdNotifier()
    stop = StopSignal(ear.wake)
    questions = AnswerSocket(runtime)
    link = _when_possible(state, lambda: Link(settings, state, ear, questions), ear, stop, notifier)
    if link is not None:
        link.start()
        notifier.ready("started")
        _run(link, state, ear, questions, stop, notifier)
    questions.close()
    if held is not None:
        os.close(held)
    return 0


def _run(
    link: Link, state: Path, ear: Ear, questions: AnswerSocket, stop: StopSignal, notifier: SystemdNotifier
) -> None:
    while not stop.is_set:
        try:
            wait_s = link.turn()
        except OutboxDamaged:
            _tell_station(state)
            raise
        notifier.alive()
        select.select([*ear.filenos(), questions.fileno()], [], [], wait_s)
        ear.drain()
    notifier.stopping()
    link.stop()


def _when_possible(
    state: Path, start: Callable[[], Link], ear: Ear, stop: StopSignal, notifier: SystemdNotifier
) -> Link | None:
    """Return the link; while the database cannot be used, wait: a new process would only meet the same again."""
    is_said = ""
    while not stop.is_set:
        try:
            if mend.is_between(state):
                raise OutboxUnavailable("the station is replacing a damaged database")
            return start()
        except (OutboxFull, OutboxUnavailable, OutboxDamaged) as error:
            if isinstance(error, OutboxDamaged):
                _tell_station(state)
            if error.code != is_said:
                _log.error("%s: %s", error.code, error)
                notifier.ready("waiting for the state database")
                is_said = error.code
            notifier.alive()
            select.select(ear.filenos(), [], [], STATUS_EVERY_S)
            ear.drain()
    return None


def _tell_station(state: Path) -> None:
    """Leave word that there is damage; only the station may set the file aside."""
    with suppress(OSError):
        suspect(state).touch()


def _without_ages(status: dict[str, Any]) -> str:
    backlog = {"count": status.get("backlog", {}).get("count")}
    return json.dumps({**status, "backlog": backlog, "last_receipt": None}, sort_keys=True)


def _now() -> datetime:
    return datetime.now(THAI_TIME)
