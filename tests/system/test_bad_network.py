"""``card-station link`` behind the fault proxy: real TLS, a real mosquitto, a real ingest, and a network of every kind.

Whatever the network does, at the end every event is at the agency, once, in order, and nobody had to do anything.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.proxy import FAIR, FaultProxy, Weather
from tests.contract.line_bench import bench_in
from tests.system.test_link_process import Box
from tests.unit.agency.site import Running, wait_until


class Outpost(Box):
    """A station whose only way to the agency is a bad network."""

    proxy: FaultProxy
    link: Running

    def connect(self, *more: str) -> None:
        self.config.write_text(self.config.read_text() + "".join(f"{line}\n" for line in more))
        self.bench.site.start_ingest()
        self.link = self.start()
        wait_until(lambda: self.link.said("connected"), 20)

    def connections(self) -> int:
        return self.link.log.read_text().count(": connected")

    def all_arrived(self, seconds: float = 30) -> None:
        """Wait for the receipt of the last event; then everything is there, once and in order, and the link lives."""
        held = [row.jws for row in self.outbox.rows()]
        self.wait_through(len(held), seconds)
        assert [row.jws for row in self.bench.site.rows()] == held
        assert self.link.process.poll() is None
        assert not self.link.said("Traceback")


@pytest.fixture
def post(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Outpost]:
    with bench_in(tmp_path, capsys) as bench, FaultProxy("127.0.0.1", bench.site.port) as proxy:
        real, bench.site.port = bench.site.port, proxy.port
        made = Outpost(bench)
        bench.site.port = real
        made.proxy = proxy
        yield made
        made.outbox.close()
        made.systemd.close()


@pytest.mark.parametrize(
    "weather",
    [Weather(delay_s=0.3), Weather(loss=0.05), Weather(rate_bytes_s=40_000)],
    ids=["delay", "loss", "throttle"],
)
def test_a_slow_network_is_only_slow(post: Outpost, weather: Weather) -> None:
    post.append(60)
    post.proxy.weather = weather
    post.connect()
    post.append(20)
    post.all_arrived()
    assert post.proxy.accepted == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_cuts_and_a_broker_that_cannot_be_reached_cost_nothing(post: Outpost, protocol: str) -> None:
    post.append(100)
    post.connect(f'protocol = "{protocol}"')
    post.proxy.cut()
    post.proxy.weather = Weather(is_refusing=True)
    post.append(20)
    before = post.proxy.accepted
    wait_until(lambda: post.proxy.accepted > before, 10)
    post.proxy.weather = FAIR
    post.all_arrived()


def test_a_black_hole_that_ends_in_time_is_a_pause(post: Outpost) -> None:
    post.append(30)
    post.connect()
    post.proxy.weather = Weather(is_black_hole=True)
    post.append(30)
    time.sleep(2)
    assert post.through() <= 30
    post.proxy.weather = FAIR
    post.all_arrived()
    assert post.proxy.accepted == 1


def test_a_half_open_connection_is_noticed_and_a_new_one_made(post: Outpost) -> None:
    post.connect("keepalive_s = 5")
    post.append(5)
    post.wait_through(5)
    post.proxy.half_open()
    begun_s = time.monotonic()
    post.append(5)
    wait_until(lambda: post.connections() == 2, 30)
    assert time.monotonic() - begun_s <= 2 * 5 + 10  # two keepalives, a turn, and the first pause
    post.all_arrived()


def test_who_connects_into_a_black_hole_gives_up_and_comes_back(post: Outpost) -> None:
    post.append(10)
    post.proxy.weather = Weather(is_black_hole=True)
    post.bench.site.start_ingest()
    post.link = post.start()
    wait_until(lambda: post.link.said("not connected"), 20)
    post.proxy.weather = FAIR
    post.all_arrived()
