"""One table from the broker's reason codes to alarms, errors and pauses; every alarm stands in the operations guide."""

from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from appliance.link.backoff import LONGEST_S
from appliance.link.reasons import FIRST_FAILURE, NO_MATCHING_SUBSCRIBERS, SESSION_TAKEN_OVER, meaning

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")


def paho_s_code(packet: int, name: str) -> int:
    return ReasonCode(packet, name).value


@pytest.mark.parametrize(
    ("packet", "name", "alarm"),
    [
        (PacketTypes.PUBACK, "No matching subscribers", "nobody_listens"),
        (PacketTypes.PUBACK, "Not authorized", "not_authorised"),
        (PacketTypes.PUBACK, "Quota exceeded", "broker_busy"),
        (PacketTypes.CONNACK, "Not authorized", "not_authorised"),
        (PacketTypes.CONNACK, "Bad user name or password", "not_authorised"),
        (PacketTypes.CONNACK, "Client identifier not valid", "not_authorised"),
        (PacketTypes.CONNACK, "Unsupported protocol version", "wrong_protocol"),
        (PacketTypes.CONNACK, "Server busy", "broker_busy"),
        (PacketTypes.CONNACK, "Connection rate exceeded", "broker_busy"),
        (PacketTypes.DISCONNECT, "Session taken over", "session_taken_over"),
        (PacketTypes.DISCONNECT, "Packet too large", "message_too_large"),
        (PacketTypes.DISCONNECT, "Receive maximum exceeded", "broker_refuses"),
        (PacketTypes.DISCONNECT, "Server shutting down", ""),
        (PacketTypes.DISCONNECT, "Keep alive timeout", ""),
        (PacketTypes.DISCONNECT, "Normal disconnection", ""),
    ],
)
def test_a_reason_has_its_alarm(packet: int, name: str, alarm: str) -> None:
    assert meaning(paho_s_code(packet, name)).alarm == alarm


def test_every_failure_is_one_of_a_few_known_things_and_every_success_is_nothing() -> None:
    for reason in range(256):
        found = meaning(reason)
        assert found.alarm or reason < FIRST_FAILURE or reason in (0x8B, 0x8D)
        assert not found.alarm or reason >= FIRST_FAILURE or reason == NO_MATCHING_SUBSCRIBERS


def test_every_alarm_and_error_stands_in_the_operations_guide() -> None:
    for reason in range(256):
        assert meaning(reason).alarm in OPERATIONS
        assert f"| {meaning(reason).error.code} |" in OPERATIONS
    for alarm in ("oversized_message", "unasked_message", "retained_command", "no_receipt"):
        assert f"| `{alarm}` |" in OPERATIONS or f"`{alarm}`" in OPERATIONS


def test_a_twin_stays_away_longer_than_any_other_pause() -> None:
    assert meaning(SESSION_TAKEN_OVER).pause_s > 2 * LONGEST_S
    assert all(meaning(reason).pause_s <= meaning(SESSION_TAKEN_OVER).pause_s for reason in range(256))
