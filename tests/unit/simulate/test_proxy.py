"""The fault proxy against plain sockets: each kind of weather is what it says, and can change at any moment."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.simulate.proxy import FAIR, FIRST_RESEND_S, FaultProxy, Weather
from tests.unit.agency.site import wait_until

SOON_S = 0.25


class Echo:
    """A program behind the proxy that says everything back, connection by connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lines: list[socket.socket] = []
        self.ends: list[str] = []
        self.heard = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self.lines.append(line)
                threading.Thread(target=self._echo, args=(line,), daemon=True).start()

    def _echo(self, line: socket.socket) -> None:
        try:
            while piece := line.recv(65536):
                self.heard += piece
                line.sendall(piece)
            self.ends.append("end")
            line.close()
        except ConnectionResetError:
            self.ends.append("reset")
        except OSError:  # the test closed its end
            pass

    def close(self) -> None:
        self._listener.close()
        for line in self.lines:
            line.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo.port) as made:
        yield made


def call(proxy: FaultProxy, patience_s: float = 5.0) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", proxy.port), patience_s)
    line.settimeout(patience_s)
    return line


def ask(line: socket.socket, question: bytes) -> bytes:
    """Send and return as many bytes as were sent."""

    def send() -> None:
        with suppress(OSError):
            line.sendall(question)

    threading.Thread(target=send, daemon=True).start()
    answer = b""
    while len(answer) < len(question) and (piece := line.recv(65536)):
        answer += piece
    return answer


def timed(line: socket.socket, question: bytes = b"x") -> float:
    begun_s = time.monotonic()
    assert ask(line, question) == question
    return time.monotonic() - begun_s


def is_silent(line: socket.socket, seconds: float = 0.3) -> bool:
    line.settimeout(seconds)
    try:
        line.recv(1)
    except TimeoutError:
        line.settimeout(5)
        return True
    return False


def test_in_fair_weather_every_byte_passes_both_ways_in_order(proxy: FaultProxy) -> None:
    everything = bytes(range(256)) * 4000
    with call(proxy) as line:
        assert ask(line, everything) == everything
        assert timed(line) < SOON_S


def test_connections_do_not_mix(proxy: FaultProxy) -> None:
    lines = [call(proxy) for _ in range(5)]
    assert [ask(line, b"%d" % number) for number, line in enumerate(lines)] == [b"%d" % n for n in range(5)]
    assert proxy.accepted == 5
    for line in lines:
        line.close()


def test_an_end_is_passed_on_and_the_other_direction_still_works(proxy: FaultProxy, echo: Echo) -> None:
    with call(proxy) as line:
        line.sendall(b"last words")
        line.shutdown(socket.SHUT_WR)
        assert line.recv(100) == b"last words"
        assert line.recv(100) == b""
    assert echo.ends == ["end"]


def test_a_far_side_that_is_not_there_is_a_reset(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy, pytest.raises(ConnectionResetError), call(proxy) as line:
        line.recv(1)  # the reset may come before this already


def test_delay_is_there_and_back(proxy: FaultProxy) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(delay_s=0.15)
        assert 0.3 <= timed(line) < 0.3 + SOON_S


def test_delay_does_not_make_the_line_thin(proxy: FaultProxy) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(delay_s=0.15)
        assert 0.3 <= timed(line, b"x" * 100_000) < 0.3 + 3 * SOON_S


def test_throttle_is_a_line_of_so_many_bytes_a_second(proxy: FaultProxy) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(rate_bytes_s=100_000)
        assert 0.3 <= timed(line, b"x" * 30_000) < 0.9
        proxy.weather = FAIR
        assert timed(line, b"x" * 30_000) < SOON_S


def test_loss_stalls_the_line_and_loses_nothing(echo: Echo) -> None:
    with FaultProxy("127.0.0.1", echo.port) as proxy, call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(loss=0.2)
        waits_s = [timed(line) for _ in range(12)]  # and each answer is what was asked
        proxy.weather = FAIR
        assert timed(line) < SOON_S
    assert max(waits_s) >= FIRST_RESEND_S
    assert min(waits_s) < SOON_S


def test_the_same_seed_is_the_same_weather(echo: Echo) -> None:
    def waits_s(seed: int) -> list[bool]:
        with FaultProxy("127.0.0.1", echo.port, seed) as proxy, call(proxy) as line:
            ask(line, b"warm")
            proxy.weather = Weather(loss=0.3)
            return [timed(line) > 0.9 * FIRST_RESEND_S for _ in range(3)]

    assert waits_s(7) == waits_s(7)


def test_a_black_hole_is_silence_and_when_it_ends_everything_goes_on(proxy: FaultProxy, echo: Echo) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(is_black_hole=True)
        line.sendall(b"lost?")
        assert is_silent(line)
        assert echo.ends == []
        proxy.weather = FAIR
        assert line.recv(100) == b"lost?"


def test_who_connects_in_a_black_hole_hears_nothing_until_it_ends(proxy: FaultProxy, echo: Echo) -> None:
    proxy.weather = Weather(is_black_hole=True)
    with call(proxy) as line:
        line.sendall(b"hello")
        assert is_silent(line)
        assert echo.lines == []
        proxy.weather = FAIR
        assert line.recv(100) == b"hello"


def test_who_leaves_in_a_black_hole_leaves_nothing_behind(proxy: FaultProxy) -> None:
    proxy.weather = Weather(is_black_hole=True)
    call(proxy).close()
    proxy.weather = FAIR
    wait_until(lambda: not proxy._wires)


def test_half_open_is_silence_for_ever_and_a_new_connection_works(proxy: FaultProxy, echo: Echo) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.half_open()
        wait_until(lambda: echo.ends == ["reset"])
        line.sendall(b"anybody?")
        assert is_silent(line)
        with call(proxy) as new:
            assert ask(new, b"hello") == b"hello"
        assert is_silent(line)


def test_a_reset_takes_its_time_and_comes_after_what_was_said_before(proxy: FaultProxy, echo: Echo) -> None:
    line = call(proxy)
    ask(line, b"warm")
    proxy.weather = Weather(delay_s=0.5)
    line.sendall(b"last words")
    time.sleep(0.1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.close()
    time.sleep(0.05)
    assert echo.heard == b"warm"
    wait_until(lambda: echo.ends == ["reset"])
    assert echo.heard == b"warmlast words"


def test_a_cut_resets_both_sides_of_what_is_there_and_nothing_else(proxy: FaultProxy, echo: Echo) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
        wait_until(lambda: echo.ends == ["reset"])
    with call(proxy) as line:
        assert ask(line, b"hello") == b"hello"


def test_while_it_refuses_each_new_connection_is_reset_and_the_old_one_stays(proxy: FaultProxy) -> None:
    with call(proxy) as old:
        ask(old, b"warm")
        proxy.weather = Weather(is_refusing=True)
        with pytest.raises(ConnectionResetError), call(proxy) as line:
            line.recv(1)
        assert ask(old, b"still") == b"still"
        proxy.weather = FAIR
        with call(proxy) as line:
            assert ask(line, b"again") == b"again"


def test_a_line_that_is_cut_in_mid_delay_gets_nothing_more(proxy: FaultProxy) -> None:
    proxy.weather = Weather(delay_s=0.2)
    with call(proxy) as line:
        line.sendall(b"x")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    assert not proxy._wires


def test_it_holds_only_so_much_of_a_sender_that_nobody_listens_to(proxy: FaultProxy, echo: Echo) -> None:
    with call(proxy) as line:
        ask(line, b"warm")
        proxy.weather = Weather(is_black_hole=True)
        line.settimeout(0.5)
        with pytest.raises(TimeoutError):
            line.sendall(bytes(32 << 20))


def test_the_end_of_the_proxy_is_the_end_of_its_connections(echo: Echo) -> None:
    with FaultProxy("127.0.0.1", echo.port) as proxy:
        line = call(proxy)
        ask(line, b"warm")
    with line, pytest.raises(ConnectionResetError):
        line.recv(1)
    with pytest.raises(OSError, match="refused"):
        call(proxy)
