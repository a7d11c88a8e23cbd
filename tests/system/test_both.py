"""The supervisor of ``card-station run``: real processes that die, refuse and are told to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.errors import AlreadyRunning
from appliance.run import both
from appliance.run.both import Child
from appliance.run.lock import hold

ROOT = Path(__file__).parents[2]

SUPERVISOR = """
import sys
from appliance.errors import AlreadyRunning
from appliance.run import both
both.FIRST_PAUSE_S = 0.05
sys.exit(both.supervise([both.Child(name, (sys.executable, "-c", code)) for name, code in zip("ab", sys.argv[1:])]))
"""
NOTE_AND_WAIT = "import time; open({path!r}, 'a').write('x'); time.sleep(60)"
NOTE_AND_DIE = "open({path!r}, 'a').write('x'); raise SystemExit(3)"
IGNORE_TERM = "import signal, time; signal.signal(15, signal.SIG_IGN); open({path!r}, 'a').write('x'); time.sleep(60)"


def supervisor(*codes: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISOR, *codes], cwd=ROOT, stderr=subprocess.PIPE)


def wait_for(path: Path, size_bytes: int) -> None:
    end_s = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < size_bytes:
        assert time.monotonic() < end_s, f"{path.name} did not grow to {size_bytes}"
        time.sleep(0.01)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_ends_both_and_is_no_fault(tmp_path: Path, stop: signal.Signals) -> None:
    notes = [tmp_path / "a", tmp_path / "b"]
    process = supervisor(*(NOTE_AND_WAIT.format(path=str(note)) for note in notes))
    for note in notes:
        wait_for(note, 1)
    process.send_signal(stop)
    assert process.wait(10) == 0
    assert [note.read_text() for note in notes] == ["x", "x"]


def test_a_child_that_dies_is_started_again_and_the_other_left_alone(tmp_path: Path) -> None:
    dying, steady = tmp_path / "a", tmp_path / "b"
    process = supervisor(NOTE_AND_DIE.format(path=str(dying)), NOTE_AND_WAIT.format(path=str(steady)))
    wait_for(dying, 3)
    process.terminate()
    assert process.wait(10) == 0
    assert steady.read_text() == "x"


def test_bad_configuration_of_one_ends_all_with_78(tmp_path: Path) -> None:
    steady = tmp_path / "b"
    process = supervisor("import time; time.sleep(0.3); raise SystemExit(78)", NOTE_AND_WAIT.format(path=str(steady)))
    assert process.wait(10) == 78


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "a"
    monkeypatch.setattr(both, "STOP_PATIENCE_S", 0.2)
    child = Child("a", (sys.executable, "-c", IGNORE_TERM.format(path=str(note))))
    child.start(0)
    wait_for(note, 1)
    both._stop([child])
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_the_pause_doubles_up_to_a_limit_and_begins_anew_after_a_steady_minute() -> None:
    child = Child("a", ("true",))
    now_s, pauses = 0.0, []
    for _ in range(7):
        child.start(now_s)
        assert child.process is not None
        child.process.wait()
        assert child.look(now_s + 1) == 0
        pauses.append(child.pause_s)
        assert child.due_s == now_s + 1 + child.pause_s
        now_s = child.due_s
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    child.start(now_s)
    assert child.process is not None
    child.process.wait()
    child.look(now_s + both.STEADY_AFTER_S)
    assert child.pause_s == 1


def test_a_running_child_is_not_looked_up_as_dead() -> None:
    child = Child("a", ("sleep", "30"))
    assert child.look(0) is None
    child.start(0)
    assert child.look(1) is None
    both._stop([child])


def test_signal_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (*both.STOP_SIGNALS, signal.SIGCHLD)}
    with both._signals() as (stopped, wait):
        os.kill(os.getpid(), signal.SIGTERM)
        wait(None)
        assert stopped == [signal.SIGTERM]
    assert before == {number: signal.getsignal(number) for number in before}


def test_run_with_bad_settings_is_78(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text("[station]\n")
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "--config", str(path), "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "[station] id: is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_without_enrolment_ends_with_78_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(
        '[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "127.0.0.1"\n[panel]\ndisplay = "virtual"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "--config", str(path), "run"],
        cwd=ROOT,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "card-station enrol" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", ["station", "link"])
def test_a_second_one_on_the_same_state_ends_at_once_and_says_why(tmp_path: Path, role: str) -> None:
    held = hold(tmp_path / f"{role}.lock")
    try:
        with pytest.raises(AlreadyRunning, match=f"another {role} process works with {tmp_path}"):
            both.main(tmp_path / "station.toml", tmp_path)
    finally:
        os.close(held)
