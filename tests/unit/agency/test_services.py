"""``card-agency service``: what is pushed is signed, kept, granted; what is wrong is named and nothing is pushed."""

import json
from pathlib import Path

import pytest

from agency.commands import publishing
from agency.desk.documents import _sign, services_in_force
from agency.store.database import Database
from agency.store.documents import list_documents
from appliance.events.document import Document
from appliance.events.sign import KeySet, Signer
from appliance.services.catalogue import Catalogue
from appliance.services.loading import shipped
from tests.unit.agency.fleet import Desk, Station
from tests.unit.services.test_catalogue import ATTENDANCE, changed


def file(folder: Path, content: bytes, name: str = "x.toml") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def documents(desk: Desk) -> list[str]:
    with Database.open(desk.home.database) as database, database.read() as connection:
        return [document.jws for document in list_documents(connection) if document.kind == "services"]


def test_a_pushed_service_comes_with_the_grant(desk: Desk, tmp_path: Path) -> None:
    ran = desk.run("service", "push", file(tmp_path, changed(9).text))
    assert (ran.code, "with its grant" in ran.err) == (0, True)
    (jws,) = desk.enrol(Station("bkk-001"), tmp_path)["documents"]
    document = Document.open(jws, KeySet(desk.home.public_keys()), "services", "bkk-001")
    found = Catalogue.of_software().with_document(document.body)
    assert found.profiles["school.attendance"].version == 9


def test_a_second_push_keeps_what_the_first_brought(desk: Desk, tmp_path: Path) -> None:
    other = next(one for one in shipped() if one.id == "rd.tax_payment")
    desk.run("service", "push", file(tmp_path, changed(9).text))
    assert desk.run("service", "push", file(tmp_path, changed(5, profile=other).text)).code == 0
    listed = {line["service"]: line for line in json.loads(desk.run("service", "list", "--json").out)}
    assert (listed["school.attendance"]["version"], listed["rd.tax_payment"]["version"]) == (9, 5)
    assert [listed[one]["from"] for one in ("school.attendance", "rd.tax_payment", "sso.register")] == [
        "pushed", "pushed", "shipped",
    ]  # fmt: skip
    assert len(listed) == len(shipped())


def test_a_profile_that_goes_back_or_changed_in_silence_is_not_pushed(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("service", "push", file(tmp_path, changed(9).text)).code == 0
    for profile in (changed(8), changed(9, "180", "60"), changed(1)):
        ran = desk.run("service", "push", file(tmp_path, profile.text))
        assert (ran.code, ran.out) == (1, "")
        assert "nothing pushed: school.attendance" in ran.err
    assert len(documents(desk)) == 1


def test_every_problem_of_every_file_is_said(desk: Desk, tmp_path: Path) -> None:
    one = file(tmp_path, ATTENDANCE.text.replace(b"version = 2", b"version = 0"), "one.toml")
    two = file(tmp_path, b"\xff", "two.toml")
    ran = desk.run("service", "push", one, two)
    assert ran.code == 1
    assert "one.toml:5: version: 0 is out of range" in ran.err
    assert "two.toml:1: not UTF-8 text" in ran.err
    assert documents(desk) == []


def test_what_cannot_be_pushed(desk: Desk, tmp_path: Path) -> None:
    good = file(tmp_path, changed(9).text)
    assert desk.run("service", "push", tmp_path / "none.toml").code == 2
    assert desk.run("service", "push", tmp_path).code == 2
    assert desk.run("service", "push", good, "--station", "bkk-404").code == 2
    ran = desk.run("service", "push", good, good)
    assert (ran.code, "two files are of the service school.attendance" in ran.err) == (1, True)
    assert documents(desk) == []


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed is kept, whether or not a broker is there to send it."""
    monkeypatch.setattr(publishing, "_CONNECT_S", 0.1)


def held_by(desk: Desk, station: str) -> dict[str, int]:
    """Return the pushed services of a station, as it would get them with a grant."""
    with Database.open(desk.home.database) as database, database.read() as connection:
        return {id_: profile.version for id_, profile in services_in_force(connection, station).items()}


@pytest.mark.usefixtures("no_broker")
def test_a_push_to_all_takes_nothing_from_stations_that_got_something_of_their_own(desk: Desk, tmp_path: Path) -> None:
    shipped_as = {one.id: one for one in shipped()}
    for station in ("s1", "s2", "s3"):
        desk.enrol(Station(station), tmp_path)
    pushes = [("school.attendance", 9, ("s1",)), ("sso.register", 8, ("s2",)), ("rd.tax_payment", 7, ())]
    for id_, version, stations in pushes:
        content = changed(version, profile=shipped_as[id_]).text
        named = [word for station in stations for word in ("--station", station)]
        desk.run("service", "push", file(tmp_path, content), *named)
    everywhere = {"rd.tax_payment": 7}
    assert held_by(desk, "s1") == {"school.attendance": 9, **everywhere}
    assert held_by(desk, "s2") == {"sso.register": 8, **everywhere}
    assert held_by(desk, "s3") == held_by(desk, "a station that comes next") == everywhere


@pytest.mark.usefixtures("no_broker")
def test_a_push_to_some_that_are_unlike_keeps_them_so(desk: Desk, tmp_path: Path) -> None:
    for station in ("s1", "s2"):
        desk.enrol(Station(station), tmp_path)
    desk.run("service", "push", file(tmp_path, changed(9).text), "--station", "s1")
    other = next(one for one in shipped() if one.id == "rd.tax_payment")
    desk.run("service", "push", file(tmp_path, changed(5, profile=other).text), "--station", "s1", "--station", "s2")
    assert held_by(desk, "s1") == {"school.attendance": 9, "rd.tax_payment": 5}
    assert held_by(desk, "s2") == {"rd.tax_payment": 5}
    assert held_by(desk, "*") == {}


def test_a_profile_that_was_signed_when_more_was_allowed_stops_no_command(desk: Desk, tmp_path: Path) -> None:
    signer = Signer(desk.home.key("document"))
    lax = changed(9).text.decode().replace("[retention]", "[vouch]\nper_officer_day = 3\n\n[retention]")
    body = {"profiles": [lax, changed(8).text.decode().replace("school.attendance", "library.visit")]}
    with Database.open(desk.home.database) as database, database.write() as connection:
        _sign(connection, "services", body, ("*",), 30, signer)
    assert held_by(desk, "*") == {"library.visit": 8}
    assert desk.run("audit").code == 0
    assert desk.run("service", "list").code == 0
    assert desk.run("service", "push", file(tmp_path, changed(10).text)).code == 0
    assert held_by(desk, "*") == {"library.visit": 8, "school.attendance": 10}
