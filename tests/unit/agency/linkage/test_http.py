"""One exchange with real sockets and real TLS: it ends in time, and what is believed is whole and of whom we trust."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agency.desk.authority import Authority
from agency.linkage.http import MAX_BODY_BYTES, Endpoint, NoAnswer, NotReached, Reply

Act = Callable[[socket.socket], None]
YES = b'{"outcome": "normal"}'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(YES), YES)
SLACK_S = 1.0


@contextmanager
def served(act: Act) -> Iterator[int]:
    """Let ``act`` have every connection, one after the other; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    act(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def says(*parts: bytes, pause_s: float = 0.0) -> Act:
    def act(connection: socket.socket) -> None:
        connection.recv(65_536)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            """What was not read would reset the connection."""

    return act


def ask(act: Act, timeout_s: float = 1.0) -> Reply:
    with served(act) as port:
        return Endpoint(f"http://127.0.0.1:{port}/x", timeout_s).post("", b"{}", "application/json")


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def test_a_whole_answer_is_read() -> None:
    assert ask(says(PLAIN)) == Reply(200, YES)
    assert ask(says(b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN)) == Reply(200, YES)
    assert ask(says(chunked(b"5\r\n{12} \r\n", b"A\r\n0123456789\r\n", b"0\r\n\r\n"))).body == b"{12} 0123456789"
    assert ask(says(PLAIN.replace(b"1.1", b"1.0"))).body == YES


@pytest.mark.parametrize(
    "reply",
    [
        chunked(b"-1\r\n", YES, b"\r\n0\r\n\r\n"),
        chunked(b"+5\r\n{12} \r\n0\r\n\r\n"),
        chunked(b"0x5\r\n{12} \r\n0\r\n\r\n"),
        chunked(b"5\r\n{12} \r\n"),
        chunked(b"5\r\n{12} 0\r\n\r\n"),
        chunked(b"5\r\n{12} \r\n0\r\nX-More: 1\r\n\r\n"),
        chunked(b"\r\n" + YES),
        chunked(b"F" * 8 + b"\r\n" + b"x" * 200_000),
        chunked(b"8000\r\n" + b"x" * 0x8000 + b"\r\n", b"8001\r\n" + b"x" * 0x8001 + b"\r\n0\r\n\r\n"),
        chunked(*[b"1\r\nx\r\n"] * 60_000, b"0\r\n\r\n"),
        PLAIN.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"),
        PLAIN.replace(b"Content-Length", b"Transfer-Encoding: gzip\r\nContent-Length"),
        PLAIN.replace(b"Content-Length", b"Content-Length: 2\r\nContent-Length"),
        PLAIN.replace(b": 2", b": -2"),
        PLAIN.replace(b": 2", b": +2"),
        chunked(b"5\r\n{12} \r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        chunked(b"5\r\n{12} \r\n0\r\n\r\n").replace(b"chunked", b"gzip, chunked"),
        b"HTTP/1.0 200 OK\r\n\r\n" + YES,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + YES,
        PLAIN[:-1],
        YES,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1) + b" " * (MAX_BODY_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"x" * 60_000) * 3 + PLAIN[17:],
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + PLAIN,
    ],
)
def test_what_does_not_end_where_it_says_is_no_answer(reply: bytes) -> None:
    with pytest.raises(NoAnswer):
        ask(says(reply))


@pytest.mark.parametrize("reply", [PLAIN, chunked(b"5\r\n{12} \r\n0\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n" * 99])
def test_a_drip_ends_in_time(reply: bytes) -> None:
    begun_s = time.monotonic()
    with pytest.raises(NoAnswer):
        ask(says(*(reply[at : at + 1] for at in range(len(reply))), pause_s=0.05), timeout_s=0.3)
    assert time.monotonic() - begun_s < 0.3 + SLACK_S


def test_who_reads_nothing_is_given_up_in_time() -> None:
    begun_s = time.monotonic()
    with served(lambda connection: time.sleep(1)) as port, pytest.raises(NoAnswer):
        Endpoint(f"http://127.0.0.1:{port}", 0.3).post("", b"x" * 30_000_000, "text/plain")
    assert time.monotonic() - begun_s < 0.3 + SLACK_S


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    ca = Authority.create("here")
    pair = Authority(ca).server(["127.0.0.1"])
    for name, content in (("ca", ca.certificate), ("pem", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(tmp_path / "pem"), str(tmp_path / "key"))
    context.num_tickets = 0  # nothing of TLS stands before what the test sends
    return context, tmp_path / "ca"


def test_over_tls_a_whole_answer_is_read(tls: tuple[ssl.SSLContext, Path]) -> None:
    def act(connection: socket.socket) -> None:
        says(PLAIN)(tls[0].wrap_socket(connection, server_side=True))

    with served(act) as port:
        assert Endpoint(f"https://127.0.0.1:{port}", 1.0, tls[1]).post("", b"", "text/plain").body == YES


def test_what_comes_in_clear_after_tls_is_never_believed(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds the line cannot speak for the far side by waiting until our time is over."""
    begin = http.client.HTTPResponse.begin

    def late(response: Any) -> None:
        time.sleep(1.8)
        begin(response)

    def act(connection: socket.socket) -> None:
        layer = tls[0].wrap_socket(connection, server_side=True)
        layer.recv(65_536)
        with socket.socket(fileno=layer.detach()) as bare:
            bare.sendall(PLAIN)
            time.sleep(2.5)

    monkeypatch.setattr(http.client.HTTPResponse, "begin", late)
    with served(act) as port, pytest.raises(NoAnswer):
        Endpoint(f"https://127.0.0.1:{port}", 1.5, tls[1]).post("", b"", "text/plain")


def test_a_handshake_that_drips_ends_in_time_and_nothing_left(tls: tuple[ssl.SSLContext, Path]) -> None:
    def act(connection: socket.socket) -> None:
        for byte in b"\x16\x03\x03\x20\x00" + b"\x02" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    begun_s = time.monotonic()
    with served(act) as port, pytest.raises(NotReached):
        Endpoint(f"https://127.0.0.1:{port}", 0.3, tls[1]).post("", b"", "text/plain")
    assert time.monotonic() - begun_s < 0.3 + SLACK_S


def addresses(*ports: int) -> Callable[..., list[Any]]:
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]


def test_a_name_that_is_looked_up_for_too_long_has_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with served(lambda connection: asked.append(connection.recv(100))) as port:
        found = addresses(port)

        def slow(*_: Any, **__: Any) -> list[Any]:
            time.sleep(0.4)
            return found()

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(NotReached):
            Endpoint(f"http://127.0.0.1:{port}", 0.2).post("", b"{}", "text/plain")
    assert asked == []


def test_an_address_that_is_dead_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, served(says(PLAIN)) as port:
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:  # until its queue is full, and the next one waits for ever
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        time.sleep(0.1)
        monkeypatch.setattr(socket, "getaddrinfo", addresses(full.getsockname()[1], port))
        begun_s = time.monotonic()
        assert Endpoint("http://127.0.0.1", 2.0).post("", b"{}", "text/plain").body == YES
        assert time.monotonic() - begun_s < 1.9
        for caller in callers:
            caller.close()


def test_certificates_that_went_away_are_told_as_nobody_asked(tls: tuple[ssl.SSLContext, Path]) -> None:
    tls[1].unlink()
    with served(says(PLAIN)) as port, pytest.raises(NotReached):
        Endpoint(f"https://127.0.0.1:{port}", 1.0, tls[1]).post("", b"", "text/plain")
