"""The room kept back: really on the disk, given back whole, and said to be there only where it is."""

import errno
import os
from pathlib import Path

import pytest

from appliance.errors import OutboxFull, OutboxUnavailable
from appliance.outbox import reserve as subject
from appliance.outbox.database import sync_folder
from appliance.outbox.reserve import Reserve
from tests.unit.power_cut import PowerCut, open_handles, power_cut  # noqa: F401 - the fixture

MB = 1 << 20


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    return Reserve(tmp_path)


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "reserve").iterdir())


def test_a_megabyte_and_four_inodes_are_kept_for_the_owner_only(tmp_path: Path, reserve: Reserve) -> None:
    reserve.keep()
    assert reserve.is_whole
    sizes = [path.stat().st_size for path in kept(tmp_path)]
    assert (len(sizes), sum(sizes)) == (4, MB)
    assert (tmp_path / "reserve").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in kept(tmp_path)} == {0o600}


def test_it_takes_its_room_also_where_the_disk_leaves_out_zeros_and_packs_the_rest(
    tmp_path: Path, reserve: Reserve
) -> None:
    reserve.keep()
    assert len({byte for path in kept(tmp_path) for byte in path.read_bytes()}) == 256


def test_what_is_kept_back_outlasts_a_power_cut(
    tmp_path: Path,
    reserve: Reserve,
    power_cut: PowerCut,  # noqa: F811
) -> None:
    reserve.keep()
    sync_folder(tmp_path)  # whether its folder stays is nothing that anybody relies on
    left = [power_cut.leaves(path) for path in kept(tmp_path)]
    assert [len(content or b"") for content in left] == [MB // 4] * 4


def test_room_that_was_given_back_is_free_on_the_disk(
    tmp_path: Path,
    reserve: Reserve,
    power_cut: PowerCut,  # noqa: F811
) -> None:
    reserve.keep()
    power_cut.settle()
    reserve.release()
    assert power_cut.leaves_name(tmp_path / "reserve")
    assert not (tmp_path / "reserve").exists()


def test_only_what_was_there_was_given_back(tmp_path: Path, reserve: Reserve) -> None:
    assert not reserve.release()
    reserve.keep()
    assert reserve.release()
    assert not reserve.release()
    assert not (tmp_path / "reserve").exists()


def test_an_incomplete_one_is_not_whole_and_is_given_back_all_the_same(tmp_path: Path, reserve: Reserve) -> None:
    reserve.keep()
    for path in kept(tmp_path)[1:]:
        path.unlink()
    assert not reserve.is_whole
    assert reserve.release()


def test_what_is_missing_or_short_is_made_and_the_rest_left(tmp_path: Path, reserve: Reserve) -> None:
    reserve.keep()
    gone, short, *rest = kept(tmp_path)
    before = [path.read_bytes() for path in rest]
    gone.unlink()
    short.write_bytes(b"short")
    assert not reserve.is_whole
    reserve.keep()
    assert reserve.is_whole
    assert [path.read_bytes() for path in rest] == before


def test_a_whole_one_is_left_alone(reserve: Reserve, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve.keep()
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it writes at every start"))
    reserve.keep()


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, OutboxFull), (errno.EDQUOT, OutboxFull), (errno.EROFS, OutboxUnavailable)]
)
def test_half_a_reserve_is_none_and_gives_its_room_back(
    tmp_path: Path, reserve: Reserve, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    force, left = os.fsync, [2]

    def runs_out(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(number, os.strerror(number))
        force(handle)

    monkeypatch.setattr(os, "fsync", runs_out)
    with pytest.raises(error):
        reserve.keep()
    assert not (tmp_path / "reserve").exists()


def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    (tmp_path / "reserve").write_text("no folder")
    with pytest.raises(OutboxUnavailable, match="the reserve cannot be made: File exists"):
        Reserve(tmp_path).keep()
    assert str(subject.refusal(BlockingIOError(), "no")) == "no: BlockingIOError"


def test_no_handle_stays_open(reserve: Reserve) -> None:
    before = open_handles()
    reserve.keep()
    reserve.release()
    assert open_handles() == before


def look(**changes: int) -> os.statvfs_result:
    """What a disk of 4 KB blocks says of itself."""
    found = {"f_bavail": 10_000, "f_files": 1000, "f_favail": 500, **changes}
    return os.statvfs_result(
        (4096, 4096, 20_000, 10_000, found["f_bavail"], found["f_files"], 500, found["f_favail"], 0, 255)
    )


@pytest.mark.parametrize(
    ("said", "short_of"),
    [
        ({}, None),
        ({"f_bavail": 128}, None),
        ({"f_bavail": 127}, "disk"),
        ({"f_bavail": 0}, "disk"),
        ({"f_favail": 1}, None),
        ({"f_favail": 0}, "inodes"),
        ({"f_favail": 0, "f_bavail": 0}, "inodes"),
        ({"f_favail": 0, "f_files": 0}, None),  # a file system without a table of them
    ],
)
def test_what_has_run_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, int], short_of: str | None
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda folder: look(**said))
    assert subject.shortage(tmp_path) == short_of


def test_of_a_disk_that_does_not_answer_nothing_is_said(tmp_path: Path) -> None:
    assert subject.shortage(tmp_path / "none") is None
