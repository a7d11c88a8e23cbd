"""``MqttLine`` and its certificates: whom it trusts, who trusts it, and files that cannot be used.

A wrong peer is a happening that comes back with every attempt; wrong files are an error at once. Neither is a crash.
"""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agency.desk.authority import Authority
from appliance.config import parse
from appliance.errors import ConfigError, DeliveryError
from appliance.link.address import Address
from appliance.link.mqtt import Connected, Disconnected, MqttLine
from appliance.link.reasons import SESSION_TAKEN_OVER
from tests.contract.line_bench import ID, WILL, Bench, Ours, bench_in
from tests.unit.agency.fleet import AGENCY
from tests.unit.agency.site import free_port

FILES = ("ca", "certificate", "key")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    with bench_in(tmp_path, capsys) as made:
        yield made


def never_in(ours: Ours) -> None:
    """The attempt fails, the line does not say that it is connected, and it goes on trying."""
    ours.wait(Disconnected)
    assert ours.all(Connected) == []
    assert ours.line.is_alive()


def certificate(bench: Bench, start: timedelta, end: timedelta) -> Path:
    """Return a certificate for the station's own key by the agency's own CA, valid from and to, counted from now."""
    ca_key = load_pem_private_key((bench.site.desk.home.keys / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificate((bench.site.folder / "ca.pem").read_bytes())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ID)]))
        .issuer_name(ca.subject)
        .public_key(bench.station.tls_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) + start)
        .not_valid_after(datetime.now(UTC) + end)
        .sign(ca_key, hashes.SHA256())
    )
    return bench.copy("other.pem", made.public_bytes(serialization.Encoding.PEM))


def test_a_certificate_in_its_time_is_let_in(bench: Bench) -> None:
    file = certificate(bench, -timedelta(hours=1), timedelta(hours=1))
    bench.line(replace(bench.address, certificate=file)).wait(Connected)


def test_an_expired_certificate_is_not(bench: Bench) -> None:
    file = certificate(bench, -timedelta(days=2), -timedelta(days=1))
    never_in(bench.line(replace(bench.address, certificate=file)))


def test_a_certificate_of_tomorrow_is_not(bench: Bench) -> None:
    file = certificate(bench, timedelta(days=1), timedelta(days=2))
    never_in(bench.line(replace(bench.address, certificate=file)))


def test_a_certificate_by_another_ca_of_the_same_name_is_not(bench: Bench) -> None:
    pair = Authority(Authority.create(AGENCY)).client(ID)
    files = {"certificate": bench.copy("x.pem", pair.certificate), "key": bench.copy("x.key", pair.key)}
    never_in(bench.line(replace(bench.address, **files)))  # type: ignore[arg-type]


def test_a_broker_of_another_ca_is_not_believed(bench: Bench) -> None:
    other = bench.copy("other-ca.pem", Authority.create(AGENCY).certificate)
    never_in(bench.line(replace(bench.address, ca=other)))


def test_a_broker_is_not_believed_by_our_own_certificate(bench: Bench) -> None:
    never_in(bench.line(replace(bench.address, ca=bench.address.certificate)))


def test_a_broker_under_a_name_that_its_certificate_lacks_is_not_believed(bench: Bench) -> None:
    never_in(bench.line(replace(bench.address, host="127.0.0.2")))


def test_a_host_that_cannot_be_looked_up_is_tried_again(bench: Bench) -> None:
    never_in(bench.line(replace(bench.address, host="broker.invalid")))


@pytest.mark.parametrize("host", ["broker..invalid", "x" * 64 + ".invalid"])
def test_a_host_name_that_would_kill_the_network_thread_is_refused_by_the_settings(host: str) -> None:
    text = f'[station]\nid = "{ID}"\nagency = "{AGENCY}"\n[link]\nhost = "{host}"\n'
    with pytest.raises(ConfigError):
        parse(text, "station.toml")


@contextmanager
def peer(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A stranger on a free port who says ``answers`` to each caller and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            with suppress(ssl.SSLError, ConnectionError):
                caller = listener.accept()[0]
                with context.wrap_socket(caller, server_side=True) if context else caller as line:
                    line.settimeout(5)
                    line.recv(4096)
                    for answer in answers:
                        line.sendall(answer)

    def until_closed() -> None:
        with suppress(OSError):
            serve()

    thread = threading.Thread(target=until_closed, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x00\x00", b"\xff" * 5000])
def test_a_peer_without_tls_is_not_spoken_to(bench: Bench, words: bytes) -> None:
    with peer(words) as port:
        never_in(bench.line(replace(bench.address, port=port)))


def server_context(bench: Bench) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = bench.site.desk.home.tls
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    return context


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x20\x03\x00\x87\x00", id="not authorised"),
        pytest.param(b"\x20\x03\x00\x88\x00", id="server unavailable"),
        pytest.param(b"\x20\x03\x00\x86\x00", id="bad user name or password"),
    ],
)
def test_a_refusal_is_told_with_its_reason(bench: Bench, answer: bytes) -> None:
    with peer(answer, context=server_context(bench)) as port:
        ours = bench.line(replace(bench.address, port=port))
        assert ours.wait(Disconnected).reason == answer[3]
        never_in(ours)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x20\x03\x00\x00\x00" + b"\xf0\x00" * 3, id="packets of no kind"),
        pytest.param(b"\x20\x7f\x00", id="cut short"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\xff", id="a length without end"),
        pytest.param(b"\x20\x02\x00\x02", id="an answer of MQTT 3"),
        pytest.param(b"\x30\x05\x00\x01\xff\x00x", id="a message before the answer, its topic no UTF-8"),
        pytest.param(b"\x20\x06\x00\x00\x03\xfe\x00\x00", id="a property of no kind"),
        pytest.param(b"\x20\x03\x00\x03\x00", id="a reason code that an answer cannot have"),
    ],
)
def test_a_peer_that_speaks_nonsense_inside_tls_does_not_kill_the_network_thread(bench: Bench, answer: bytes) -> None:
    with peer(answer, context=server_context(bench)) as port:
        ours = bench.line(replace(bench.address, port=port))
        ours.wait(Disconnected)
        assert ours.line.is_alive()


def test_a_session_that_was_taken_over_is_told_as_that(bench: Bench) -> None:
    connack, disconnect = b"\x20\x06\x00\x00\x03\x21\x00\x05", b"\xe0\x02\x8e\x00"
    with peer(connack, disconnect, context=server_context(bench)) as port:
        ours = bench.line(replace(bench.address, port=port))
        assert ours.wait(Disconnected).reason == SESSION_TAKEN_OVER
        assert ours.all(Connected)[0] == Connected(in_flight=5)


def test_nobody_on_the_port_is_a_happening_each_time(bench: Bench) -> None:
    ours = bench.line(replace(bench.address, port=free_port()))
    ours.wait(Disconnected, 2)
    never_in(ours)


def refused(address: Address) -> None:
    with pytest.raises(DeliveryError, match="card-station enrol"):
        MqttLine(address, WILL, lambda: None)


@pytest.fixture
def address(tmp_path: Path) -> Address:
    """Files of a station, without any broker."""
    pair = Authority.create(AGENCY)
    ours = Authority(pair).client(ID)
    for name, content in zip(FILES, (pair.certificate, ours.certificate, ours.key), strict=True):
        (tmp_path / name).write_bytes(content)
    return Address("127.0.0.1", 1, ID, tmp_path / "ca", tmp_path / "certificate", tmp_path / "key", 30)


def test_good_files_are_taken(address: Address) -> None:
    assert not MqttLine(address, WILL, lambda: None).is_alive()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["missing", "empty", "garbage", "cut short", "a folder", "not text"])
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(address: Address, name: str, fault: str) -> None:
    file: Path = getattr(address, name)
    content = file.read_bytes()
    file.unlink()
    if fault == "a folder":
        file.mkdir()
    elif fault != "missing":
        file.write_bytes(
            {"empty": b"", "garbage": b"garbage\n" * 50, "cut short": content[:90], "not text": b"\xff\x00" * 500}[
                fault
            ]
        )
    refused(address)


@pytest.mark.parametrize("swap", [("certificate", "key"), ("ca", "key")])
def test_swapped_files_are_refused(address: Address, swap: tuple[str, str]) -> None:
    one, other = (getattr(address, name) for name in swap)
    refused(replace(address, **{swap[0]: other, swap[1]: one}))


def test_a_key_that_belongs_to_another_certificate_is_refused(address: Address) -> None:
    address.key.write_bytes(Authority(Authority.create(AGENCY)).client(ID).key)
    refused(address)


def test_the_refusal_shows_no_byte_of_the_key(address: Address) -> None:
    secret = address.key.read_bytes()
    address.certificate.write_bytes(b"garbage")
    with pytest.raises(DeliveryError) as caught:
        MqttLine(address, WILL, lambda: None)
    said = str(caught.value)
    assert not any(line.decode() in said for line in secret.splitlines())
    assert caught.value.__cause__ is None


ASKS_FOR_A_PASSWORD = """
import sys
from pathlib import Path
from appliance.errors import DeliveryError
from appliance.link.address import Address
from appliance.link.mqtt import MqttLine
try:
    MqttLine(Address("127.0.0.1", 1, "bkk-001", *map(Path, sys.argv[1:]), 30), ("a", b""), int)
except DeliveryError:
    print("refused")
"""


def try_a_key_under_a_password(address: Address) -> subprocess.CompletedProcess[bytes]:
    """Run as under systemd: no terminal, and nothing on standard input."""
    key = load_pem_private_key(address.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    address.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return subprocess.run(
        [sys.executable, "-c", ASKS_FOR_A_PASSWORD, *(str(getattr(address, name)) for name in FILES)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        timeout=20,
        check=False,
    )


def test_a_key_under_a_password_is_refused(address: Address) -> None:
    assert try_a_key_under_a_password(address).stdout == b"refused\n"


def test_nobody_is_asked_for_the_password_of_a_key(address: Address) -> None:
    assert try_a_key_under_a_password(address).stderr == b""
