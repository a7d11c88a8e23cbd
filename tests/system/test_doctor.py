"""``card-station doctor`` on real parts: pcscd with the virtual reader, Mosquitto with mutual TLS, an enrolled station.

Each part is broken for real, one at a time; the doctor names that part, says how to mend it, and changes nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agency.desk.authority import Authority, KeyPair
from appliance.simulate.pcscd import READER_NAME
from appliance.simulate.product import AGENCY, PORT, Product
from tests.unit.agency.site import is_open

NOT_USED = {"i2c", "oled", "gpio", "pins", "clock"}  # a virtual panel and a simulated clock
FROZEN_PATIENCE_S = 5.5


@dataclass(frozen=True)
class Report:
    """What the doctor printed."""

    code: int
    rows: dict[str, dict[str, str]]
    words: str
    seconds: float

    def results(self, result: str) -> set[str]:
        return {name for name, row in self.rows.items() if row["result"] == result}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A station that was enrolled once, because that takes longest."""
    folder = tmp_path_factory.mktemp("doctor")
    with Product(folder) as whole:
        whole.set_up()
        whole.state.chmod(0o750)  # as the unit's StateDirectoryMode does
        shutil.copytree(whole.state, folder / "copy")
        yield whole


@pytest.fixture
def product(made: Product) -> Iterator[Product]:
    """That station with its reader and its broker, whole; none of its own processes runs."""
    made.wait_for(lambda: is_open(PORT), "a broker")
    yield made
    made.remove()
    for name in ("link", "station", "ingest"):
        if name in made.processes:
            made.kill(name)
    shutil.rmtree(made.state)
    shutil.copytree(made.folder / "copy", made.state)
    made.write_settings()
    made.pcscd.stop()
    made.pcscd.start()
    if "broker" not in made.processes:
        made.start("broker")


def start(product: Product, *options: str) -> subprocess.Popen[bytes]:
    """Start the doctor in a process group of its own."""
    own = {"STATE_DIRECTORY": str(product.state), "RUNTIME_DIRECTORY": str(product.runtime)}
    return subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "--config", str(product.folder / "station.toml"), *options, "doctor"],
        env={**os.environ, **own, "CARD_STATION_SIMULATED_CLOCK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(product: Product, *options: str) -> tuple[int, str, str]:
    """Return the exit code, the data and the words."""
    running = start(product, *options)
    out, err = running.communicate(timeout=60)
    return running.returncode, out.decode(), err.decode()


def doctor(product: Product) -> Report:
    begun_s = time.monotonic()
    code, out, err = run(product, "--json")
    assert "Traceback" not in err
    rows = {row["part"]: row for row in json.loads(out)}
    return Report(code, rows, err, time.monotonic() - begun_s)


def check_only(
    report: Report, part: str, code: int, found: str, mend: str, echoes: frozenset[str] = frozenset()
) -> None:
    """One part failed, with these words; ``echoes`` could not be looked at."""
    assert report.results("fail") == {part}
    assert report.results("could_not_check") == echoes
    assert report.code == code
    assert found in report.rows[part]["found"]
    assert mend in report.rows[part]["mend"]
    assert f": {part}: " in report.words


def files(product: Product) -> dict[str, tuple[int, int]]:
    """Every file of the station, with its size and when it was changed."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in product.state.rglob("*")}


def test_a_whole_station_passes_and_nothing_is_changed(product: Product) -> None:
    before = files(product)
    report = doctor(product)
    assert (report.code, report.results("fail"), report.results("could_not_check")) == (0, set(), set())
    assert report.results("not_asked") == NOT_USED
    assert report.rows["reader"]["found"].startswith(READER_NAME)
    assert report.rows["card slot"]["found"] == "no card is in"
    assert report.rows["broker"]["found"] == "127.0.0.1:8883 is trusted, and takes this station's certificate"
    assert report.words == ""
    assert files(product) == before


def test_for_people_each_part_is_a_line(product: Product) -> None:
    product.insert("person-1")
    time.sleep(1)  # pcscd sees it at its next poll
    code, out, _ = run(product)
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 14
    assert lines[0].startswith("pass             settings    ")
    assert "pass             card slot   a card is in and answers" in lines


def test_a_running_station_is_not_disturbed(product: Product) -> None:
    product.start("ingest", "station", "link")
    product.wait_until_ready()
    log = product.folder / "log" / "link.log"
    product.wait_for(lambda: ": connected" in log.read_text(), "a connection")
    assert doctor(product).code == 0
    product.insert("person-1")
    product.wait_for(lambda: any(s["reference"] for s in product.screens()), "a verdict")
    assert doctor(product).code == 0
    product.wait_for(lambda: any(event["verdict"] for event in product.events()), "the event")
    assert "not connected" not in log.read_text()
    assert (product.folder / "log" / "station.log").read_text().count("reader worker killed") == 0


def test_no_reader_fits(product: Product) -> None:
    settings = product.folder / "station.toml"
    settings.write_text(settings.read_text().replace(f'name = "{READER_NAME}"', 'name = "Other"'))
    report = doctor(product)
    assert READER_NAME in report.rows["reader"]["found"]
    check_only(report, "reader", 3, "no reader fits", f'[reader] name = "{READER_NAME}"', frozenset({"card slot"}))


def test_pcscd_stopped(product: Product) -> None:
    product.pcscd.stop()
    check_only(doctor(product), "pcscd", 7, "does not run", "pcscd.socket", frozenset({"reader", "card slot"}))


def test_pcscd_killed_leaves_its_socket(product: Product) -> None:
    product.pcscd.kill()
    check_only(doctor(product), "pcscd", 7, "does not run", "pcscd.socket", frozenset({"reader", "card slot"}))


def test_an_interruption_ends_it_in_silence(product: Product) -> None:
    process = product.pcscd._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        running = start(product)
        assert running.stdout is not None
        assert b"settings" in running.stdout.readline()
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the worker as well
        out, err = running.communicate(timeout=10)
    finally:
        process.send_signal(signal.SIGCONT)
    assert (running.returncode, out, err) == (130, b"", b"")


def test_pcscd_frozen(product: Product) -> None:
    process = product.pcscd._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        usual_s = 5  # start and the other parts
        report = doctor(product)
    finally:
        process.send_signal(signal.SIGCONT)
    check_only(report, "pcscd", 7, "hangs", "systemctl restart pcscd", frozenset({"reader", "card slot"}))
    assert report.seconds < FROZEN_PATIENCE_S + usual_s
    assert doctor(product).code == 0


def test_broker_stopped(product: Product) -> None:
    product.kill("broker", signal.SIGTERM)
    check_only(doctor(product), "broker", 7, "refuses connections", "start the broker")


def test_broker_frozen(product: Product) -> None:
    broker = product.processes["broker"]
    broker.send_signal(signal.SIGSTOP)
    try:
        check_only(doctor(product), "broker", 7, "says nothing", "restart the broker")
    finally:
        broker.send_signal(signal.SIGCONT)


def put(product: Product, **files: bytes) -> None:
    for name, content in files.items():
        (product.state / "tls" / name.replace("_", ".")).write_bytes(content)


def other_authority() -> KeyPair:
    return Authority.create(AGENCY)


def test_a_wrong_ca(product: Product) -> None:
    put(product, ca_pem=other_authority().certificate)
    report = doctor(product)
    assert report.results("fail") == {"enrolment", "broker"}
    assert report.code == 1
    assert "not issued by the CA" in report.rows["enrolment"]["found"]
    assert "is not by the CA" in report.rows["broker"]["found"]
    assert "[link] host and ca" in report.rows["broker"]["mend"]


def test_a_certificate_of_another_ca(product: Product) -> None:
    pair = Authority(other_authority()).client(product.station_id)
    put(product, station_pem=pair.certificate, station_key=pair.key)
    report = doctor(product)
    assert report.results("fail") == {"enrolment", "broker"}
    assert report.code == 1
    assert "refuses this station's certificate" in report.rows["broker"]["found"]
    assert "revoked" in report.rows["broker"]["mend"]
    secret = pair.key.decode().splitlines()[1]
    assert secret not in json.dumps(report.rows) + report.words


def test_a_damaged_database(product: Product) -> None:
    path = product.state / "station.db"
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    check_only(doctor(product), "database", 7, "damaged", "copy the database away")


def test_bad_settings_are_named_first_and_the_rest_is_looked_at(product: Product) -> None:
    (product.folder / "station.toml").write_text('[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = 5\n')
    report = doctor(product)
    assert report.code == 78
    assert "station.toml:5: [link] host: must be" in report.rows["settings"]["found"]
    assert "config check" in report.rows["settings"]["mend"]
    assert report.rows["pcscd"]["result"] == "pass"
