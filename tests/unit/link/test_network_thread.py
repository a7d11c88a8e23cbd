"""The network thread is a real one; what it does is played, how long it is waited for is shortened."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.link import network_thread as subject
from appliance.link.network_thread import NetworkThread
from tests.unit.agency.site import wait_until


class Acts:
    """What the thread does, and what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go_on = threading.Event()
        self.can_connect = True
        self.turn: Callable[[], bool] = lambda: not self.go_on.wait(0.01)
        self.pause_s = 0.01
        self.thread = NetworkThread(self.connect, self.play, self.pause)

    def connect(self) -> bool:
        self.done.append("connect")
        return self.can_connect

    def play(self) -> bool:
        return self.turn()

    def pause(self) -> float:
        self.done.append("pause")
        return self.pause_s

    def hang(self) -> bool:
        return not self.go_on.wait(10)


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Acts]:
    monkeypatch.setattr(subject, "TURN_PATIENCE_S", 0.6)
    monkeypatch.setattr(subject, "CONNECT_PATIENCE_S", 1.2)
    monkeypatch.setattr(subject, "STOP_PATIENCE_S", 0.5)
    made = Acts()
    yield made
    made.go_on.set()
    made.turn = lambda: False
    made.thread.stop()


def test_the_patience_notices_within_half_a_minute() -> None:
    assert subject.TURN_PATIENCE_S + 5 <= 30  # the loop looks at least each five seconds


def test_it_lives_from_start_to_stop(acts: Acts) -> None:
    assert not acts.thread.is_alive()
    acts.thread.start()
    assert acts.thread.is_alive()
    acts.turn = lambda: False
    acts.thread.stop()
    assert not acts.thread.is_alive()


def test_a_thread_that_was_never_started_may_be_stopped(acts: Acts) -> None:
    acts.thread.stop()
    assert acts.thread.is_stopping


def test_it_lives_as_long_as_it_turns(acts: Acts) -> None:
    acts.thread.start()
    time.sleep(0.8)
    assert acts.thread.is_alive()
    assert acts.done == ["connect"]


def test_after_a_connection_and_after_a_failed_attempt_it_pauses_and_tries_again(acts: Acts) -> None:
    acts.turn = lambda: False
    acts.thread.start()
    wait_until(lambda: acts.done[:4] == ["connect", "pause"] * 2)
    acts.can_connect = False
    acts.done.clear()
    wait_until(lambda: len(acts.done) > 4)


def test_a_thread_that_died_is_not_alive(acts: Acts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise RuntimeError("a fault of the library")

    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    acts.turn = fail
    acts.thread.start()
    wait_until(lambda: not acts.thread.is_alive(), 0.5)


def test_a_thread_that_hangs_in_a_turn_is_not_alive_any_more_though_it_runs(acts: Acts) -> None:
    acts.thread.start()
    acts.turn = acts.hang
    wait_until(lambda: not acts.thread.is_alive(), 3)
    assert acts.thread._thread.is_alive()


def test_connecting_may_take_longer_than_a_turn_and_not_for_ever(acts: Acts) -> None:
    acts.thread = NetworkThread(acts.hang, acts.hang, acts.pause)
    acts.thread.start()
    time.sleep(0.8)
    assert acts.thread.is_alive()
    wait_until(lambda: not acts.thread.is_alive(), 3)


def test_a_long_pause_is_no_hang(acts: Acts) -> None:
    acts.turn, acts.pause_s = (lambda: False), 60
    acts.thread.start()
    time.sleep(0.8)
    assert acts.thread.is_alive()


def test_a_stop_ends_a_pause_at_once(acts: Acts) -> None:
    acts.turn, acts.pause_s = (lambda: False), 60
    acts.thread.start()
    wait_until(lambda: "pause" in acts.done)
    begun_s = time.monotonic()
    acts.thread.stop()
    assert time.monotonic() - begun_s < 0.3
    assert not acts.thread.is_alive()


def test_a_thread_that_hangs_does_not_hold_up_the_stop_for_long(acts: Acts) -> None:
    acts.turn = acts.hang
    acts.thread.start()
    begun_s = time.monotonic()
    acts.thread.stop()
    assert time.monotonic() - begun_s < 1
