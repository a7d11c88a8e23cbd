"""A running station that meets damage, or a word of it, ends: the next start sets the file aside and goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.errors import OutboxDamaged
from appliance.outbox.check import suspect
from appliance.outbox.database import PAGE_BYTES
from appliance.panel.screens import State
from tests.unit.run.test_station import Bench, bench, card  # noqa: F401 - the fixture


def smash(path: Path) -> None:
    """Overwrite everything but the first page, in a way that every process sees at its next look."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(PAGE_BYTES)
        file.write(b"\xff" * (size - PAGE_BYTES))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 1")  # a commit, after which nobody's memory of the pages counts


def test_damage_that_it_meets_itself_ends_it(bench: Bench) -> None:  # noqa: F811
    path = bench.stage.folder / "station.db"
    with pytest.raises(OutboxDamaged):
        bench.run(card(1), lambda: smash(path), card(2))
    assert bench.states.count(State.ACCEPTED) == 1
    assert bench.waited_s == [], "no waiting mends it"


def test_damage_that_the_link_met_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("appliance.run.sweep.FIRST_S", 0.0)
    with pytest.raises(OutboxDamaged, match="the link met damage"):
        bench.run(lambda: suspect(bench.stage.folder).touch(), lambda: None, card(1))
    assert bench.stage.rows() == []
