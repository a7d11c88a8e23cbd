"""Who may connect to the agency's broker, as whom, and which topics each may write and read: a real mosquitto."""

import contextlib
import json
import ssl
import time

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agency.broker.topics import topic
from agency.desk.authority import Authority, KeyPair
from tests.unit.agency.fleet import AGENCY, Pupil, Station
from tests.unit.agency.site import Device, Site, wait_until

PUPILS = [Pupil.make(number) for number in range(8)]


@pytest.mark.parametrize("version", [MQTTv5, MQTTv311])
def test_a_document_of_200_kb_passes_and_a_larger_one_is_refused(site: Site, version: MQTTProtocolVersion) -> None:
    station = site.enrol("bkk-001")
    name = topic(AGENCY, station.id, "document/roster")
    listener = site.device(station).subscribe(name)
    published: list[int] = []
    ended: list[str] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id="agency-desk", protocol=version)
    tls = site.desk.home.tls
    client.tls_set(str(site.desk.home.public / "ca.pem"), str(tls / "agency-desk.pem"), str(tls / "agency-desk.key"))
    client.on_publish = lambda *a: published.append(a[2])
    client.on_disconnect = lambda *a: ended.append(str(a[3]))
    client.connect("127.0.0.1", site.port)
    client.loop_start()
    try:
        wait_until(client.is_connected)
        client.publish(name, b"x" * 200_000, qos=1, retain=True)
        wait_until(lambda: published)
        wait_until(lambda: listener.received)
        assert not ended
        client.publish(name, b"y" * 262_144, qos=1, retain=True)
        wait_until(lambda: ended)
    finally:
        client.disconnect()
        client.loop_stop()
    assert [len(payload) for _, payload in listener.received] == [200_000]
    assert len(published) == 1
    assert not site.programs[0].said("recommended")


def test_a_second_station_reaches_nothing_of_the_first(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    site.start_ingest()
    spy = site.device(second).subscribe("#", "cs/1/obec/bkk-001/receipt", "cs/1/obec/bkk-001/document/#")
    device = site.listening(first)
    line = first.started()
    for leaf in ("event", "status", "receipt", "query", "reply", "command", "document/roster"):
        assert spy.publish(topic(AGENCY, "bkk-001", leaf), line).getName() == "Not authorized", leaf
    assert spy.publish(topic(AGENCY, "cnx-002", "receipt"), line).is_failure
    assert site.rows() == []
    device.send(line)
    device.wait_receipt(1)
    assert spy.received == []


def test_debians_tools_with_the_second_certificate_reach_nothing_either(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    worker = site.start_ingest()
    sent = site.tool("mosquitto_pub", second, "-t", topic(AGENCY, "bkk-001", "event"), "-m", first.started())
    assert b"Not authorized" in sent.stderr + sent.stdout
    site.listening(first).send(first.visit(PUPILS[1]))
    got = site.tool("mosquitto_sub", second, "-t", topic(AGENCY, "bkk-001", "receipt"), "-C", "1", "-W", "2")
    assert (got.returncode, got.stdout) == (27, b"")
    assert not worker.said("dropped")


def test_another_client_id_does_not_take_over(site: Site) -> None:
    first, second = site.enrol("bkk-001"), site.enrol("cnx-002")
    site.start_ingest()
    victim = site.listening(first)
    site.device(second, client_id="bkk-001")
    time.sleep(0.3)
    assert victim.disconnections == []
    victim.send(first.started())
    victim.wait_receipt(1)


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_without_a_certificate_of_this_agency_nobody_gets_in(site: Site, who: str) -> None:
    site.enrol("bkk-001")
    client = Client(CallbackAPIVersion.VERSION2, client_id="bkk-001", protocol=MQTTv5)
    connected: list[object] = []
    client.on_connect = lambda *_: connected.append(1)
    if who == "nobody":
        client.tls_set(str(site.folder / "ca.pem"))
    else:
        pair = Authority(strangers_ca()).client("bkk-001")
        (site.folder / "x.pem").write_bytes(pair.certificate)
        (site.folder / "x.key").write_bytes(pair.key)
        client.tls_set(str(site.folder / "ca.pem"), str(site.folder / "x.pem"), str(site.folder / "x.key"))
    with contextlib.suppress(ssl.SSLError, OSError):
        client.connect("127.0.0.1", site.port)
        end = time.monotonic() + 2
        while time.monotonic() < end and client.loop(0.1) == 0:
            pass
    assert connected == []


def strangers_ca() -> KeyPair:
    return Authority.create(AGENCY)  # the same name, another key


def test_the_grant_leads_a_station_to_this_broker(site: Site) -> None:
    station = Station("bkk-009")
    grant = site.desk.enrol(station, site.folder)
    assert grant["broker"] == {"host": "localhost", "port": site.port}
    assert json.dumps(grant).count("PRIVATE") == 0


LEAVES = ("event", "status", "query", "reply", "answer", "receipt", "document/roster", "command")
MAY_WRITE = {
    "bkk-001": {"event", "status", "query", "reply"},
    "agency-ingest": {"receipt"},
    "agency-linkage": {"answer"},
    "agency-desk": {"document/roster", "command"},
}
MAY_READ = {
    "bkk-001": {"answer", "receipt", "document/roster", "command"},
    "agency-ingest": {"event", "status", "receipt"},
    "agency-linkage": {"query"},
    "agency-desk": {"status", "reply"},
}


def members(site: Site) -> dict[str, Device]:
    """One client for each kind of user, each listening to everything of the station."""
    station = site.enrol("bkk-001")
    for user in ("agency-ingest", "agency-linkage", "agency-desk"):
        for kind in ("pem", "key"):
            (site.folder / f"{user}.{kind}").write_bytes((site.desk.home.tls / f"{user}.{kind}").read_bytes())
    users = [station, Station("agency-ingest"), Station("agency-linkage"), Station("agency-desk")]
    return {user.id: site.device(user).subscribe("cs/1/obec/bkk-001/#") for user in users}


def test_each_user_writes_and_reads_what_is_its_own_and_nothing_else(site: Site) -> None:
    everybody = members(site)
    time.sleep(0.2)
    for user, device in everybody.items():
        for leaf in LEAVES:
            answer = device.publish(topic(AGENCY, "bkk-001", leaf), f"{user} {leaf}")
            assert answer.is_failure is (leaf not in MAY_WRITE[user]), (user, leaf, answer)
    time.sleep(0.3)
    for user, device in everybody.items():
        heard = {name.removeprefix("cs/1/obec/bkk-001/") for name, _ in device.received}
        assert heard == MAY_READ[user], user


def test_a_message_over_the_broker_s_limit_is_refused(site: Site) -> None:
    station = site.enrol("bkk-001")
    device = site.device(station)
    device.client.publish(topic(AGENCY, "bkk-001", "event"), b"x" * 270_000, qos=1)
    wait_until(lambda: device.disconnections)
