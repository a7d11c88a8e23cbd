"""The Unix socket on which the virtual panel shows itself: JSON lines out, JSON lines in.

A viewer first gets the whole state in one line, then a line with what changed, each time something does. What a
viewer sends, such as ``{"press": "A"}``, is handed on; what is no JSON object is passed over. One thread serves all
viewers and never waits for any of them: who does not read is cut off when his backlog is full. ``publish`` only puts
into a queue, so that the station is never held up by those who look at it.
"""

import json
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

MAX_BACKLOG_BYTES = 256 * 1024
_MAX_LINE_BYTES = 4096

Change = dict[str, Any]


class _Viewer:
    def __init__(self, line: socket.socket) -> None:
        line.setblocking(False)
        self.line = line
        self.outgoing = bytearray()
        self.incoming = bytearray()

    def flush(self) -> None:
        """Send what goes without waiting. Raises OSError where the viewer is gone."""
        with suppress(BlockingIOError):
            while self.outgoing:
                del self.outgoing[: self.line.send(self.outgoing)]

    def lines(self) -> list[bytes]:
        """Return the whole lines that came in. Raises OSError where the viewer is gone."""
        chunk = self.line.recv(_MAX_LINE_BYTES)
        if not chunk or len(self.incoming) > _MAX_LINE_BYTES:
            raise ConnectionResetError
        *whole, rest = (bytes(self.incoming) + chunk).split(b"\n")
        self.incoming = bytearray(rest)
        return whole


class PanelSocket:
    """Serves the state of one panel.

    Args:
        path: of the socket; an old one is replaced.
        state: the state before the first change.
        on_message: called in the serving thread with each object that a viewer sends; must not raise.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, path: Path, state: Change, on_message: Callable[[Change], None]) -> None:
        self._path, self._on_message = path, on_message
        self._state = dict(state)
        self._changes: SimpleQueue[Change | None] = SimpleQueue()
        self._viewers: dict[socket.socket, _Viewer] = {}
        path.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(path))
        path.chmod(0o660)
        self._door.listen()
        self._door.setblocking(False)
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="panel-socket", daemon=True)
        self._thread.start()

    def publish(self, change: Change) -> None:
        """Tell every viewer what changed; returns at once."""
        self._changes.put(change)
        self._ring()

    def close(self) -> None:
        """Send what was published, then cut everyone off and take the socket away. May be called again."""
        self._changes.put(None)
        self._ring()
        self._thread.join(timeout=2.0)
        self._path.unlink(missing_ok=True)

    def _ring(self) -> None:
        with suppress(OSError):  # the bell is ringing already, or the house is closed
            self._bell.send(b"!")

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._door, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            while self._take_changes():
                for viewer in list(self._viewers.values()):
                    self._attend(selector, viewer, self._push)
                for key, _ in selector.select():
                    self._answer(selector, key.fileobj)
        for line in (*self._viewers, self._door, self._bell, self._ear):
            line.close()

    def _answer(self, selector: selectors.BaseSelector, source: Any) -> None:
        if source is self._ear:
            self._ear.recv(4096)
        elif source is self._door:
            self._welcome(selector)
        elif viewer := self._viewers.get(source):
            self._attend(selector, viewer, self._hear)

    def _welcome(self, selector: selectors.BaseSelector) -> None:
        with suppress(OSError):  # gone before the door was open
            line, _ = self._door.accept()
            viewer = self._viewers[line] = _Viewer(line)
            viewer.outgoing += _encoded(self._state)
            selector.register(line, selectors.EVENT_READ)

    def _attend(self, selector: selectors.BaseSelector, viewer: _Viewer, act: Callable[[_Viewer], None]) -> None:
        """Do one thing for a viewer; let him go where he is gone or does not read."""
        try:
            act(viewer)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if viewer.outgoing else 0)
            selector.modify(viewer.line, wanted)
        except OSError:
            selector.unregister(viewer.line)
            del self._viewers[viewer.line]
            viewer.line.close()

    def _push(self, viewer: _Viewer) -> None:
        viewer.flush()
        if len(viewer.outgoing) > MAX_BACKLOG_BYTES:
            raise ConnectionAbortedError

    def _hear(self, viewer: _Viewer) -> None:
        with suppress(BlockingIOError):
            for line in viewer.lines():
                with suppress(ValueError, RecursionError):  # no JSON, or nested without end
                    message = json.loads(line)
                    if isinstance(message, dict):
                        self._on_message(message)

    def _take_changes(self) -> bool:
        """Put what was published into the viewers' backlogs; say whether to go on."""
        with suppress(Empty):
            while True:
                change = self._changes.get_nowait()
                if change is None:
                    self._say_goodbye()
                    return False
                self._tell({key: value for key, value in change.items() if self._state.get(key) != value})
        return True

    def _tell(self, news: Change) -> None:
        self._state.update(news)
        for viewer in self._viewers.values() if news else ():
            viewer.outgoing += _encoded(news)

    def _say_goodbye(self) -> None:
        for viewer in self._viewers.values():
            with suppress(OSError):  # gone before the last word
                viewer.flush()


def _encoded(change: Change) -> bytes:
    return json.dumps(change, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
