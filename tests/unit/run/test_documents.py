"""Which service is in force: the shipped one, or what the agency signed; and that a change is an event."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import ConfigError
from appliance.events.document import Document
from appliance.events.sign import KeySet, Signer
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import AGENCY_KEYS
from appliance.run.documents import SERVICE_CHANGED, ServiceChanges, ServiceSource, may_read, services_here
from appliance.services.catalogue import Catalogue, services_body
from appliance.services.loading import shipped
from appliance.services.profile import Profile
from tests.flow.stage import ATTENDANCE, Stage
from tests.unit.services.test_catalogue import changed
from tests.unit.small_agency import Agency

NEWER = changed(9, "duplicate_window_s = 180", "duplicate_window_s = 60")


@dataclass
class Desk:
    """A station's database, and the agency that signs documents for it."""

    stage: Stage
    signer: Signer = field(default_factory=Signer.generate)
    version: int = 0

    def source(self, service: str = "school.attendance") -> ServiceSource:
        keys = KeySet([self.signer.public("document")])
        return ServiceSource(service, self.stage.outbox, lambda: keys, "bkk-001")

    def send(self, *profiles: Profile, signer: Signer | None = None, audience: str = "*") -> None:
        self.version += 1
        now = datetime.now(UTC)
        document = Document(
            "services", self.version, now, now + timedelta(days=30), (audience,), services_body(profiles)
        )
        self.stage.outbox.take_document("services", self.version, document.sign(signer or self.signer))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    stage = Stage(tmp_path)
    yield Desk(stage)
    stage.outbox.close()


def test_each_service_says_how_long_its_events_stay(desk: Desk) -> None:
    days = desk.source().retention()
    assert (days["school.attendance.v1"], days["moph.visit_open.v1"]) == (7, 1)
    assert set(days) == {profile.event_type for profile in shipped()}


def test_without_a_document_the_shipped_profile_serves(desk: Desk) -> None:
    source = desk.source()
    assert source.active == ATTENDANCE
    assert not source.look()
    assert not source.is_outdated()


def test_a_document_is_taken_up_at_the_next_look(desk: Desk) -> None:
    source = desk.source()
    desk.send(NEWER)
    assert source.is_outdated()
    assert source.active == ATTENDANCE
    assert source.look()
    assert source.active == NEWER
    assert not source.is_outdated()
    assert not source.look()


def test_a_document_about_other_services_changes_nothing(desk: Desk) -> None:
    source = desk.source()
    desk.send(next(one for one in shipped() if one.id == "rd.tax_payment"))
    assert source.is_outdated()
    assert not source.look()
    assert source.active == ATTENDANCE


@pytest.mark.parametrize("how", ["another agency", "another station"])
def test_what_is_not_ours_is_not_used(desk: Desk, how: str, caplog: pytest.LogCaptureFixture) -> None:
    desk.send(NEWER, **({"signer": Signer.generate()} if how == "another agency" else {"audience": "bkk-002"}))
    with caplog.at_level(logging.ERROR):
        assert desk.source().active == ATTENDANCE
    assert "the stored services are not used" in caplog.text


def test_a_service_that_only_the_agency_knows_can_serve(desk: Desk) -> None:
    from appliance.services.loading import parse

    desk.send(parse(ATTENDANCE.text.replace(b"school.attendance", b"library.visit"), "x.toml"))
    assert desk.source("library.visit").active.id == "library.visit"
    with pytest.raises(ConfigError, match=r"no service 'library.visits'; there is"):
        desk.source("library.visits")


def test_a_document_without_the_active_service_does_not_stop_the_station(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    from appliance.services.loading import parse

    own = parse(ATTENDANCE.text.replace(b"school.attendance", b"library.visit"), "x.toml")
    desk.send(own)
    source = desk.source("library.visit")
    desk.send(NEWER)
    with caplog.at_level(logging.ERROR):
        assert not source.look()
    assert source.active == own
    assert "serving library.visit as before" in caplog.text
    assert not source.is_outdated()


def events(desk: Desk) -> list[dict[str, Any]]:
    return [event for event in desk.stage.events() if event["type"] == SERVICE_CHANGED]


def changes(desk: Desk) -> ServiceChanges:
    world = desk.stage.world()
    return ServiceChanges(desk.stage.outbox, world.writer, world.clock)


def say(desk: Desk, profile: Profile) -> None:
    service = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
    desk.stage.outbox.say({"state": "ready", "service": service})


def test_a_first_start_is_no_change(desk: Desk) -> None:
    changes(desk).note(ATTENDANCE)
    assert events(desk) == []


def test_a_change_is_one_event_also_over_a_restart(desk: Desk) -> None:
    say(desk, ATTENDANCE)
    station = changes(desk)
    station.note(ATTENDANCE)
    station.note(NEWER)
    station.note(NEWER)
    say(desk, NEWER)
    changes(desk).note(NEWER)
    (event,) = events(desk)
    assert event["data"]["service"] == {"id": "school.attendance", "version": 9, "sha256": NEWER.sha256}
    say(desk, ATTENDANCE)
    changes(desk).note(NEWER)
    assert len(events(desk)) == 2


def test_the_worker_may_read_what_either_card_of_a_service_is_asked_for() -> None:
    enrol = next(one for one in shipped() if one.id == "school.enrol")
    assert may_read(enrol) == [Field.CITIZEN_ID, Field.BIRTH_DATE, Field.ISSUE_DATE, Field.EXPIRY_DATE]
    assert may_read(ATTENDANCE) == [Field.CITIZEN_ID]


def test_what_a_machine_knows_by_its_state_directory(tmp_path: Path) -> None:
    """``service list``, ``config check`` and ``doctor`` count with what the agency signed, and need no database."""
    assert services_here("bkk-001", tmp_path).profiles == Catalogue.of_software().profiles
    agency, folder = Agency(), tmp_path / "state"
    folder.mkdir()
    outbox = Outbox.open(folder / DATABASE_NAME, create=True)
    now = datetime.now(UTC)
    document = Document("services", 1, now, now + timedelta(days=30), ("bkk-001",), services_body([NEWER]))
    outbox.take_document("services", 1, document.sign(agency.signers["document"]))
    outbox.close()
    assert services_here("bkk-001", folder).profiles["school.attendance"] == ATTENDANCE, "no keys to believe it by"
    (folder / AGENCY_KEYS).write_text(json.dumps({"keys": [agency.signers["document"].public("document")]}))
    assert services_here("bkk-001", folder).profiles["school.attendance"] == NEWER
    assert services_here("bkk-002", folder).profiles["school.attendance"] == ATTENDANCE, "it is for another station"
