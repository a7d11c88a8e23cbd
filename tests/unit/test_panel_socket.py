"""The socket of the virtual panel by itself: whole lines, in order, to everyone, whatever viewers send."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.simulate.panel_socket import PanelSocket


class House:
    """A socket that keeps what viewers send."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[dict[str, Any]] = []
        self.socket = PanelSocket(path, {"a": 0, "b": None}, self.heard.append)

    def viewer(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(3.0)
        line.connect(str(self.path))
        return line


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "s")
    yield house
    house.socket.close()


def wait_until(is_so: Callable[[], bool], within_s: float = 3.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to that in time"
        time.sleep(0.002)


def lines(line: socket.socket, count: int) -> list[dict[str, Any]]:
    text = b""
    while text.count(b"\n") < count:
        chunk = line.recv(65536)
        assert chunk, "the line ended too early"
        text += chunk
    return [json.loads(words) for words in text.split(b"\n")[:count]]


def test_the_whole_state_first_then_changes_in_order(house: House) -> None:
    line = house.viewer()
    assert lines(line, 1) == [{"a": 0, "b": None}]
    for number in range(1, 200):
        house.socket.publish({"a": number})
    assert lines(line, 199) == [{"a": number} for number in range(1, 200)]


def test_what_did_not_change_is_not_told(house: House) -> None:
    line = house.viewer()
    lines(line, 1)
    house.socket.publish({"a": 0, "b": None})
    house.socket.publish({"a": 0, "b": "new"})
    house.socket.publish({"a": 1, "b": "new"})
    assert lines(line, 2) == [{"b": "new"}, {"a": 1}]


def test_who_comes_late_gets_the_sum_of_all_changes(house: House) -> None:
    early = house.viewer()
    lines(early, 1)
    house.socket.publish({"a": 1})
    house.socket.publish({"b": "ก"})
    lines(early, 2)
    assert lines(house.viewer(), 1) == [{"a": 1, "b": "ก"}]


def test_everyone_is_told(house: House) -> None:
    viewers = [house.viewer() for _ in range(5)]
    for line in viewers:
        lines(line, 1)
    house.socket.publish({"a": 7})
    assert [lines(line, 1) for line in viewers] == [[{"a": 7}]] * 5


def test_lines_may_come_in_pieces_or_together(house: House) -> None:
    line = house.viewer()
    for piece in (b'{"pr', b'ess": 1}', b'\n{"press": 2}\n{"press"', b": 3}\n"):
        line.sendall(piece)
        time.sleep(0.01)
    wait_until(lambda: len(house.heard) == 3)
    assert [message["press"] for message in house.heard] == [1, 2, 3]


@pytest.mark.parametrize("words", [b"\n", b"null\n", b'"press"\n', b"\xff\xfe\n", b"{\n", b"[" * 3000 + b"\n"])
def test_nonsense_is_passed_over(house: House, words: bytes) -> None:
    line = house.viewer()
    line.sendall(words + b'{"ok": 1}\n')
    wait_until(lambda: bool(house.heard))
    assert house.heard == [{"ok": 1}]


def test_many_may_publish_at_once(house: House) -> None:
    line = house.viewer()
    lines(line, 1)

    def publish(name: str) -> None:
        for number in range(100):
            house.socket.publish({name: number})

    threads = [threading.Thread(target=publish, args=(name,)) for name in "pqrs"]
    for thread in threads:
        thread.start()
    told = lines(line, 400)
    for name in "pqrs":
        assert [change[name] for change in told if name in change] == list(range(100))


def test_the_last_change_is_told_before_the_end(house: House) -> None:
    line = house.viewer()
    lines(line, 1)
    house.socket.publish({"a": "last"})
    house.socket.close()
    assert lines(line, 1) == [{"a": "last"}]
    assert line.recv(1) == b""
    house.socket.publish({"a": "too late"})
    house.socket.close()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        PanelSocket(tmp_path / ("x" * 200), {}, lambda message: None)
