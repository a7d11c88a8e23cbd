"""Each verdict on the disk, the state database, the keys and papers, and the clock."""

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance import config
from appliance.checks.result import Result
from appliance.config import Settings
from appliance.errors import OutboxDamaged, StoreError
from appliance.link import enrolment as link_enrolment
from appliance.outbox import inspection
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import AGENCY_KEYS, EVENT_KEY
from appliance.ports import Moment
from appliance.run.doctor import storage
from appliance.run.doctor.clock import clock
from appliance.run.doctor.enrolment import enrolment
from appliance.run.doctor.part import Finding
from appliance.run.doctor.settings import defaults
from tests.unit.small_agency import NOW, Agency

MB = 1_000_000
ROOM = storage.Room(free_bytes=1000 * MB, is_read_only=False)


def check(finding: Finding, result: Result, found: str, mend: str) -> None:
    assert finding.result is result
    assert found in finding.found
    assert mend in finding.mend
    assert bool(finding.mend) or result in (Result.PASS, Result.NOT_ASKED)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o750)
    return folder


def look(room: storage.Room) -> Callable[[Path], storage.Room]:
    return lambda _: room


@pytest.mark.parametrize(
    ("room", "result", "found", "mend"),
    [
        (ROOM, Result.PASS, "mode 0750, 1.0 GB free", ""),
        (replace(ROOM, is_read_only=True), Result.FAIL, "read-only", "findmnt -T"),
        (replace(ROOM, free_bytes=31 << 20), Result.FAIL, "nearly full", "free some space"),
        (replace(ROOM, free_bytes=0), Result.FAIL, "nearly full", "free some space"),
        (replace(ROOM, free_bytes=100 * MB), Result.FAIL, "less than the 200.0 MB", "[outbox] max_bytes = 66445568"),
    ],
)
def test_the_room(state: Path, room: storage.Room, result: Result, found: str, mend: str) -> None:
    check(storage.disk(state, 200 * MB, look(room)), result, found, mend)


def test_what_the_database_holds_already_needs_no_room(state: Path) -> None:
    with (state / DATABASE_NAME).open("wb") as file:
        file.truncate(150 * MB)
    check(storage.disk(state, 200 * MB, look(replace(ROOM, free_bytes=60 * MB))), Result.PASS, "60.0 MB free", "")


@pytest.mark.parametrize("mode", [0o755, 0o751, 0o757, 0o777])
def test_a_folder_for_everyone(state: Path, mode: int) -> None:
    state.chmod(mode)
    check(storage.disk(state, MB, look(ROOM)), Result.FAIL, f"(mode {mode:04o})", f"chmod o= {state}")


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o770, 0o2770])
def test_a_folder_for_the_few(state: Path, mode: int) -> None:
    state.chmod(mode)
    check(storage.disk(state, MB, look(ROOM)), Result.PASS, f"mode {mode:04o}", "")


def test_there_is_no_folder(tmp_path: Path) -> None:
    check(storage.disk(tmp_path / "none", MB), Result.FAIL, "there is no state directory", "card-station enrol")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    check(storage.disk(tmp_path / "state", MB), Result.FAIL, "is not a folder", "STATE_DIRECTORY")


@pytest.mark.parametrize(
    ("error", "result", "found", "mend"),
    [
        (PermissionError(13, "Permission denied"), Result.COULD_NOT_CHECK, "may not look at", "as root"),
        (OSError(5, "Input/output error"), Result.FAIL, "Input/output error", "dmesg"),
        (NotADirectoryError(20, "Not a directory"), Result.FAIL, "Not a directory", "dmesg"),
    ],
)
def test_a_folder_that_cannot_be_looked_at(
    state: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, result: Result, found: str, mend: str
) -> None:
    def fail(*_: object, **__: object) -> os.stat_result:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", fail)
        findings = storage.disk(state, MB), storage.database(state)
    for finding in findings:
        check(finding, result, found, mend)


def test_a_disk_that_does_not_tell_its_room(state: Path) -> None:
    def fail(_: Path) -> storage.Room:
        raise OSError(5, "Input/output error")

    check(storage.disk(state, MB, fail), Result.FAIL, "Input/output error", "dmesg")


def test_the_own_folder_without_rights(state: Path) -> None:
    finding = storage.disk(state, MB, look(ROOM), lambda _: False)
    check(finding, Result.FAIL, "belongs to this user", "chmod u+rwx")


def test_the_folder_of_another_user(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 1)
    finding = storage.disk(state, MB, look(ROOM), lambda _: False)
    check(finding, Result.COULD_NOT_CHECK, f"belongs to user {state.stat().st_uid}", "as root")


def test_the_room_of_this_machine(state: Path) -> None:
    assert not storage.room(state).is_read_only
    assert storage.room(state).free_bytes > 0


@pytest.fixture
def database(state: Path) -> Path:
    outbox = Outbox.open(state / DATABASE_NAME, create=True)
    outbox.start_chain("key", NOW)
    outbox.close()
    return state / DATABASE_NAME


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir()}


def test_a_sound_database_is_left_as_it_was(database: Path, state: Path) -> None:
    before = listed(state)
    check(storage.database(state), Result.PASS, " kB, sound", "")
    assert listed(state) == before


def test_a_database_in_use_is_sound(database: Path, state: Path) -> None:
    outbox = Outbox.open(database)
    outbox.say({"state": "ready"})
    before = listed(state)
    assert f"{DATABASE_NAME}-wal" in before
    check(storage.database(state), Result.PASS, "sound", "")
    outbox.say({"state": "degraded"})
    outbox.close()


def test_there_is_no_database(state: Path) -> None:
    check(storage.database(state), Result.COULD_NOT_CHECK, "there is no", "card-station enrol")
    assert list(state.iterdir()) == []


def test_a_database_for_everyone(database: Path, state: Path) -> None:
    database.chmod(0o664)
    check(storage.database(state), Result.FAIL, "every user", f"chmod o= {database}")


def test_a_database_that_this_user_may_not_read(database: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    check(storage.database(state), Result.COULD_NOT_CHECK, "may not read", "as root")


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 500)


def wiped(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as opened:
        opened.execute("PRAGMA user_version = 99")
    opened.close()


@pytest.mark.parametrize("damage", [garbage, wiped, cut, newer])
def test_a_damaged_database(database: Path, state: Path, damage: Callable[[Path], None]) -> None:
    damage(database)
    check(storage.database(state), Result.FAIL, "", "copy the database away")


def test_damage_is_said_by_the_inspection(database: Path) -> None:
    assert inspection.quick_check(database) == ""
    whole = database.read_bytes()
    wiped(database)
    assert "damaged" in inspection.quick_check(database)
    database.write_bytes(whole)
    newer(database)
    assert "version 99" in inspection.quick_check(database)
    garbage(database)
    with pytest.raises(OutboxDamaged):
        inspection.quick_check(database)


def test_an_error_of_the_store_is_a_failure(database: Path, state: Path) -> None:
    def fail(_: Path) -> str:
        raise StoreError("the disk is gone")

    check(storage.database(state, fail), Result.FAIL, "the disk is gone", "copy the database away")


def test_a_database_too_large_for_a_quick_look(database: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_CHECK_PATIENCE_S", 0.05)

    def slow(_: Path) -> str:
        time.sleep(0.5)
        return ""

    check(storage.database(state, slow), Result.COULD_NOT_CHECK, "too much to look at", "outbox verify")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return config.parse('[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n', "a.toml")


@pytest.fixture
def enrolled(state: Path, settings: Settings) -> Path:
    """The state directory of a station with its agency's grant."""
    request = link_enrolment.make_request(settings, state)
    link_enrolment.take_grant(settings, state, Agency().grant(request))
    return state


def test_an_enrolled_station(enrolled: Path, settings: Settings) -> None:
    check(enrolment(settings, enrolled, NOW), Result.PASS, "bkk-001, its certificate counts until 2027-11-23", "")


@pytest.mark.parametrize(
    ("after", "result", "found", "mend"),
    [
        (timedelta(days=334), Result.PASS, "2027-11-23", ""),
        (timedelta(days=336), Result.FAIL, "in 29 days", "card-station enrol --request"),
        (timedelta(days=365), Result.FAIL, "ran out on 2027-11-23", "card-station enrol --request"),
        (timedelta(days=-2), Result.FAIL, "counts from 2026-11-22 on, and today is 2026-11-21", "set the clock"),
        (timedelta(days=-9000), Result.FAIL, "today is 2002", "set the clock"),
    ],
)
def test_the_time_of_the_certificate(
    enrolled: Path, settings: Settings, after: timedelta, result: Result, found: str, mend: str
) -> None:
    check(enrolment(settings, enrolled, NOW + after), result, found, mend)


def test_a_station_without_keys(state: Path, settings: Settings) -> None:
    check(enrolment(settings, state, NOW), Result.FAIL, "not enrolled", "card-station enrol --request")
    check(enrolment(settings, state / "none", NOW), Result.FAIL, "not enrolled", "card-station enrol --request")


def test_a_station_that_waits_for_its_grant(state: Path, settings: Settings) -> None:
    link_enrolment.make_request(settings, state)
    check(enrolment(settings, state, NOW), Result.FAIL, "grant was not taken up", "card-station enrol --grant")


@pytest.mark.parametrize("name", ["tls/station.pem", "tls/ca.pem", str(AGENCY_KEYS)])
def test_a_paper_of_the_grant_is_gone(enrolled: Path, settings: Settings, name: str) -> None:
    (enrolled / name).unlink()
    check(enrolment(settings, enrolled, NOW), Result.FAIL, name, "card-station enrol --grant")


@pytest.mark.parametrize("name", ["tls/station.key", str(EVENT_KEY)])
def test_a_key_is_gone(enrolled: Path, settings: Settings, name: str) -> None:
    (enrolled / name).unlink()
    check(enrolment(settings, enrolled, NOW), Result.FAIL, f"{name} is gone", "restore it")


@pytest.mark.parametrize("name", ["tls/station.key", str(EVENT_KEY)])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read(enrolled: Path, settings: Settings, name: str, mode: int) -> None:
    (enrolled / name).chmod(mode)
    finding = enrolment(settings, enrolled, NOW)
    check(finding, Result.FAIL, f"{name} (mode {mode:04o})", f"chmod 600 {enrolled / name}")


@pytest.mark.parametrize("name", ["tls/station.key", "tls/station.pem", "tls/ca.pem", str(EVENT_KEY), str(AGENCY_KEYS)])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\x00" * 50])
def test_a_paper_that_cannot_be_used(enrolled: Path, settings: Settings, name: str, content: bytes) -> None:
    (enrolled / name).write_bytes(content)
    check(enrolment(settings, enrolled, NOW), Result.FAIL, "", "card-station enrol")


def test_a_certificate_of_another_station_or_ca(enrolled: Path, settings: Settings) -> None:
    other = replace(settings, station=replace(settings.station, id="bkk-002"))
    check(enrolment(other, enrolled, NOW), Result.FAIL, "for another station", "card-station enrol")
    grant = Agency().grant(link_enrolment.make_request(settings, enrolled))
    (enrolled / "tls/ca.pem").write_text(grant["ca"])
    check(enrolment(settings, enrolled, NOW), Result.FAIL, "not issued by the CA", "card-station enrol")


def test_no_byte_of_a_key_is_told(enrolled: Path, settings: Settings) -> None:
    secret = (enrolled / "tls/station.key").read_text()
    (enrolled / "tls/station.key").write_text(secret[:-60])
    finding = enrolment(settings, enrolled, NOW)
    assert not any(line in f"{finding.found}{finding.mend}" for line in secret.splitlines())


@pytest.mark.parametrize(
    ("error", "result", "found"),
    [
        (PermissionError(13, "Permission denied", "/keys"), Result.COULD_NOT_CHECK, "may not read /keys"),
        (OSError(5, "Input/output error", "/keys"), Result.FAIL, "/keys cannot be read: Input/output error"),
    ],
)
def test_a_key_that_cannot_be_read(
    enrolled: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: OSError, result: Result, found: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", fail)
    check(enrolment(settings, enrolled, NOW), result, found, "")


def test_without_settings_nobody_knows(state: Path) -> None:
    check(enrolment(defaults(), state, NOW), Result.COULD_NOT_CHECK, "without settings", "settings first")


@dataclass(frozen=True)
class Still:
    """A clock that stands still."""

    time: datetime
    quality: str = "synchronised"

    def now(self) -> Moment:
        return Moment(self.time, self.quality, 0, "boot", 1.0)


GOOD_TIME = datetime(2026, 11, 23, 7, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "result", "found", "mend"),
    [
        (Still(GOOD_TIME), Result.PASS, "2026-11-23 07:42:00, synchronised", ""),
        (Still(GOOD_TIME, "unsure"), Result.FAIL, "not synchronised", "set-ntp true"),
        (Still(datetime(1970, 1, 1, tzinfo=UTC)), Result.FAIL, "cannot be right", "set-ntp true"),
        (Still(datetime(2000, 1, 1, tzinfo=UTC), "unsure"), Result.FAIL, "cannot be right", "chrony"),
        (Still(datetime(2106, 2, 7, tzinfo=UTC)), Result.FAIL, "cannot be right", "set-ntp true"),
    ],
)
def test_clock(tmp_path: Path, own: Still, result: Result, found: str, mend: str) -> None:
    finding = clock(own, False, tmp_path)
    check(finding, result, found, mend)
    assert "without a clock chip" in finding.found
    (tmp_path / "rtc0").touch()
    assert "with a clock chip" in clock(own, False, tmp_path).found


def test_a_simulated_clock_is_not_looked_at() -> None:
    assert clock(Still(GOOD_TIME), True).result is Result.NOT_ASKED


def test_what_was_set_aside_is_told_until_somebody_takes_it_away(database: Path, state: Path) -> None:
    (state / "damaged" / "20261123T080000").mkdir(parents=True)
    (state / "damaged" / "20261123T080000" / database.name).touch()
    check(storage.database(state), Result.FAIL, "1 damaged database set aside", "copy it for the agency")


def test_a_spent_reserve_is_told(database: Path, state: Path) -> None:
    assert "the reserve is spent" not in storage.disk(state, 1 * MB, look(ROOM)).found
    (state / "station.lock").touch()
    found = storage.disk(state, 1 * MB, look(ROOM))
    assert "the reserve is spent" in found.found
