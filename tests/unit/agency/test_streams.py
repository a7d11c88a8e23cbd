"""Closed, full and narrow streams: every command ends with its exit code and at most one line, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, Pupil, visits

PUPIL = Pupil.make(0)


@pytest.fixture
def held(office: Office) -> Office:
    office.desk.import_roster([PUPIL], office.folder)
    for line in visits(office.station, 30):
        office.take(line)
    return office


def shell(office: Office, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell command in which ``card-agency`` is this agency's."""
    function = f'card-agency() {{ "{sys.executable}" -m agency "$@"; }}\n'
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    variables |= {"CARD_AGENCY_HOME": str(office.desk.home.path), **environment}
    return subprocess.run(["bash", "-c", function + command], capture_output=True, check=False, env=variables)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("events export >&-", 7, b"card-agency: the output: Bad file descriptor\n"),
        ("events export <&- >&- 2>&-", 7, b""),
        ("audit >&-", 7, b"card-agency: the output: Bad file descriptor\n"),
        ("station revoke bkk-001 >&-", 0, b"bkk-001 is revoked\n"),
        ("--help >&-", 7, b"card-agency: the output: Bad file descriptor\n"),
        ("verify - <&-", 1, b"no events in the file\n"),
        ("verify - <&- 2>&-", 1, b""),
        ("station show nowhere 2>&-", 2, b""),
        ("nonsense 2>&-", 2, b""),
        ("station show nowhere 2>/dev/full", 2, b""),
        ("verify - </dev/null 2>/dev/full", 1, b""),
        ("events export >/dev/full", 7, b"card-agency: the output: No space left on device\n"),
        ("station list >/dev/full", 7, b"card-agency: the output: No space left on device\n"),
        (f"attendance --date {DAY} >/dev/full", 7, b"card-agency: the output: No space left on device\n"),
        ("--help >/dev/full", 7, b"card-agency: the output: No space left on device\n"),
        ("--version >/dev/full 2>/dev/full", 7, b""),
    ],
)
def test_a_stream_that_is_closed_or_full(held: Office, command: str, code: int, said: bytes) -> None:
    ran = shell(held, f"card-agency {command}")
    assert (ran.returncode, ran.stderr) == (code, said)


@pytest.mark.parametrize("command", ["verify BAD", "verify BAD --json", "audit", "audit --json"])
def test_the_answer_counts_where_nobody_reads_on(held: Office, tmp_path: Path, command: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("no.event.here\n" * 900)
    with held.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET jws = jws || 'A'")
    ran = shell(held, f"card-agency {command.replace('BAD', str(bad))} | (exec <&-; sleep 2); exit ${{PIPESTATUS[0]}}")
    assert (ran.returncode, b"Traceback" in ran.stderr) == (1, False)


def test_a_closed_stream_never_becomes_the_database(held: Office) -> None:
    before = held.desk.run("events", "export").out
    for _ in range(3):
        assert shell(held, "card-agency station revoke bkk-001 <&- >&- 2>&-").returncode == 0
    assert held.desk.run("events", "export").out == before


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "latin-1:strict", "ascii:surrogateescape"])
def test_an_encoding_without_thai_gets_escapes(held: Office, encoding: str) -> None:
    ran = shell(held, f"card-agency attendance --date {DAY} --set school-1", PYTHONIOENCODING=encoding)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert PUPIL.name.encode("ascii", "backslashreplace") in ran.stdout


def test_utf8_stays_utf8(held: Office) -> None:
    ran = shell(held, f"card-agency attendance --date {DAY} --set school-1", PYTHONIOENCODING="utf-8")
    assert PUPIL.name.encode() in ran.stdout


def test_a_name_of_a_file_that_is_no_text_is_told_in_one_line(held: Office, tmp_path: Path) -> None:
    ran = shell(held, f"card-agency verify $'{tmp_path}/\\xff'", PYTHONIOENCODING="utf-8:strict")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (2, 1)
    assert b"Traceback" not in ran.stderr
