"""What comes down is verified before it is used; the status says nothing of a citizen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.events.document import Document
from appliance.events.receipt import Receipt
from appliance.events.roster import roster_body
from appliance.events.schema import STATUS
from appliance.events.sign import KeySet, Signer
from appliance.link import status as link_status
from appliance.link.inbox import Inbox
from appliance.outbox.delivery import Delivery
from appliance.services.catalogue import services_body
from appliance.services.profile import Profile
from tests.unit.outbox.test_store import Station
from tests.unit.services.test_catalogue import changed

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PREFIX = "cs/1/obec/bkk-001/"
BODY = roster_body("school-1", "2026-11-22", ["a member"])


class Desk:
    def __init__(self, folder: Path) -> None:
        self.station = Station(folder)
        for _ in range(3):
            self.station.append()
        self.delivery = Delivery.open(self.station.path)
        self.receipts, self.documents = Signer.generate(), Signer.generate()
        keys = KeySet([self.receipts.public("receipt"), self.documents.public("document")])
        self.inbox = Inbox(PREFIX, "bkk-001", keys, self.delivery)

    def receipt(self, through: int = 2, station: str = "bkk-001") -> Receipt:
        row = self.station.outbox.row(through)
        assert row is not None
        return Receipt(station, 1, row.chain, through, row.hash, NOW.isoformat())

    def roster(self, version: int = 1, audience: str = "bkk-001") -> Document:
        return Document("roster", version, NOW, NOW + timedelta(days=1), (audience,), BODY)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_genuine_receipt_moves_the_queue(desk: Desk) -> None:
    assert desk.inbox.take_receipt(desk.receipt().sign(desk.receipts).encode(), NOW)
    assert desk.delivery.standing().through == 2
    assert desk.delivery.last_receipt() == (NOW.isoformat(timespec="seconds"), 2)


@pytest.mark.parametrize("forged", ["by the wrong key", "for another station", "garbage", "bytes"])
def test_a_forged_receipt_moves_nothing(desk: Desk, forged: str) -> None:
    payload = {
        "by the wrong key": desk.receipt().sign(desk.documents).encode(),
        "for another station": desk.receipt(station="bkk-002").sign(desk.receipts).encode(),
        "garbage": b"a.b.c",
        "bytes": b"\xff" * 100,
    }[forged]
    assert desk.inbox.take_receipt(payload, NOW) is None
    assert desk.delivery.standing().through == 0
    assert desk.inbox.alarms == {"bad_receipt"}


def test_a_genuine_roster_is_kept(desk: Desk) -> None:
    jws = desk.roster().sign(desk.documents)
    assert desk.inbox.take_document(f"{PREFIX}document/roster", jws.encode())
    assert desk.station.outbox.document("roster") == jws


def services(desk: Desk, version: int, *profiles: Profile) -> bytes:
    document = Document("services", version, NOW, NOW + timedelta(days=1), ("*",), services_body(profiles))
    return document.sign(desk.documents).encode()


def test_genuine_services_are_kept_and_never_go_back(desk: Desk) -> None:
    topic, newer = f"{PREFIX}document/services", services(desk, 1, changed(9))
    assert desk.inbox.take_document(topic, newer)
    assert not desk.inbox.take_document(topic, services(desk, 2, changed(8)))
    assert not desk.inbox.take_document(topic, services(desk, 3, changed(9, "180", "60")))
    assert desk.inbox.alarms == {"bad_document"}
    assert desk.station.outbox.document("services") == newer.decode()
    assert desk.inbox.take_document(topic, services(desk, 4, changed(10)))


@pytest.mark.parametrize(
    "body", [{}, {"profiles": []}, {"profiles": ["a = ["]}, {"profiles": [5]}, {"profiles": ["x" * 20_000]}]
)
def test_services_that_are_none_are_refused(desk: Desk, body: dict[str, Any]) -> None:
    document = Document("services", 1, NOW, NOW + timedelta(days=1), ("*",), body)
    assert not desk.inbox.take_document(f"{PREFIX}document/services", document.sign(desk.documents).encode())
    assert desk.inbox.alarms == {"bad_document"}
    assert desk.station.outbox.document("services") is None


def test_an_older_roster_is_not(desk: Desk) -> None:
    assert desk.inbox.take_document(f"{PREFIX}document/roster", desk.roster(5).sign(desk.documents).encode())
    assert not desk.inbox.take_document(f"{PREFIX}document/roster", desk.roster(4).sign(desk.documents).encode())
    assert desk.inbox.alarms == set()


@pytest.mark.parametrize(
    ("topic", "audience", "signer"),
    [
        ("document/roster", "bkk-002", "documents"),
        ("document/roster", "bkk-001", "receipts"),
        ("document/denylist", "bkk-001", "documents"),
        ("document/horoscope", "bkk-001", "documents"),
    ],
)
def test_a_document_that_does_not_hold_is_refused(desk: Desk, topic: str, audience: str, signer: str) -> None:
    payload = desk.roster(audience=audience).sign(getattr(desk, signer)).encode()
    assert not desk.inbox.take_document(PREFIX + topic, payload)
    assert desk.inbox.alarms == {"bad_document"}
    assert desk.station.outbox.document("roster") is None


@pytest.mark.parametrize("kind", ["roster", "denylist"])
def test_a_signed_document_that_is_no_list_of_people_is_refused(desk: Desk, kind: str) -> None:
    good = Document(kind, 1, NOW, NOW, ("*",), BODY)
    wrong = Document(kind, 2, NOW, NOW, ("*",), {**BODY, "kdf": {**BODY["kdf"], "n": 2}})
    assert desk.inbox.take_document(f"{PREFIX}document/{kind}", good.sign(desk.documents).encode())
    assert not desk.inbox.take_document(f"{PREFIX}document/{kind}", wrong.sign(desk.documents).encode())
    assert desk.inbox.alarms == {"bad_document"}
    assert desk.delivery.document(kind) == good.sign(desk.documents)


def test_a_document_that_is_no_text_is_refused(desk: Desk) -> None:
    assert not desk.inbox.take_document(f"{PREFIX}document/roster", b"\xff" * 100)
    assert desk.inbox.alarms == {"bad_document"}


def test_services_that_the_station_does_not_use_any_more_stand_in_no_way(desk: Desk) -> None:
    desk.delivery.take_document("services", 1, "a.b.c")
    assert desk.inbox.take_document(f"{PREFIX}document/services", services(desk, 2, changed(9)))
    assert desk.inbox.alarms == set()


def said(desk: Desk, monotonic_s: float = 10.0, alarms: set[str] | None = None) -> dict[str, object]:
    return link_status.status(desk.delivery, 7, NOW, monotonic_s, alarms or set())


def test_status_of_a_working_station(desk: Desk) -> None:
    desk.station.outbox.say(
        {"state": "ready", "since": "2026-11-23T07:00:00+07:00", "reader": "ok", "monotonic_s": 5.0}
    )
    status = said(desk)
    assert (status["state"], status["boot"], status["reader"]) == ("ready", 7, "ok")
    assert status["backlog"] == {"count": 3, "oldest_s": 25200}
    assert status["alarms"] == []


def test_a_silent_station_is_degraded(desk: Desk) -> None:
    desk.station.outbox.say({"state": "ready", "since": "x", "monotonic_s": 5.0})
    assert said(desk, monotonic_s=500.0)["alarms"] == ["station_silent"]
    assert said(desk, monotonic_s=500.0)["state"] == "degraded"


def test_a_station_that_never_spoke_is_degraded(desk: Desk) -> None:
    assert said(desk)["state"] == "degraded"


def test_a_frozen_queue_is_said(desk: Desk) -> None:
    row = desk.station.outbox.row(2)
    assert row is not None
    forged = Receipt("bkk-001", 1, row.chain, 2, "x" * 43, NOW.isoformat())
    desk.inbox.take_receipt(forged.sign(desk.receipts).encode(), NOW)
    assert "queue_frozen" in said(desk)["alarms"]  # type: ignore[operator]


def test_the_will_has_the_same_boot_and_the_same_schema() -> None:
    from appliance.events import strict_json

    will = strict_json.decode_object(link_status.will(7, NOW))
    STATUS.check(will)
    assert (will["state"], will["boot"]) == ("lost", 7)
