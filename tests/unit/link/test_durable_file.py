"""Files that are whole or not there at all, and on the disk when the call returns."""

import os
from pathlib import Path

import pytest

from appliance.link.durable_file import create_once, write
from tests.unit.power_cut import PowerCut, open_handles, power_cut  # noqa: F401 - the fixture


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_written_outlasts_a_power_cut(tmp_path: Path, power_cut: PowerCut) -> None:  # noqa: F811
    write(tmp_path / "file", b"one")
    write(tmp_path / "file", b"two")
    assert power_cut.leaves(tmp_path / "file") == b"two"
    assert power_cut.torn == []


def test_a_key_that_was_made_once_outlasts_a_power_cut(tmp_path: Path, power_cut: PowerCut) -> None:  # noqa: F811
    assert create_once(tmp_path / "key", lambda: b"secret")
    assert power_cut.leaves(tmp_path / "key") == b"secret"
    assert power_cut.torn == []


@pytest.mark.parametrize("below", ["keys", "a/b/c"])
def test_a_folder_that_was_made_for_it_outlasts_a_power_cut(
    tmp_path: Path,
    power_cut: PowerCut,  # noqa: F811
    below: str,
) -> None:
    write(tmp_path / below / "file", b"content")
    assert power_cut.leaves(tmp_path / below / "file") == b"content"


def test_a_file_is_there_for_all_to_read_and_a_key_for_its_owner(tmp_path: Path) -> None:
    write(tmp_path / "file", b"")
    create_once(tmp_path / "key", lambda: b"")
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("file", "key")}
    assert modes == {"file": 0o644, "key": 0o600}


def test_a_file_that_somebody_reads_is_not_written_into(tmp_path: Path) -> None:
    write(tmp_path / "file", b"one")
    with (tmp_path / "file").open("rb") as reader:
        write(tmp_path / "file", b"and two")
        assert reader.read() == b"one"


def test_a_key_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    create_once(tmp_path / "key", lambda: b"first")
    assert not create_once(tmp_path / "key", lambda: pytest.fail("a second key was made"))
    assert (tmp_path / "key").read_bytes() == b"first"


def test_a_disk_that_takes_nothing_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", b"old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_no_handle_stays_open(tmp_path: Path) -> None:
    before = open_handles()
    write(tmp_path / "a" / "file", b"")
    assert open_handles() == before
