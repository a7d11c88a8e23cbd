"""A TCP proxy that plays a bad network between two programs: for tests of the link, and to show an outage.

It sees a stream of bytes and no packets, so it shows each fault as TCP shows it to a program:

* *delay*: everything arrives later, in order, and as much as before can be on its way;
* *loss*: what was lost is sent again, so the stream stands still for a moment that doubles, and nothing is missing;
* *throttle*: a line of so many bytes a second;
* *black hole*: nothing arrives and nobody is told; when it ends, everything that waited goes on;
* *half-open*: the far side is gone and the near side is not told, for ever; a new connection works;
* *cut*: every connection is reset; and with *refusing*, each new one too.

The first four and *refusing* are the ``Weather``, which may change at any moment; ``cut`` and ``half_open`` happen
once, to the connections that there are.

Example::

    with FaultProxy("127.0.0.1", 8883) as proxy:
        connect_to("127.0.0.1", proxy.port)
        proxy.weather = Weather(is_black_hole=True)
"""

import asyncio
import random
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

_OnTheWay: TypeAlias = asyncio.Queue[tuple[float, bytes | None]]

FIRST_RESEND_S = 0.2  # RFC 6298 asks for 1 s; Linux waits this long
_CHUNK_BYTES = 4096
_CHUNKS_ON_THE_WAY = 64


@dataclass(frozen=True)
class Weather:
    """What the network is like, in both directions.

    Args:
        delay_s: time that every byte is on its way.
        loss: chance that a piece of at most 4 KiB has to be sent again, 0 up to but not including 1.
        rate_bytes_s: bytes that pass in a second and direction; 0 for no limit.
        is_black_hole: nothing passes, and nobody is told.
        is_refusing: whoever connects is reset.
    """

    delay_s: float = 0.0
    loss: float = 0.0
    rate_bytes_s: float = 0.0
    is_black_hole: bool = False
    is_refusing: bool = False


FAIR = Weather()


class FaultProxy:
    """Listens on a free port of this machine and passes everything on to ``host`` and ``port``; a thread of its own.

    Args:
        host: of the program behind it.
        port: likewise.
        seed: of the losses.
    """

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self._target = (host, port)
        self._weather = FAIR
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._wires: set[_Wire] = set()
        self._loop = asyncio.new_event_loop()
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._accepting = asyncio.run_coroutine_threadsafe(self._accept(), self._loop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._accepting.cancel()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()
        self._loop.close()

    @property
    def weather(self) -> Weather:
        """What the network is like now."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        change = self._may_pass.clear if weather.is_black_hole else self._may_pass.set
        self._loop.call_soon_threadsafe(change)

    def cut(self) -> None:
        """Reset every connection that there is."""
        self._do(_Wire.end)

    def half_open(self) -> None:
        """Reset the far side of every connection that there is, and leave the near side in its belief."""
        self._do(_Wire.forget_far)

    def _do(self, act: Callable[["_Wire"], None]) -> None:
        """Do it to every connection, in the proxy's thread, and wait until it is done."""

        async def doing() -> None:
            await asyncio.sleep(0)  # who has just come in begins
            for wire in list(self._wires):
                act(wire)
            await asyncio.sleep(0)  # what was cancelled ends

        asyncio.run_coroutine_threadsafe(doing(), self._loop).result()

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            near.setblocking(False)
            if self._weather.is_refusing:
                _close(near)
            else:
                _Wire(self, near).begin()


class _Wire:
    """One connection through the proxy: two sockets, and a task for each end of each direction."""

    def __init__(self, proxy: FaultProxy, near: socket.socket) -> None:
        self._proxy = proxy
        self._loop = proxy._loop
        self._near = near
        self._far = socket.socket()
        self._far.setblocking(False)
        self._tasks: list[asyncio.Task[None]] = []
        self._directions_open = 2

    def begin(self) -> None:
        """Connect to the far side and pass on what comes."""
        self._proxy._wires.add(self)
        self._start(self._connect())

    def end(self, is_reset: bool = True) -> None:
        """Close both sides, with a reset or in order."""
        self.forget_far(is_reset)
        _close(self._near, is_reset)
        self._proxy._wires.discard(self)

    def forget_far(self, is_reset: bool = True) -> None:
        """Close the far side; the near side stays connected to nobody."""
        for task in self._tasks:
            task.cancel()
        _close(self._far, is_reset)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._loop.create_task(coroutine))

    async def _connect(self) -> None:
        await self._proxy._may_pass.wait()
        try:
            await self._loop.sock_connect(self._far, self._proxy._target)
        except OSError:
            self.end()
            return
        for source, sink in ((self._near, self._far), (self._far, self._near)):
            on_the_way: _OnTheWay = asyncio.Queue(_CHUNKS_ON_THE_WAY)
            self._start(self._take(source, on_the_way))
            self._start(self._give(on_the_way, sink))

    async def _take(self, source: socket.socket, on_the_way: _OnTheWay) -> None:
        """Read until the end, which is an empty piece, or until a reset, which is None: it, too, takes its time."""
        sent_s = due_s = 0.0
        piece: bytes | None = b"-"
        while piece:
            try:
                piece = await self._loop.sock_recv(source, _CHUNK_BYTES)
            except ConnectionError:
                piece = None
            weather = self._proxy._weather
            sent_s = max(sent_s, self._loop.time()) + _duration_s(weather, piece or b"")
            due_s = max(due_s, sent_s + weather.delay_s + _stall_s(weather, self._proxy._chance))
            await on_the_way.put((due_s, piece))

    async def _give(self, on_the_way: _OnTheWay, sink: socket.socket) -> None:
        """Send on what is due. A side that is gone hears no more; its own reset, if any, is on its way back."""
        piece: bytes | None = b"-"
        while piece:
            due_s, piece = await on_the_way.get()
            await asyncio.sleep(due_s - self._loop.time())
            await self._proxy._may_pass.wait()
            with suppress(OSError):
                if piece:
                    await self._loop.sock_sendall(sink, piece)
                elif piece is not None:
                    sink.shutdown(socket.SHUT_WR)
        self._directions_open -= 1
        if piece is None or not self._directions_open:
            self.end(is_reset=piece is None)


def _duration_s(weather: Weather, piece: bytes) -> float:
    return len(piece) / weather.rate_bytes_s if weather.rate_bytes_s else 0.0


def _stall_s(weather: Weather, chance: random.Random) -> float:
    """Return how long a piece is late because it, or what was sent in its place, was lost."""
    stall_s, resend_s = 0.0, FIRST_RESEND_S
    while chance.random() < weather.loss:
        stall_s, resend_s = stall_s + resend_s, resend_s * 2
    return stall_s


def _close(line: socket.socket, is_reset: bool = True) -> None:
    for_no_time = (1).to_bytes(4, sys.byteorder) + bytes(4)  # struct linger: the close becomes a reset
    if is_reset:
        with suppress(OSError):
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, for_no_time)
    line.close()
