"""Each verdict on the way to the broker; and the handshake, against real TLS servers that meet us in every way."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agency.desk.authority import Authority, KeyPair
from appliance import config
from appliance.checks.result import Result
from appliance.config import Settings
from appliance.errors import DeliveryError
from appliance.link.address import Address
from appliance.link.handshake import Greeting, greet
from appliance.run.doctor import broker as part
from appliance.run.doctor.part import Finding
from appliance.run.doctor.settings import defaults

HOST = "127.0.0.1"
PATIENCE_S = 4.0


def check(finding: Finding, result: Result, found: str, mend: str) -> None:
    assert finding.result is result
    assert found in finding.found
    assert mend in finding.mend
    assert bool(finding.mend) or result is Result.PASS


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "_NAME_PATIENCE_S", 0.2)


@pytest.fixture
def settings() -> Settings:
    return config.parse(f'[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "{HOST}"\n', "a.toml")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "tls").mkdir()
    for name in ("ca.pem", "station.pem", "station.key"):
        (tmp_path / "tls" / name).touch()
    return tmp_path


class Line:
    """A connection that only knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def returning(value: Any) -> Callable[..., Any]:
    return lambda *_: value


@pytest.mark.parametrize(
    ("resolve", "connect", "found", "mend"),
    [
        (raising(socket.gaierror(-2, "unknown")), None, "the name 127.0.0.1 is not known", "look at the network"),
        (raising(UnicodeError()), None, "is not known", "look at the network"),
        (lambda *_: threading.Event().wait(1), None, "no name server tells", "resolvectl status"),
        (returning([]), raising(ConnectionRefusedError()), "127.0.0.1:8883 refuses connections", "start the broker"),
        (returning([]), raising(TimeoutError()), "does not answer", "firewall"),
        (returning([]), raising(OSError(113, "No route to host")), "No route to host", "ip route"),
    ],
)
def test_the_way_to_the_broker(
    settings: Settings,
    state: Path,
    resolve: Callable[..., Any],
    connect: Callable[..., Any],
    found: str,
    mend: str,
) -> None:
    finding = part.broker(settings, state, resolve, connect, returning(Greeting.WELCOME))
    check(finding, Result.FAIL, found, mend)


@pytest.mark.parametrize(
    ("greeting", "found", "mend"),
    [
        (Greeting.UNTRUSTED, "not by the CA", "[link] host and ca"),
        (Greeting.TOO_EARLY, "clock is wrong", "set the clock"),
        (Greeting.TOO_LATE, "ran out", "renew the broker's certificate"),
        (Greeting.OTHER_NAME, "for another name", "set [link] host"),
        (Greeting.REFUSED, "refuses this station's certificate", "revoked"),
        (Greeting.EXPIRED, "refuses this station's certificate: it ran out", "card-station enrol --request"),
        (Greeting.HUNG_UP, "hangs up", "broker's log"),
        (Greeting.NO_TLS, "does not speak TLS", "[link] port"),
        (Greeting.SILENT, "says nothing", "[link] port"),
    ],
)
def test_how_the_broker_meets_us(settings: Settings, state: Path, greeting: Greeting, found: str, mend: str) -> None:
    line = Line()
    finding = part.broker(settings, state, returning([]), returning(line), returning(greeting))
    check(finding, Result.FAIL, found, mend)
    assert "127.0.0.1:8883" in finding.found
    assert line.is_closed


def test_every_greeting_has_a_meaning() -> None:
    assert set(part._MEANINGS) == set(Greeting) - {Greeting.WELCOME}


def test_a_welcome(settings: Settings, state: Path) -> None:
    finding = part.broker(settings, state, returning([]), returning(Line()), returning(Greeting.WELCOME))
    check(finding, Result.PASS, "127.0.0.1:8883 is trusted", "")


def test_files_that_are_not_usable(settings: Settings, state: Path) -> None:
    line, fault = Line(), raising(DeliveryError("TLS files are not usable"))
    check(part.broker(settings, state, returning([]), returning(line), fault), Result.FAIL, "TLS files", "enrol")
    assert line.is_closed


def never(*_: object) -> Any:
    raise AssertionError("the network must not be asked")


@pytest.mark.parametrize("name", ["ca.pem", "station.pem", "station.key"])
def test_a_station_that_is_not_enrolled(settings: Settings, state: Path, name: str) -> None:
    (state / "tls" / name).unlink()
    check(
        part.broker(settings, state, never, never, never), Result.COULD_NOT_CHECK, "not enrolled", "card-station enrol"
    )


def test_files_that_this_user_may_not_read(settings: Settings, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", raising(PermissionError(13, "Permission denied")))
        finding = part.broker(settings, state, never, never, never)
    check(finding, Result.COULD_NOT_CHECK, "cannot be read: Permission denied", "as root")


def test_without_settings_there_is_no_broker(state: Path) -> None:
    check(part.broker(defaults(), state, never, never, never), Result.COULD_NOT_CHECK, "without settings", "settings")


def test_a_second_address_is_tried() -> None:
    with socket.create_server((HOST, 0)) as listener:
        closed = socket.create_server((HOST, 0))
        dead = part.resolve(*closed.getsockname())
        closed.close()
        live = part.resolve(*listener.getsockname())
        with part.connect([*dead, *live], 5) as line:
            assert line.getpeername() == listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        part.connect([*dead, *dead], 5)
    with pytest.raises(OSError, match="no address"):
        part.connect([], 5)


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return Authority.create("obec")


@pytest.fixture
def address(tmp_path: Path, authority: KeyPair) -> Address:
    """Us, with files of ``authority``."""
    ours = Authority(authority).client("bkk-001")
    for name, content in (("ca", authority.certificate), ("pem", ours.certificate), ("key", ours.key)):
        (tmp_path / name).write_bytes(content)
    return Address(HOST, 1, "bkk-001", tmp_path / "ca", tmp_path / "pem", tmp_path / "key", 30)


def in_time(pair: KeyPair, authority: KeyPair, begin_days: int, end_days: int) -> KeyPair:
    """The same certificate with another time, counted in days from now."""
    ca_key = load_pem_private_key(authority.key, None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    old, now = x509.load_pem_x509_certificate(pair.certificate), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begin_days))
        .not_valid_after(now + timedelta(days=end_days))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(ca_key, hashes.SHA256())
    return KeyPair(pair.key, made.public_bytes(serialization.Encoding.PEM))


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """One caller on a free port is served."""
    listener = socket.create_server((HOST, 0))

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as caller:
            caller.settimeout(5)
            serve(caller)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(10)


def tls_server(
    folder: Path, pair: KeyPair, trusted: bytes, version: ssl.TLSVersion, says: bytes = b"", is_patient: bool = True
) -> Callable[[socket.socket], None]:
    """A server that wants a certificate of ``trusted``."""
    for name, content in (("server.pem", pair.certificate), ("server.key", pair.key)):
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(cadata=trusted.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version

    def serve(caller: socket.socket) -> None:
        with context.wrap_socket(caller, server_side=True) as tls:
            if says:
                tls.sendall(says)
            if is_patient:
                assert tls.recv(1) == b"", "nothing of MQTT may be sent"

    return serve


def met(address: Address, port: int, patience_s: float = PATIENCE_S) -> Greeting:
    line = socket.create_connection((HOST, port))
    return greet(line, address, patience_s)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("days", "host", "greeting"),
    [
        ((-1, 1), HOST, Greeting.WELCOME),
        ((1, 2), HOST, Greeting.TOO_EARLY),
        ((-2, -1), HOST, Greeting.TOO_LATE),
        ((-1, 1), "127.0.0.2", Greeting.OTHER_NAME),
        ((-1, 1), "broker.example", Greeting.OTHER_NAME),
    ],
)
def test_the_certificate_of_the_broker(
    address: Address,
    authority: KeyPair,
    version: ssl.TLSVersion,
    days: tuple[int, int],
    host: str,
    greeting: Greeting,
) -> None:
    pair = in_time(Authority(authority).server([HOST]), authority, *days)
    with server(tls_server(address.ca.parent, pair, authority.certificate, version)) as port:
        assert met(replace(address, host=host), port) is greeting


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_of_another_ca(tmp_path: Path, address: Address, authority: KeyPair, version: ssl.TLSVersion) -> None:
    pair = Authority(Authority.create("obec")).server([HOST])
    with server(tls_server(tmp_path, pair, authority.certificate, version)) as port:
        assert met(address, port) is Greeting.UNTRUSTED


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_wants_another_ca_of_us(
    tmp_path: Path, address: Address, authority: KeyPair, version: ssl.TLSVersion
) -> None:
    pair, other = Authority(authority).server([HOST]), Authority.create("another")
    with server(tls_server(tmp_path, pair, other.certificate, version)) as port:
        assert met(address, port) is Greeting.REFUSED


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("days", "greeting"), [((-2, -1), Greeting.EXPIRED), ((1, 2), Greeting.REFUSED)])
def test_our_own_certificate_out_of_its_time(
    tmp_path: Path,
    address: Address,
    authority: KeyPair,
    version: ssl.TLSVersion,
    days: tuple[int, int],
    greeting: Greeting,
) -> None:
    ours = KeyPair(address.key.read_bytes(), address.certificate.read_bytes())
    address.certificate.write_bytes(in_time(ours, authority, *days).certificate)
    pair = Authority(authority).server([HOST])
    with server(tls_server(tmp_path, pair, authority.certificate, version)) as port:
        assert met(address, port) is greeting


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_hangs_up_after_the_handshake(
    tmp_path: Path, address: Address, authority: KeyPair, version: ssl.TLSVersion
) -> None:
    pair = Authority(authority).server([HOST])
    with server(tls_server(tmp_path, pair, authority.certificate, version, is_patient=False)) as port:
        assert met(address, port) is Greeting.HUNG_UP


def test_a_broker_that_speaks_first_is_a_welcome_too(tmp_path: Path, address: Address, authority: KeyPair) -> None:
    pair = Authority(authority).server([HOST])
    with server(tls_server(tmp_path, pair, authority.certificate, ssl.TLSVersion.TLSv1_3, says=b"\x20")) as port:
        assert met(address, port) is Greeting.WELCOME


def says(words: bytes) -> Callable[[socket.socket], None]:
    def serve(caller: socket.socket) -> None:
        caller.recv(4096)
        caller.sendall(words)

    return serve


@pytest.mark.parametrize(
    ("serve", "greeting"),
    [
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Greeting.NO_TLS),
        (says(b"\x20\x03\x00\x00\x00"), Greeting.NO_TLS),
        (says(b""), Greeting.HUNG_UP),
        (lambda caller: None, Greeting.HUNG_UP),
    ],
)
def test_a_peer_without_tls(address: Address, serve: Callable[[socket.socket], None], greeting: Greeting) -> None:
    with server(serve) as port:
        assert met(address, port) is greeting


def test_a_peer_that_says_nothing(address: Address) -> None:
    with server(lambda caller: time.sleep(1.5)) as port:
        begun_s = time.monotonic()
        assert met(address, port, patience_s=0.3) is Greeting.SILENT
        assert time.monotonic() - begun_s < 1.2


def test_our_files_are_looked_at_first(address: Address) -> None:
    address.certificate.write_bytes(b"garbage")
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(DeliveryError):
        greet(ours, address, 1)
