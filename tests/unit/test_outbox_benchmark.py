"""The benchmark of the outbox: everybody writes the same, and what is written is genuine."""

from pathlib import Path

import pytest

from appliance.outbox.store import Outbox
from benchmarks.outbox import OURS, ROUND_EVENTS, Taken, bare_file, bare_sqlite, measure, report


def test_each_makes_every_event_durable(tmp_path: Path) -> None:
    taken = measure(tmp_path, ROUND_EVENTS)
    assert {len(one.times_s) for one in taken.values()} == {ROUND_EVENTS}
    outbox = Outbox.open(tmp_path / "a.db", read_only=True)
    rows = list(outbox.rows())
    outbox.close()
    lines = (tmp_path / "bare.jsonl").read_text().splitlines()
    assert [row.sequence for row in rows] == list(range(1, ROUND_EVENTS + 1))
    assert len(lines) == ROUND_EVENTS
    assert sum(map(len, lines)) == pytest.approx(sum(len(row.jws) for row in rows), rel=0.01)


def test_the_bare_ones_flush_each_event(tmp_path: Path) -> None:
    database, _ = bare_sqlite(tmp_path / "bare.db")
    found = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    database.close()
    assert found == ["wal", 2]
    _, store = bare_file(tmp_path / "bare.jsonl")
    store("a line")
    assert (tmp_path / "bare.jsonl").read_text() == "a line\n"


def test_the_report_compares_medians() -> None:
    text = report({OURS: Taken([0.002, 0.004, 0.006], 0.003), "bare": Taken([0.001, 0.002, 0.003], 0.0015)})
    _, ours, bare = (line.split() for line in text.splitlines())
    assert ours == ["append", "250", "4000", "(3000-5000)", "1000", "1.00"]
    assert bare == ["bare", "500", "2000", "(1500-2500)", "500", "2.00"]
