"""What the station seals to and believes follows the documents that the link took up, from one event to the next."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.events.agency_keys import AgencyKeys
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import KeySet, Signer
from appliance.link.inbox import Inbox
from appliance.outbox.delivery import Delivery
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.run.documents import RosterSource
from appliance.run.live_keys import LiveKeys, LiveRecipients
from tests.unit.events.test_agency_keys import Desk
from tests.unit.run.test_wiring import roster_document

PREFIX = "cs/1/obec/bkk-001/"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    store = Outbox.open(tmp_path / DATABASE_NAME, create=True)
    yield store
    store.close()


@pytest.fixture
def delivery(outbox: Outbox, tmp_path: Path) -> Iterator[Delivery]:
    opened = Delivery.open(tmp_path / DATABASE_NAME)
    yield opened
    opened.close()


def rotate_duty(desk: Desk) -> None:
    desk.sealing["duty"] = public_sealing_key(generate_sealing_key(), "duty")
    desk.publish()


def test_the_next_event_is_sealed_to_the_new_keys(desk: Desk, outbox: Outbox, delivery: Delivery) -> None:
    enrolled = desk.jwks()
    inbox = Inbox(PREFIX, "bkk-001", KeySet(enrolled), delivery)
    recipients = LiveRecipients(LiveKeys(outbox, enrolled, "bkk-001"))
    assert list(recipients) == list(desk.sealing.values())
    for version in (1, 2):
        rotate_duty(desk)
        assert inbox.take_document(f"{PREFIX}document/keys", desk.message.encode())
        assert (len(recipients), recipients[0]["kid"]) == (2, desk.sealing["duty"]["kid"])
        assert delivery.document("keys") == desk.message
        assert len(desk.steps) == version
    assert recipients[0:1] == (desk.sealing["duty"],)


def test_the_link_takes_keys_once_and_knows_them_again_after_a_restart(desk: Desk, delivery: Delivery) -> None:
    enrolled = KeySet(desk.jwks())
    inbox = Inbox(PREFIX, "bkk-001", enrolled, delivery)
    for _ in range(3):
        desk.rotate_document_key()
    assert inbox.take_document(f"{PREFIX}document/keys", desk.message.encode())
    assert not inbox.take_document(f"{PREFIX}document/keys", desk.message.encode())
    again = Inbox(PREFIX, "bkk-001", enrolled, delivery)
    roster = roster_document(desk.signers["document"][0], 1).encode()
    assert again.take_document(f"{PREFIX}document/roster", roster)
    assert not again.alarms


@pytest.mark.parametrize("forged", ["stranger", "garbage", "no text", "last step alone"])
def test_forged_keys_change_nothing_and_raise_the_alarm(desk: Desk, delivery: Delivery, forged: str) -> None:
    inbox = Inbox(PREFIX, "bkk-001", KeySet(desk.jwks()), delivery)
    desk.publish(Signer.generate() if forged == "stranger" else None)
    desk.rotate_document_key()
    payload = {
        "stranger": desk.steps[0].encode(),
        "garbage": b"a.b.c",
        "no text": b"\xff\xfe",
        "last step alone": desk.steps[-1].encode(),
    }[forged]
    assert not inbox.take_document(f"{PREFIX}document/keys", payload)
    assert inbox.alarms == {"bad_document"}
    assert delivery.document("keys") is None


def test_a_stored_document_that_does_not_hold_leaves_the_keys_of_before(
    desk: Desk, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveKeys(outbox, desk.jwks(), "bkk-001")
    rotate_duty(desk)
    outbox.take_document("keys", 1, desk.message)
    first = live.now()
    outbox.take_document("keys", 2, "a.b.c")
    with caplog.at_level(logging.ERROR):
        assert [live.now() for _ in range(5)] == [first] * 5
    assert [record.levelno for record in caplog.records if record.levelno >= logging.ERROR] == [logging.ERROR]
    assert isinstance(first, AgencyKeys)


def test_a_roster_of_a_retired_document_key_is_given_up(desk: Desk, outbox: Outbox) -> None:
    live = LiveKeys(outbox, desk.jwks(), "bkk-001")
    roster = RosterSource(outbox, lambda: live.now().signatures, "bkk-001")
    outbox.take_document("roster", 1, roster_document(desk.signers["document"][0], 1))
    assert roster() is not None
    desk.rotate_document_key()
    outbox.take_document("keys", 2, desk.message)
    assert roster() is None
    outbox.take_document("roster", 2, roster_document(desk.signers["document"][0], 2))
    assert roster() is not None
