"""Debian 13's pcscd asks polkit who may have the card: a user without a rule is refused, and told so."""

import time
from collections.abc import Iterator

import pytest

from appliance.errors import CardServiceDown, CardServiceRefuses
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.image.machine import POLKIT_RULE, Machine
from tests.image.station import GuestStation
from tests.image.usb import UsbReader

PATIENCE_S = 10.0
SERVICE_USER = "990"
WITH_RULE = (
    "echo card-station:x:990:990::/:/bin/false >>/etc/passwd && "
    f"cp /run/station/{POLKIT_RULE.name} /etc/polkit-1/rules.d/ && chmod 644 /etc/polkit-1/rules.d/*"
)
STOP = "kill $(pidof pcscd) && while pidof pcscd; do sleep 0.1; done"
ASK = """
from appliance.errors import CardStationError
from appliance.run.reader import WorkerReader
try:
    WorkerReader().wait_card(5.0)
    print("allowed")
except CardStationError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def polkit(machine: Machine) -> Iterator[None]:
    """Run polkit, and a pcscd that asks it, instead of the one that asks nobody."""
    station = GuestStation(machine)
    station.run("sh", "-c", STOP)
    station.run("sh", "-c", "mkdir -p /run/dbus && dbus-daemon --system --fork --nopidfile")
    station.run("sh", "-c", "exec /usr/lib/polkit-1/polkitd --no-debug", "&")
    time.sleep(2)
    station.run("pcscd", "--foreground", "&")
    time.sleep(1)
    yield
    station.run("sh", "-c", STOP)
    station.run("pcscd", "--foreground", "--disable-polkit", "&")
    time.sleep(1)


def asked_by(station: GuestStation, user: str) -> str:
    code, said = station.run(
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "python3", "-B", "-c", ASK)
    )
    assert code == 0, said
    return said.splitlines()[0]


def test_a_service_user_without_a_rule_is_refused(polkit: None, station: GuestStation, reader: UsbReader) -> None:
    assert asked_by(station, SERVICE_USER) == CardServiceRefuses.__name__


def test_root_is_not_refused(polkit: None, station: GuestStation, reader: UsbReader) -> None:
    reader.insert(ThaiCard(person(1)))
    assert asked_by(station, "0") == "allowed"


def test_with_the_rule_of_the_package_the_service_user_is_not_refused(
    polkit: None, station: GuestStation, reader: UsbReader
) -> None:
    code, said = station.run("sh", "-c", WITH_RULE)
    assert code == 0, said
    time.sleep(2)  # polkit watches its folder
    reader.insert(ThaiCard(person(1)))
    assert asked_by(station, SERVICE_USER) == "allowed"


def test_the_card_is_read_after_pcscd_was_started_anew(station: GuestStation, reader: UsbReader) -> None:
    reader.insert(ThaiCard(person(1)))
    station.seconds_to_read(person(1).citizen_id, PATIENCE_S)
    station.run("sh", "-c", STOP)
    with pytest.raises(CardServiceDown):
        station.wait_card(1.0)
    reader.remove()
    station.run("pcscd", "--foreground", "--disable-polkit", "&")
    station.wait_for_empty_slot(PATIENCE_S)  # one that is in by then is taken for the one before
    reader.insert(ThaiCard(person(2)))
    station.seconds_to_read(person(2).citizen_id, PATIENCE_S)
