"""The agency's keys in their lives: next, in use, superseded, retired; and what was sealed and signed with each."""

import json
from pathlib import Path

import pytest

from agency.desk.keys import activate, key_steps, rotate
from agency.ingest.batch import Bundle, take
from agency.ingest.office import office_of
from agency.store.database import Database
from appliance.errors import ConfigError
from appliance.events.agency_keys import AgencyKeys
from appliance.events.document import Document
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Jwk, KeySet, Signer
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import AGENCY, DAY, Desk, Pupil, audited
from tests.unit.agency.test_worker import Bench, event

PURPOSES = ("receipt", "document", "duty", "escrow")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency.commands.publishing._CONNECT_S", 0.2)


def turned(desk: Desk, purpose: str, *, is_pushed: bool = True) -> str:
    """Rotate a key without a broker; return the new kid."""
    with Database.open(desk.home.database) as database, database.write() as connection:
        rotate(desk.home, connection, purpose)
    kid = str(desk.home.key(f"{purpose}.next")["kid"])
    if is_pushed:
        assert purpose in activate(desk.home)
    return kid


def states(desk: Desk, purpose: str) -> list[tuple[str, bool]]:
    lines = desk.run("keys", "list", "--json").json()
    return [(line["state"], line["private"]) for line in lines if line["purpose"] == purpose]


def in_force(desk: Desk, purpose: str) -> list[str]:
    return [key["kid"] for key in desk.home.keys_in_force() if key["purpose"] == purpose]


def test_a_new_agency_has_one_key_of_each_purpose(desk: Desk) -> None:
    assert all(states(desk, purpose) == [("in use", True)] for purpose in PURPOSES)
    assert desk.run("keys", "list").out.splitlines()[0].split() == ["purpose", "kid", "state", "private"]
    pushed = desk.run("keys", "push")
    assert (pushed.code, "no key was rotated yet" in pushed.err) == (0, True)


@pytest.mark.parametrize("purpose", ["receipt", "document"])
def test_a_key_that_signs_is_published_first_and_used_after_the_push(desk: Desk, purpose: str) -> None:
    old = desk.home.key(purpose)["kid"]
    new = turned(desk, purpose, is_pushed=False)
    assert states(desk, purpose) == [("in use", True), ("next", True)]
    assert desk.home.key(purpose)["kid"] == old
    assert in_force(desk, purpose) == [old, new]
    assert activate(desk.home) == [purpose]
    assert desk.home.key(purpose)["kid"] == new
    assert states(desk, purpose) == [("accepted", True), ("in use", True)]
    assert (desk.home.keys / f"{purpose}-{old}.jwk").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("purpose", ["duty", "escrow"])
def test_a_key_that_opens_is_superseded_and_kept(desk: Desk, purpose: str) -> None:
    old = desk.home.key(purpose)["kid"]
    new = turned(desk, purpose)
    assert in_force(desk, purpose) == [new]
    assert states(desk, purpose) == [("superseded", True), ("in use", True)]
    assert set(desk.home.private_keys(purpose)) == {old, new}


def test_each_rotation_is_a_step_that_a_station_follows(desk: Desk) -> None:
    enrolled = AgencyKeys.enrolled(desk.home.public_keys())
    for purpose in (*PURPOSES, "document", "document"):
        turned(desk, purpose)
    with Database.open(desk.home.database) as database, database.read() as connection:
        steps = [step.jws for step in key_steps(connection)]
        problems = audited(connection, desk.home).problems
    keys = enrolled.follow("\n".join(steps), "bkk-001")
    assert (keys.version, problems) == (6, [])
    assert {jwk["kid"] for jwk in keys.sealing} == {*in_force(desk, "duty"), *in_force(desk, "escrow")}
    probe = Document.open(steps[-1], enrolled.follow("\n".join(steps[:-1]), "bkk-001").signatures, "keys", "bkk-001")
    assert probe.version == 6


def test_a_rotation_that_was_cut_short_goes_on_where_it_was(desk: Desk) -> None:
    first = turned(desk, "receipt", is_pushed=False)
    assert turned(desk, "receipt", is_pushed=False) == first
    with Database.open(desk.home.database) as database, database.read() as connection:
        assert len(key_steps(connection)) == 1
    public = [key for key in desk.home.public_keys() if key["kid"] != first]
    (desk.home.public / "agency.jwks").write_text(json.dumps({"keys": public}))  # it died before this was written
    assert turned(desk, "receipt", is_pushed=False) == first
    assert first in in_force(desk, "receipt")


def test_without_a_broker_the_rotation_is_kept_and_pushed_later(office: Office) -> None:
    desk = office.desk
    ran = desk.run("keys", "rotate", "receipt", "--broker", "127.0.0.1:1")
    assert (ran.code, "'card-agency keys push' sends it again" in ran.err) == (7, True)
    assert states(desk, "receipt") == [("in use", True), ("next", True)]


def test_without_stations_there_is_nobody_to_tell(desk: Desk) -> None:
    ran = desk.run("keys", "rotate", "escrow")
    assert ran.code == 0
    assert "the new escrow key is in use" in ran.err
    assert "off this machine" in ran.err


def test_a_retired_key_is_believed_no_more_and_its_private_half_is_gone(desk: Desk) -> None:
    old = desk.home.key("document")["kid"]
    turned(desk, "document")
    ran = desk.run("keys", "retire", "document")
    assert ran.code == 0, ran.err
    assert states(desk, "document") == [("retired", False), ("in use", True)]
    assert old not in in_force(desk, "document")
    with Database.open(desk.home.database) as database, database.read() as connection:
        steps = key_steps(connection)
        assert audited(connection, desk.home).problems == []
    keys = KeySet(desk.home.keys_in_force())
    assert Document.open(steps[-1].jws, keys, "keys", "bkk-001").version == 2


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_key_in_use_is_not_retired(desk: Desk, purpose: str) -> None:
    ran = desk.run("keys", "retire", purpose)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert states(desk, purpose) == [("in use", True)]


@pytest.mark.parametrize("purpose", ["duty", "receipt", "document"])
def test_a_key_that_stations_still_use_is_not_retired(desk: Desk, purpose: str) -> None:
    old = desk.home.key(purpose)["kid"]
    turned(desk, purpose, is_pushed=False)
    ran = desk.run("keys", "retire", purpose)
    assert (ran.code, "keys push" in ran.err) == (2, True)
    assert desk.home.key(purpose)["kid"] == old
    assert old in desk.home.private_keys(purpose)


@pytest.mark.parametrize("purpose", ["query", "answer"])
def test_an_agency_gets_the_keys_of_the_online_question_when_it_wants_them(desk: Desk, purpose: str) -> None:
    assert states(desk, purpose) == []
    new = turned(desk, purpose)
    assert states(desk, purpose) == [("in use", True)]
    keys = AgencyKeys.enrolled(desk.home.keys_in_force())
    assert {jwk["purpose"] for jwk in keys.sealing} == {"duty", "escrow"}
    assert (keys.query or {}).get("kid") == (new if purpose == "query" else None)


def test_an_old_escrow_key_is_never_retired(desk: Desk) -> None:
    turned(desk, "escrow")
    assert "never retired" in desk.run("keys", "retire", "escrow").err
    assert states(desk, "escrow") == [("superseded", True), ("in use", True)]


def test_another_purpose_is_wrong_use(desk: Desk) -> None:
    assert desk.run("keys", "rotate", "everything").code == 2


def seen(bench: Bench, pupil: Pupil) -> bool:
    return f"{pupil.citizen_id[0]}-{pupil.citizen_id[1:5]}" in bench.office.desk.run("attendance", "--date", DAY).out


def sealing(desk: Desk) -> list[Jwk]:
    return [key for key in desk.home.keys_in_force() if key["use"] == "enc"]


def test_seals_to_old_keys_are_taken_and_opened_whoever_was_rotated_meanwhile(office: Office) -> None:
    desk, station = office.desk, office.station
    bench, live = Bench(office), office_of(desk.home, AGENCY)
    pupils = [Pupil.make(number) for number in range(4)]
    lines = [station.started(), station.visit(pupils[0])]
    turned(desk, "duty")
    lines.append(station.visit(pupils[1]))  # away: it seals to the keys that it knows
    station.recipients = sealing(desk)
    lines.append(station.visit(pupils[2]))
    turned(desk, "escrow")
    station.recipients = sealing(desk)
    lines.append(station.visit(pupils[3]))
    office.database.close()
    tally = take(office.database, live().rules, [Bundle(station.id, "\n".join(lines).encode())])
    assert dict(tally.outcomes) == {("bkk-001", "new"): 5}
    assert all(seen(bench, pupil) for pupil in pupils)
    assert desk.run("keys", "retire", "duty", "--broker", "127.0.0.1:1").code == 7
    assert all(seen(bench, pupil) for pupil in pupils)  # the first two by an old escrow key
    for file in desk.home.keys.glob("escrow*.jwk"):
        file.unlink()
    ran = desk.run("attendance", "--date", DAY)
    assert (ran.code, "2 events are left out" in ran.err) == (1, True)


def test_without_any_key_that_opens_it_says_what_to_bring(office: Office) -> None:
    for purpose in ("duty", "escrow"):
        (office.desk.home.keys / f"{purpose}.jwk").unlink()
    ran = office.desk.run("attendance", "--date", DAY)
    assert (ran.code, "no duty or escrow key" in ran.err) == (78, True)


def test_a_seal_for_a_stranger_beside_the_agency_is_quarantined(office: Office) -> None:
    station, rules, agency = office.station, office.rules, office.station.recipients
    stranger = public_sealing_key(generate_sealing_key(), "duty")
    lines = [station.started()]
    for recipients in ([*agency, stranger], [agency[0], agency[0]], [agency[1], stranger], agency):
        station.recipients = recipients
        lines.append(station.visit(Pupil.make(1)))
    tally = take(office.database, rules, [Bundle(station.id, "\n".join(lines).encode())])
    assert dict(tally.outcomes) == {("bkk-001", "new"): 2, ("bkk-001", "quarantined"): 3}


def test_a_running_ingest_notices_new_keys(desk: Desk) -> None:
    live = office_of(desk.home, AGENCY)
    first = live()
    assert live() is first
    turned(desk, "duty", is_pushed=False)
    assert live().rules.duty > first.rules.duty
    assert live().signer.kid == first.signer.kid
    new = turned(desk, "receipt")
    assert live().signer.kid == new
    (desk.home.keys / "receipt.jwk").unlink()
    with pytest.raises(ConfigError):
        live()


def test_a_grant_brings_the_keys_in_force_and_the_newest_step(office: Office, tmp_path: Path) -> None:
    desk = office.desk
    old = {purpose: desk.home.key(purpose)["kid"] for purpose in PURPOSES}
    for purpose in PURPOSES:
        turned(desk, purpose)
    assert desk.run("keys", "retire", "receipt", "--broker", "127.0.0.1:1").code == 7
    grant = desk.enrol(office.station, tmp_path)
    kids = {key["kid"] for key in grant["keys"]["keys"]}
    assert kids & set(old.values()) == {old["document"]}
    assert all("state" not in key for key in grant["keys"]["keys"])
    keys = AgencyKeys.enrolled(grant["keys"]["keys"]).follow(grant["documents"][-1], "bkk-001")
    assert keys.version == 5


def test_an_export_sealed_to_old_keys_verifies(office: Office) -> None:
    office.take(office.station.started(), office.station.visit(Pupil.make(1)))
    for purpose in ("duty", "escrow"):
        turned(office.desk, purpose)
    file = office.folder / "export.jws"
    file.write_text(office.desk.run("events", "export").out)
    assert office.desk.run("verify", file).code == 0


def test_an_old_receipt_key_is_retired_only_when_every_station_has_a_receipt_by_the_new_one(office: Office) -> None:
    desk = office.desk
    Bench(office, Signer(desk.home.key("receipt"))).run(event(office.station.started()))
    turned(desk, "receipt")
    refused = desk.run("keys", "retire", "receipt")
    assert (refused.code, "let 'card-agency ingest' run first" in refused.err) == (2, True)
    assert desk.run("audit").code == 0
    (receipt,) = Bench(office, Signer(desk.home.key("receipt"))).run()  # nobody sent anything
    assert receipt.through == 1
    assert desk.run("keys", "retire", "receipt", "--broker", "127.0.0.1:1").code == 7
    assert states(desk, "receipt") == [("retired", False), ("in use", True)]
    assert desk.run("audit").code == 0
