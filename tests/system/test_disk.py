"""Full disks, full inodes, read-only and failing ones under a running and under a starting station (T-76)."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import config
from appliance.errors import OutboxFull
from appliance.link import enrolment
from appliance.outbox.reserve import FILE_BYTES, FILES, Reserve
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.panel.screens import State
from appliance.run import enrol, link
from appliance.run import station as subject
from appliance.run.notify import SystemdNotifier
from tests.flow.stage import Stage
from tests.system.disk import Disk, ext4, tmpfs
from tests.unit.run.scripted import Bench as LinkBench
from tests.unit.run.test_station import Bench, bench, card  # noqa: F401 - the fixture
from tests.unit.run.test_station_start import CONFIG, start
from tests.unit.small_agency import Agency


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with tmpfs(tmp_path / "state", "size=6m") as disk:
        yield disk


@pytest.fixture
def on_disk(bench: Bench, small: Disk) -> Bench:  # noqa: F811
    """The station's bench with its state on the small disk."""
    return moved(bench, small)


def moved(to_move: Bench, disk: Disk) -> Bench:
    to_move.stage.outbox.close()
    to_move.stage = Stage(disk.folder)
    return to_move


def after(waits: int, act: Callable[[], None]) -> Any:
    """Return a pause in which ``act`` happens, at pause number ``waits``."""
    count = [0]

    def pause(wait_s: float, stop: object, notifier: object) -> None:
        count[0] += 1
        assert count[0] < waits + 20, "the station does not come back"
        if count[0] == waits:
            act()

    return pause


def types(stage: Stage) -> list[str]:
    return [event["type"] for event in stage.events()]


def test_a_full_disk_is_refused_in_words_said_once_and_left_by_itself(on_disk: Bench, small: Disk) -> None:
    subject._sleep = after(4, small.free)
    on_disk.run(card(1), small.fill, card(2), card(2))
    refused = [screen for screen in on_disk.screens if screen.state is State.CANNOT_STORE]
    assert {screen.code for screen in refused} == {"S01"}
    assert on_disk.states.count(State.ACCEPTED) == 2
    assert types(on_disk.stage) == ["school.attendance.v1", "station.storage_full.v1", "school.attendance.v1"]
    full = on_disk.stage.events()[1]["data"]["storage"]
    assert full["short_of"] == "disk"
    assert on_disk.stage.problems() == []
    assert Reserve(small.folder).is_whole


def test_the_reserve_takes_real_room(small: Disk) -> None:
    Reserve(small.folder).keep()
    blocks = sum(path.stat().st_blocks * 512 for path in (small.folder / "reserve").iterdir())
    assert blocks >= FILES * FILE_BYTES == 1 << 20


def test_a_disk_that_failed_is_refused_as_that_and_not_as_full(
    bench: Bench,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.run.sweep.FIRST_S", 0.0)  # nothing that is due all the time may stand in the way
    monkeypatch.setattr("appliance.run.sweep.EVERY_S", 0.0)
    with ext4(tmp_path / "state") as disk:
        moved(bench, disk)
        bench.run(card(1))
        subprocess.run(["sync", "-f", str(disk.folder)], check=True, timeout=20)
        kept = disk.image.read_bytes()

        def mend() -> None:
            disk.come_back(kept)

        subject._sleep = after(3, mend)
        bench.run(disk.lose, card(2), card(2))
        refused = [screen for screen in bench.screens if screen.state is State.CANNOT_STORE]
        assert {screen.code for screen in refused} == {"S04"}
        assert bench.states.count(State.ACCEPTED) == 2
        assert bench.stage.problems() == []
        assert types(bench.stage) == ["school.attendance.v1"] * 2
        bench.stage.outbox.close()


def enrolled(folder: Path) -> None:
    settings = config.parse(CONFIG, "station.toml")
    grant = folder.parent / "grant.json"
    grant.write_text(json.dumps(Agency().grant(enrolment.make_request(settings, folder))))
    enrol.take_grant(settings, folder, grant)


def traced(folder: Path) -> list[dict[str, Any]]:
    path = folder / "trace"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(folder: Path, state: str) -> dict[str, Any]:
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        for line in traced(folder):
            if line.get("state") == state:
                return line
        time.sleep(0.05)
    raise AssertionError(f"never {state}: {traced(folder)}")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[[Path], "subprocess.Popen[str]"]]:
    """Start the station process on a state directory; its words, sockets and traces lie elsewhere."""
    started = []

    def begin(state: Path) -> "subprocess.Popen[str]":
        other = tmp_path / "elsewhere"
        other.mkdir()
        started.append(start(other, CONFIG, state))
        return started[-1]

    yield begin
    for one in started:
        if one.poll() is None:
            one.kill()
            one.wait()


def end(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 0, words
    assert "Traceback" not in words
    return words


Begin = Callable[[Path], "subprocess.Popen[str]"]


def test_a_station_starts_on_a_read_only_disk_says_so_and_goes_on_when_it_is_back(
    tmp_path: Path, small: Disk, process: Begin
) -> None:
    enrolled(small.folder)
    small.read_only(True)
    running = process(small.folder)
    assert wait_for(tmp_path / "elsewhere", "cannot_store")["code"] == "S04"
    small.read_only(False)
    wait_for(tmp_path / "elsewhere", "no_reader")
    end(running)


def test_without_inodes_the_reserve_opens_the_database_and_says_so(tmp_path: Path, process: Begin) -> None:
    with tmpfs(tmp_path / "state", "size=6m,nr_inodes=60") as disk:
        enrolled(disk.folder)
        Reserve(disk.folder).keep()
        disk.take_inodes()
        running = process(disk.folder)
        assert wait_for(tmp_path / "elsewhere", "cannot_store")["code"] == "S01"
        disk.free()
        wait_for(tmp_path / "elsewhere", "no_reader")
        end(running)
        outbox = Outbox.open(disk.folder / DATABASE_NAME, read_only=True)
        assert [row.type for row in outbox.rows()] == ["station.enrolled.v1", "station.storage_full.v1"]
        outbox.close()


def test_a_link_on_a_full_disk_waits_and_takes_the_receipt_when_there_is_room(
    small: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = LinkBench(small.folder, monkeypatch)  # noqa: F811
    bench.append(3)
    bench.connect()
    bench.station.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    small.fill()
    with pytest.raises(OutboxFull):
        bench.receive("receipt", bench.receipt(3))
    monkeypatch.setattr(link, "STATUS_EVERY_S", 0.1)
    made_room = threading.Timer(0.5, small.free)
    made_room.start()

    def start() -> Any:
        bench.start()
        return bench.link

    stop: Any = type("Stop", (), {"is_set": False})()
    found = link._when_possible(small.folder, start, bench.ear, stop, SystemdNotifier({}))
    assert not made_room.is_alive(), "it began before there was room"
    assert found is bench.link
    bench.receive("receipt", bench.receipt(3))
    assert bench.through() == 3
    bench.link.stop()
