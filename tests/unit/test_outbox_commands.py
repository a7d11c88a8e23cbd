"""``outbox`` and ``status`` on a database with erased rows, with salvaged ones, and with a damaged one beside."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance import cli, papers
from appliance.events.chain import Position, jws_hash
from appliance.events.cloud_event import Origin
from appliance.events.receipt import Receipt
from appliance.events.sign import Signer
from appliance.events.writer import EventWriter
from appliance.hardware.clock import SystemClock
from appliance.outbox.delivery import Delivery
from appliance.outbox.reserve import Reserve
from appliance.outbox.store import DATABASE_NAME, Outbox
from tests.unit.test_cli import home, outbox  # noqa: F401 - the fixtures

OLD = "01M83BXH2R7R0A5EVXPK4651AQ"


class Desk:
    """A station with five events, of which three are erased, and two events of an earlier chain."""

    def __init__(self, store: Outbox, state: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.state, self._capture = state, capture
        self.path = state / DATABASE_NAME
        signer, at = papers.event_signer(state), SystemClock().now()
        writer = EventWriter(Origin("obec", "bkk-001", "1.0.0"), signer, ())

        def build(place: Position) -> str:
            return writer.station(place, "station.enrolled.v1", at.time, {"clock": at.as_data(), "key": signer.kid})

        for _ in range(5):
            store.append(build)
        agency = Signer.generate()
        (state / papers.AGENCY_KEYS).write_text(json.dumps({"keys": [agency.public("receipt")]}))
        row = store.row(3)
        assert row is not None
        receipt = Receipt("bkk-001", 1, row.chain, 3, row.hash, at.time.isoformat())
        with closing(Delivery.open(self.path)) as delivery:
            delivery.take_receipt(receipt, receipt.sign(agency), at.time.isoformat())
        assert store.sweep(at.time + timedelta(days=8), 7, 30) == 3
        self.old = [build(Position(OLD, number, "p" * 43)) for number in (2, 7)]
        for number, jws in zip((2, 7), self.old, strict=True):
            self.sql("INSERT INTO salvaged VALUES (?, ?, ?, ?)", OLD, number, jws_hash(jws), jws)
        capture.readouterr()

    def sql(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute(statement, values)

    def run(self, *words: str, code: int = 0) -> str:
        assert cli.main([*words]) == code
        return self._capture.readouterr().out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))


@pytest.fixture
def desk(outbox: Outbox, home: Path, capsys: pytest.CaptureFixture[str]) -> Desk:  # noqa: F811
    return Desk(outbox, home / "state", capsys)


def test_the_list_tells_each_kind(desk: Desk) -> None:
    lines = desk.run("outbox", "list").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "7", "1", "2", "3", "4", "5"]
    assert "salvaged" in lines[0]
    assert lines[0].endswith(f"of chain {OLD}")
    assert "erased after its receipt" in lines[2]
    assert "waiting" in lines[6]
    rows = desk.json("outbox", "list")
    assert [row["salvaged"] for row in rows] == [True] * 2 + [False] * 5
    assert [row["erased"] for row in rows] == [False] * 2 + [True] * 3 + [False] * 2
    assert rows[2]["type"] is None


def test_an_erased_event_is_shown_by_its_receipt(desk: Desk) -> None:
    shown = desk.json("outbox", "show", "2")
    assert (shown["event"], shown["jws"], shown["erased"], shown["covered"]) == (None, None, True, True)
    assert shown["receipt"]["through"] == 3
    assert shown["receipt_jws"].count(".") == 2
    assert '"through": 3' in desk.run("outbox", "show", "2")


def test_a_salvaged_event_is_shown_by_its_number_or_its_chain(desk: Desk) -> None:
    assert desk.json("outbox", "show", "7")["jws"] == desk.old[1]
    assert desk.json("outbox", "show", "2", "--chain", OLD)["jws"] == desk.old[0]
    desk.run("outbox", "show", "3", "--chain", OLD, code=2)
    desk.run("outbox", "show", "9", code=2)


def test_everything_that_is_still_here_is_exported(desk: Desk) -> None:
    lines = desk.run("outbox", "export").splitlines()
    assert lines[:2] == desk.old
    assert len(lines) == 4


def test_verify_counts_each_kind(desk: Desk) -> None:
    assert desk.json("outbox", "verify") == {"events": 5, "erased": 3, "salvaged": 2, "problems": []}
    assert desk.run("outbox", "verify") == (
        "5 events, chain unbroken; 3 of them erased after their receipts;"
        " 2 events saved of an earlier chain wait for their receipts\n"
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE salvaged SET jws = replace(jws, '.', '.A') WHERE sequence = 7", f"event 7 of chain {OLD}: "),
        ("UPDATE salvaged SET hash = 'x' WHERE sequence = 2", f"event 2 of chain {OLD}: its stored hash"),
        ("UPDATE salvaged SET sequence = 8 WHERE sequence = 7", f"event 8 of chain {OLD}: its sequence"),
        ("UPDATE event SET hash = 'x' WHERE sequence = 3", "event 3: the agency's receipt names another hash"),
        ("DELETE FROM receipt", "event 1: it was erased, and no receipt covers it"),
    ],
)
def test_verify_names_what_was_changed(desk: Desk, statement: str, said: str) -> None:
    desk.sql(statement)
    assert any(line.startswith(said) for line in desk.run("outbox", "verify", code=1).splitlines())


def test_a_receipt_of_another_agency_proves_nothing(desk: Desk) -> None:
    keys = {"keys": [Signer.generate().public("receipt")]}
    (desk.state / papers.AGENCY_KEYS).write_text(json.dumps(keys))
    assert "a stored receipt does not hold" in desk.run("outbox", "verify", code=1)


def test_status_counts_what_was_saved_and_names_what_was_set_aside(desk: Desk) -> None:
    status = desk.json("status")
    assert status["backlog"]["count"] == 4
    assert status["storage"] == {"reserve": "none", "salvaged": 2, "damaged": []}
    Reserve(desk.state).keep()
    desk.sql("INSERT INTO damage VALUES ('20261123T080000', '2026-11-23T08:00:00+07:00', ?)", OLD)
    status = desk.json("status")
    assert status["storage"] == {"reserve": "whole", "salvaged": 2, "damaged": ["20261123T080000"]}


def test_what_was_set_aside_goes_when_its_time_is_over_and_all_of_it_is_with_the_agency(desk: Desk) -> None:
    folder = desk.state / "damaged" / "one"
    folder.mkdir(parents=True)
    (folder / DATABASE_NAME).write_bytes(b"sealed")
    at = SystemClock().now().time
    desk.sql("INSERT INTO damage VALUES ('one', ?, ?)", at.isoformat(), OLD)
    with closing(Outbox.open(desk.path)) as store:
        store.forget_damage(at + timedelta(days=31), 30)
        assert folder.exists(), "what was saved of it has not left"
        desk.sql("DELETE FROM salvaged")
        store.forget_damage(at + timedelta(days=29), 30)
        assert folder.exists()
        store.forget_damage(at + timedelta(days=31), 30)
        assert not folder.exists()
        assert store.status()["storage"]["damaged"] == []


def test_what_a_person_took_away_is_forgotten(desk: Desk) -> None:
    desk.sql("INSERT INTO damage VALUES ('gone', '2026-11-23T08:00:00+07:00', NULL)")
    with closing(Outbox.open(desk.path)) as store:
        store.forget_damage(SystemClock().now().time, 30)
        assert store.status()["storage"]["damaged"] == []
