"""Every service from the insertion to the agency's row: what the real flow signs is what the real ingest takes."""

from pathlib import Path

import pytest

from agency.ingest.batch import Bundle, take
from agency.ingest.verification import Rules
from agency.reports.audit import audit
from agency.reports.contents import Contents
from agency.store.chains import Event
from agency.store.database import Database
from agency.store.events import Selection, select_events
from agency.store.stations import EventKey, put_station
from appliance.events.seal import public_sealing_key
from appliance.panel.screens import Button, State
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.actor import play
from tests.flow.stage import SERVICES, Stage, signed_roster
from tests.flow.test_officers import officer, reasons
from tests.flow.test_services import STRANGER_BODY, WALKS, Walk


def arrived(stage: Stage, folder: Path) -> list[Event]:
    """Send everything that the station signed to an agency, audit that, and return its rows."""
    public = [public_sealing_key(stage.duty, "duty"), public_sealing_key(stage.escrow, "escrow")]
    keys = {
        jwk["kid"]: {**secret, "kid": jwk["kid"]}
        for jwk, secret in zip(public, (stage.duty, stage.escrow), strict=True)
    }
    rules = Rules.of("obec", public)
    event_key = EventKey(stage.signer.kid, "bkk-001", stage.signer.public("event"), "2026-11-01T00:00:00+00:00", None)
    lines = "\n".join(row.jws for row in stage.rows()).encode()
    with Database.create(folder / "agency.sqlite3", {"agency": "obec"}) as database:
        with database.write() as connection:
            put_station(connection, event_key)
        tally = take(database, rules, [Bundle("bkk-001", lines)])
        assert tally.outcomes == {("bkk-001", "new"): len(stage.rows())}
        with database.read() as connection:
            found = audit(connection, public, Contents(rules, keys), lambda done: None)
            assert (found.problems, found.counts["seals_not_opened"]) == ([], 0)
            return select_events(connection, Selection())


CASES = [
    (walk, outcome)
    for walk in WALKS
    for outcome in (("normal", "not_normal", "unavailable", None) if SERVICES[walk.service].online else (None,))
]


@pytest.mark.parametrize(("walk", "outcome"), CASES, ids=[f"{walk.service}-{outcome}" for walk, outcome in CASES])
def test_a_service_reaches_the_agency_s_row(tmp_path: Path, walk: Walk, outcome: str | None) -> None:
    profile = SERVICES[walk.service]
    stage = Stage(tmp_path, profile=profile, denylist=signed_roster(body=STRANGER_BODY, kind="denylist"))
    if profile.online is not None:
        stage.connect(outcome)
        stage.profile = SERVICES[walk.service] if outcome is not None else stage.profile
    if walk.is_approved:
        play(stage, ThaiCard(person(51)))
    play(stage, ThaiCard(walk.person), walk.deeds)
    row = arrived(stage, tmp_path)[-1]
    data = stage.events()[-1]["data"]
    assert (row.type, row.verdict, row.level) == (profile.event_type, data["verdict"], data["level"])
    if profile.online is not None and "online" in profile.checks.required:
        wanted = {"normal": "accepted", "not_normal": "refused", "unavailable": "could_not_check", None: None}[outcome]
        assert wanted in (None, row.verdict)
        assert (row.level == "L3") is (outcome == "normal")


def test_a_vouch_reaches_the_agency_s_row(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["school.enrol"])
    assert play(stage, officer(), reasons(Button.A)).state is State.VOUCHED
    assert [row.type for row in arrived(stage, tmp_path)] == ["officer.signed_on.v1", "common.vouch.v1"]
