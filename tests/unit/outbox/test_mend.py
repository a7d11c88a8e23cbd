"""A damaged database goes aside and a new one takes its place: on the disk, in order, and with what is known said."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import OutboxDamaged, OutboxFull, OutboxUnavailable
from appliance.events.receipt import Receipt
from appliance.outbox import database, mend
from appliance.outbox.check import suspect
from appliance.outbox.salvage import Saved, Wreck
from appliance.outbox.store import Outbox
from tests.unit.outbox.test_damage import Breakable
from tests.unit.power_cut import PowerCut, open_handles, power_cut  # noqa: F401 - the fixture

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CHAIN = "01M83BXH2R7R0A5EVXPK4651AQ"
NAMES = ("station.db", "station.db-wal", "station.db-shm")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_file_and_its_log_go_aside_together(state: Path) -> None:
    folder = mend.set_aside(state, NOW)
    assert held(folder) == {name: name.encode() for name in NAMES}
    assert held(state) == {}
    assert folder.name.startswith("20261123T080000-")
    assert mend.folders(state) == [folder]


def test_a_file_without_a_log_goes_aside_as_well(state: Path) -> None:
    (state / "station.db-wal").unlink()
    (state / "station.db-shm").unlink()
    assert held(mend.set_aside(state, NOW)) == {"station.db": b"station.db"}


def test_what_went_aside_is_there_after_a_power_cut_and_nowhere_else(
    state: Path,
    power_cut: PowerCut,  # noqa: F811
) -> None:
    folder = mend.set_aside(state, NOW)
    assert power_cut.leaves_name(folder / "station.db")
    assert power_cut.leaves_name(state / "station.db")
    assert not (state / "station.db").exists()


def test_the_log_never_goes_before_its_file_is_there_to_stay(
    state: Path,
    power_cut: PowerCut,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved, rename = [], os.rename

    def move(source: Path, target: Path) -> None:
        if target.name != "station.db":
            folder = target.parent
            for above in (folder.parent, state):
                database.sync_folder(above)  # nobody relies on these yet
            assert power_cut.leaves_name(folder / "station.db"), "without its log it would look sound, and older"
        moved.append(target.name)
        rename(source, target)

    monkeypatch.setattr(os, "rename", move)
    mend.set_aside(state, NOW)
    assert sorted(moved) == sorted(NAMES)


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OutboxFull), (errno.EROFS, OutboxUnavailable)])
@pytest.mark.parametrize("call", ["mkdir", "rename"])
def test_a_disk_that_does_not_let_it_go_says_what_is_the_matter(
    state: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[Exception]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(error, match="cannot be set aside"):
        mend.set_aside(state, NOW)
    assert held(state) == {name: name.encode() for name in NAMES}
    assert not mend.is_between(state)


@pytest.mark.parametrize("call", range(1, 4))
def test_names_that_the_disk_does_not_keep_are_no_success(
    state: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    fail_at(monkeypatch, call)
    with pytest.raises(OutboxUnavailable, match="cannot be set aside: Input/output error"):
        mend.set_aside(state, NOW)


@pytest.mark.parametrize("call", [1, 2])
def test_a_new_database_whose_name_the_disk_does_not_keep_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    station = Breakable(tmp_path, events=3)
    station.stop()
    station.smash(2)
    mend.set_aside(tmp_path, NOW)
    with monkeypatch.context() as failing:
        fail_at(failing, call)
        with pytest.raises(OutboxUnavailable, match="Input/output error"):
            station.start()
    station.start()
    assert station.is_sound()
    assert len(station.broken()) == 1


def fail_at(patch: pytest.MonkeyPatch, call: int) -> None:
    """Let one ``fsync`` fail, by its number."""
    force, left = os.fsync, [call]

    def fail(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        force(handle)

    patch.setattr(os, "fsync", fail)


def test_twenty_are_kept_and_no_more(state: Path) -> None:
    for number in range(20):
        mend.set_aside(state, NOW)
        assert len(mend.folders(state)) == number + 1
        (state / "station.db").touch()
    with pytest.raises(OutboxDamaged, match=r"20 damaged .* replace the disk"):
        mend.set_aside(state, NOW)
    assert (state / "station.db").exists()


def test_only_where_a_file_went_aside_and_none_came_is_it_between(state: Path) -> None:
    assert not mend.is_between(state)
    mend.set_aside(state, NOW)
    assert mend.is_between(state)
    (state / "station.db").touch()
    assert not mend.is_between(state)


def test_a_state_without_a_database_is_none_that_was_set_aside(tmp_path: Path) -> None:
    assert not mend.is_between(tmp_path)
    (tmp_path / "damaged" / "empty").mkdir(parents=True)
    assert not mend.is_between(tmp_path)


def test_the_new_one_has_its_name_for_good_and_the_alarm_is_gone(
    tmp_path: Path,
    power_cut: PowerCut,  # noqa: F811
) -> None:
    station = Breakable(tmp_path, events=3)
    suspect(tmp_path).touch()
    station.stop()
    station.smash(2)
    power_cut.settle()
    station.start()
    assert power_cut.leaves_name(station.path)
    assert power_cut.leaves_name(suspect(tmp_path))
    assert not suspect(tmp_path).exists()
    assert sorted(held(tmp_path)) == sorted(NAMES)


def test_a_new_database_is_there_after_a_power_cut(tmp_path: Path, power_cut: PowerCut) -> None:  # noqa: F811
    Outbox.open(tmp_path / "station.db", create=True).close()
    assert power_cut.leaves_name(tmp_path / "station.db")


def test_what_an_earlier_try_left_does_not_get_into_the_new_one(tmp_path: Path) -> None:
    station = Breakable(tmp_path, events=3)
    station.stop()
    station.smash(2)
    mend.set_aside(tmp_path, NOW)
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"station.db.new{end}").write_bytes(b"half")
    station.start()
    assert len(station.broken()) == 1
    assert station.is_sound()
    assert [name for name in held(tmp_path) if ".new" in name] == []


@pytest.mark.parametrize("refused", ["unlink", "rename"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OutboxFull), (errno.EROFS, OutboxUnavailable)])
def test_a_disk_that_takes_no_new_one_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str, number: int, error: type[Exception]
) -> None:
    station = Breakable(tmp_path, events=3)
    station.stop()
    station.smash(2)
    mend.set_aside(tmp_path, NOW)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as failing:
        failing.setattr(os, refused, fail)
        with pytest.raises(error, match="new database"):
            station.start()
    assert mend.is_between(tmp_path)
    station.start()
    assert len(station.broken()) == 1


@pytest.fixture
def halfway(tmp_path: Path) -> Breakable:
    """A station whose power went when its file had gone aside and its log, with an event, had not."""
    station = Breakable(tmp_path, events=3)
    station.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    station.append()
    station.before = {row.sequence: row.jws for row in station.outbox.rows()}
    log = Path(f"{station.path}-wal").read_bytes()
    station.stop()
    station.smash(1)
    mend.set_aside(tmp_path, NOW)
    Path(f"{station.path}-wal").write_bytes(log)
    return station


def test_a_log_that_had_not_gone_aside_yet_goes_after_its_file(halfway: Breakable) -> None:
    halfway.start()
    assert halfway.saved() == halfway.before
    (folder,) = mend.folders(halfway.state)
    assert (folder / "station.db-wal").exists()
    assert halfway.is_sound()


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OutboxFull), (errno.EROFS, OutboxUnavailable)])
def test_a_log_that_cannot_go_aside_now_is_left_for_the_next_try(
    halfway: Breakable, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as failing:
        failing.setattr(os, "rename", fail)
        with pytest.raises(error, match="cannot be set aside"):
            halfway.start()
    assert mend.is_between(halfway.state)
    halfway.start()
    assert halfway.saved() == halfway.before


def saved(*sequences: int) -> dict[tuple[str, int], Saved]:
    return {(CHAIN, number): Saved(CHAIN, number, "p", f"hash {number}", "") for number in sequences}


def receipt(through: int) -> dict[str, Receipt]:
    return {CHAIN: Receipt("bkk-001", 2, CHAIN, through, f"receipt {through}", NOW.isoformat())}


@pytest.mark.parametrize(
    ("events", "receipts", "told"),
    [
        ([4, 6], {}, {"sequence": 6, "hash": "hash 6", "receipt": None, "lost": [[1, 3], [5, 5]], "salvaged": 2}),
        ([4], receipt(3), {"sequence": 4, "hash": "hash 4", "lost": [], "salvaged": 1}),
        ([], receipt(3), {"sequence": 3, "hash": "receipt 3", "lost": [], "salvaged": 0}),
        ([], receipt(1), {"sequence": 1, "hash": "receipt 1"}),
        ([], receipt(0), {"sequence": None, "hash": None}),
        ([2], receipt(2), {"sequence": 2, "hash": "receipt 2"}),
        ([2], receipt(3), {"sequence": 3, "hash": "receipt 3"}),
        ([], {}, {"chain": CHAIN, "sequence": None, "hash": None, "receipt": None, "lost": [], "salvaged": 0}),
    ],
)
def test_the_event_tells_the_newest_that_is_known_by_an_event_or_by_a_receipt(
    events: list[int], receipts: dict[str, Receipt], told: dict[str, Any]
) -> None:
    found = saved(*events)
    wreck = Wreck(CHAIN, found, {CHAIN: found[CHAIN, max(events)]} if events else {}, receipts)
    (said,) = mend._said(wreck)
    assert {name: said[name] for name in told} == told
    known = receipts.get(CHAIN)
    assert said["receipt"] == (
        {"through": known.through, "hash": known.hash, "epoch": 2} if known is not None else None
    )


def test_five_hundred_holes_are_one_event_and_one_more_makes_two() -> None:
    for holes, events in ((500, [500]), (501, [500, 1])):
        found = saved(*range(2, 2 * holes + 2, 2))
        said = mend._said(Wreck(CHAIN, found, {CHAIN: found[CHAIN, 2 * holes]}, {}))
        assert [len(one["lost"]) for one in said] == events
        assert [span for one in said for span in one["lost"]] == [[n, n] for n in range(1, 2 * holes, 2)]


def test_a_folder_that_cannot_be_forced_is_no_success(tmp_path: Path) -> None:
    before = open_handles()
    database.sync_folder(tmp_path)
    assert open_handles() == before, "it stays open"
    with pytest.raises(OSError, match="No such file"):
        database.sync_folder(tmp_path / "none")
