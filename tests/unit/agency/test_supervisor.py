"""The supervisor with real processes: restarts with back-off, a clean end, and no restart of a bad configuration."""

import logging
import sys
import threading
import time
from pathlib import Path

import pytest

from agency.broker.client import BrokerClient, Login
from agency.supervisor import Program, supervise
from appliance.errors import ConfigError, DeliveryError
from tests.unit.agency.fleet import Desk


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def supervised(*programs: Program, seconds: float) -> None:
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    try:
        supervise(programs, stop)
    finally:
        timer.cancel()


def test_what_dies_is_started_again_later_and_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "starts"
    code = f"import time; open({str(file)!r}, 'a').write(f'{{time.monotonic()}}\\n'); raise SystemExit(3)"
    supervised(Program("worker", python(code)), seconds=4.5)
    times = [float(line) for line in file.read_text().split()]
    assert len(times) == 3
    assert 0.9 < times[1] - times[0] < 1.9
    assert 1.9 < times[2] - times[1] < 2.9
    assert "worker ended with 3; starting it again in 1 s" in caplog.text
    assert "in 2 s" in caplog.text


def test_at_the_end_all_are_asked_to_end(tmp_path: Path) -> None:
    file = tmp_path / "ended"
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(file)!r}, 'a').write('x'), sys.exit(0)))\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    supervised(Program("a", python(code)), Program("b", python(code)), seconds=1.5)
    assert file.read_text() == "xx"
    assert time.monotonic() - started < 5


def test_a_bad_configuration_stops_everything() -> None:
    with pytest.raises(ConfigError, match="worker refused its configuration"):
        supervised(
            Program("other", python("import time; time.sleep(60)")),
            Program("worker", python("raise SystemExit(78)")),
            seconds=20,
        )


def login(desk: Desk, **changes: Path) -> Login:
    files = {
        "ca": desk.home.public / "ca.pem",
        "certificate": desk.home.tls / "agency-desk.pem",
        "key": desk.home.tls / "agency-desk.key",
        **changes,
    }
    return Login("agency-desk", "127.0.0.1", 1, **files)


def test_a_client_whose_thread_is_gone_says_so(desk: Desk) -> None:
    client = BrokerClient(login(desk))
    with pytest.raises(DeliveryError, match="network thread"):
        client.check()
    client.start()
    client.check()
    client.stop(0)
    with pytest.raises(DeliveryError, match="network thread"):
        client.check()


def test_a_client_without_its_key_says_so(desk: Desk) -> None:
    with pytest.raises(DeliveryError, match="agency-desk cannot be used"):
        BrokerClient(login(desk, key=desk.home.tls / "none.key"))


def test_a_client_without_a_broker_does_not_wait_for_ever(desk: Desk) -> None:
    client = BrokerClient(login(desk))
    client.start()
    with pytest.raises(DeliveryError, match=r"no broker at 127\.0\.0\.1:1"):
        client.wait_connected(0.2)
    client.stop(0)
