"""The deny-list at the desk: signed digests that come with the grant; nobody's number is kept or said."""

from pathlib import Path

import pytest

from agency.store.database import Database
from agency.store.documents import list_documents
from appliance.events.document import Document
from appliance.events.roster import Roster
from appliance.events.sign import KeySet
from tests.unit.agency.fleet import Desk, Pupil, Station, citizen_number, roster_csv, traces

STOPPED = [Pupil.make(number) for number in range(60, 63)]


def write(folder: Path, text: str) -> Path:
    path = folder / "stopped.csv"
    path.write_text(text, "utf-8")
    return path


def documents(desk: Desk) -> list[int]:
    with Database.open(desk.home.database) as database, database.read() as connection:
        return [one.version for one in list_documents(connection) if one.kind == "denylist"]


def test_a_list_comes_with_the_grant_and_knows_its_people(desk: Desk, tmp_path: Path) -> None:
    ran = desk.run("denylist", "import", write(tmp_path, roster_csv(STOPPED)), "--set", "stopped")
    assert (ran.code, "with its grant" in ran.err) == (0, True)
    (jws,) = desk.enrol(Station("bkk-001"), tmp_path)["documents"]
    found = Roster.from_document(Document.open(jws, KeySet(desk.home.public_keys()), "denylist", "bkk-001"))
    assert found.source == "denylist:1"
    assert all(found.contains(found.kdf.digest(one.citizen_id)) for one in STOPPED)
    assert not found.contains(found.kdf.digest(citizen_number(99)))


def test_nobody_is_betrayed_by_the_store(desk: Desk, tmp_path: Path) -> None:
    ran = desk.run("denylist", "import", write(tmp_path, roster_csv(STOPPED)), "--set", "stopped")
    for file in desk.home.path.glob("agency.sqlite3*"):
        content = file.read_bytes() + ran.out.encode() + ran.err.encode()
        assert not any(trace in content for one in STOPPED for trace in traces(one.citizen_id) + traces(one.name))


def test_an_empty_list_stops_nobody(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("denylist", "import", write(tmp_path, roster_csv([])), "--set", "stopped").code == 0
    assert documents(desk) == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("citizen_id,name\n", "no column member"),
        ("citizen_id,member,name\n123,P1,name\n", "line 2: the citizen number is not 13 digits"),
        ("citizen_id,member,name\n,P1,name\n", "a line has no citizen number"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_signed(desk: Desk, tmp_path: Path, text: str, said: str) -> None:
    ran = desk.run("denylist", "import", write(tmp_path, text), "--set", "stopped")
    assert (ran.code, said in ran.err) == (1, True)
    assert documents(desk) == []


def test_wrong_use(desk: Desk, tmp_path: Path) -> None:
    assert "denylist import" in desk.run("denylist", "push").err
    good = write(tmp_path, roster_csv(STOPPED))
    for wrong in (["--set", "No!"], ["--set", "stopped", "--station", "bkk-404"], ["--set", "s", "--as-of", "x"]):
        assert desk.run("denylist", "import", good, *wrong).code == 2
    assert desk.run("denylist", "import", tmp_path / "none.csv", "--set", "s").code == 2
    assert documents(desk) == []
