"""The small parts of every process: what systemd hears, the nudge, the stop signal, the log. Nothing is scripted."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.run.notify import SystemdNotifier
from appliance.run.nudge import SOCKET_NAME, Ear, Nudge

SAY_ALL = ("READY=1\nSTATUS=serving", "WATCHDOG=1", "STOPPING=1")


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    """Listen as systemd does; a leading ``@`` is an abstract address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener


def say_all(notifier: SystemdNotifier) -> None:
    notifier.ready("serving")
    notifier.alive()
    notifier.stopping()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_each_word_as_one_message(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@card-station-{os.getpid()}-{tmp_path.name}"
    with systemd(address) as listener:
        say_all(SystemdNotifier({"NOTIFY_SOCKET": address}))
        assert tuple(listener.recv(4096).decode() for _ in SAY_ALL) == SAY_ALL


def test_words_for_people_are_utf_8(tmp_path: Path) -> None:
    with systemd(str(tmp_path / "notify")) as listener:
        SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).ready("พร้อม")
        assert listener.recv(4096).decode() == "READY=1\nSTATUS=พร้อม"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "1000"}])
def test_without_systemd_nothing_is_said(environ: dict[str, str]) -> None:
    say_all(SystemdNotifier(environ))


@pytest.mark.parametrize("fault", ["gone", "closed"])
def test_a_systemd_that_does_not_listen_ends_no_process(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "notify"
    with systemd(str(path)):
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(path)})
        notifier.ready("serving")
    if fault == "gone":
        path.unlink()
    say_all(notifier)


def test_notifying_leaves_no_file_open(tmp_path: Path) -> None:
    with systemd(str(tmp_path / "notify")):
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(5):
            notifier.alive()
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def hears(ear: Ear, seconds: float = 0.0) -> bool:
    return bool(select.select(ear.filenos(), [], [], seconds)[0])


def test_a_nudge_is_heard_and_forgotten(tmp_path: Path) -> None:
    ear, nudge = Ear(tmp_path), Nudge(tmp_path)
    assert not hears(ear)
    nudge()
    assert hears(ear, 5)
    ear.drain()
    assert not hears(ear)
    nudge()
    assert hears(ear, 5)


def test_a_link_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    Nudge(tmp_path)()
    Nudge(tmp_path / "no such folder")()
    Nudge(tmp_path / ("x" * 200))()


def test_a_link_that_comes_later_is_nudged(tmp_path: Path) -> None:
    nudge = Nudge(tmp_path)
    nudge()
    ear = Ear(tmp_path)
    assert not hears(ear)
    nudge()
    assert hears(ear, 5)


def test_a_link_that_was_killed_left_its_socket_and_starts_again(tmp_path: Path) -> None:
    nudge, killed = Nudge(tmp_path), Ear(tmp_path)
    again = Ear(tmp_path)
    nudge()
    assert hears(again, 5)
    assert not hears(killed)


def test_many_nudges_do_not_block_the_station_and_one_drain_forgets_them_all(tmp_path: Path) -> None:
    ear, nudge = Ear(tmp_path), Nudge(tmp_path)
    start_s = time.monotonic()
    for _ in range(5000):
        nudge()
    assert time.monotonic() - start_s < 5
    ear.drain()
    assert not hears(ear)


def test_many_wakes_do_not_block_the_network_thread(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    for _ in range(100_000):  # more than a pipe holds
        ear.wake()
    assert hears(ear)
    ear.drain()
    assert not hears(ear)


@pytest.mark.parametrize("length", [0, 1, 16, 5000])
def test_any_datagram_is_a_nudge_and_none_stays(tmp_path: Path, length: int) -> None:
    ear = Ear(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x" * length, str(tmp_path / SOCKET_NAME))
    assert hears(ear, 5)
    ear.drain()
    assert not hears(ear)


def test_a_wake_from_another_thread_ends_the_wait(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    waker = threading.Timer(0.05, ear.wake)
    waker.start()
    assert hears(ear, 10)
    waker.join()


def test_only_user_and_group_may_nudge(tmp_path: Path) -> None:
    Ear(tmp_path)
    assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o660


WAITS = """
import os, signal, sys, time
from appliance.run.stop import StopSignal
read, write = os.pipe()
stop = StopSignal(lambda: os.write(write, b"!"))
turn = 0
while not stop.is_set:
    print(stop.is_set, flush=True)
    os.read(read, 1)
    turn += 1
    time.sleep(0.2)  # the rest of the turn
print("whole turns", turn, flush=True)
"""


def started(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "False\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cuts_the_wait_short_and_the_turn_is_ended_whole(number: signal.Signals) -> None:
    process = started(WAITS)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "whole turns 1\n", "")


def test_an_impatient_second_signal_changes_nothing() -> None:
    process = started(WAITS)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "whole turns 1\n", "")


def test_another_signal_still_does_what_it_does() -> None:
    process = started(WAITS)
    process.send_signal(signal.SIGHUP)
    assert process.wait(10) == -signal.SIGHUP


def logged(code: str, *, is_verbose: bool = False) -> list[str]:
    """Return what a process writes to standard error that sets its log up and runs ``code``."""
    start = f"import logging; from appliance.run.logs import set_up_logging as s; s('link', is_verbose={is_verbose})\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()


LEVELS = "\n".join(f"logging.getLogger('a.b').log({level}, 'at %d', {level})" for level in (5, 10, 20, 30, 40, 50))


def test_each_entry_is_one_line_with_its_priority() -> None:
    assert logged(LEVELS) == ["<6>link: at 20", "<4>link: at 30", "<3>link: at 40", "<2>link: at 50"]


def test_verbose_adds_debug_and_not_the_traffic_below_it() -> None:
    assert logged(LEVELS, is_verbose=True)[0] == "<7>link: at 10"


def test_a_level_between_the_known_ones_has_the_lowest_priority() -> None:
    assert logged("logging.log(25, 'between')") == ["<7>link: between"]


def test_every_line_of_a_message_has_the_priority_and_none_can_choose_another() -> None:
    assert logged("logging.error('one\\ntwo\\n<0>three')") == ["<3>link: one", "<3>two", "<3><0>three"]


def test_every_line_of_a_traceback_has_the_priority() -> None:
    lines = logged("try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('failed')")
    assert lines[0] == "<3>link: failed"
    assert lines[-1] == "<3>ZeroDivisionError: division by zero"
    assert all(line.startswith("<3>") for line in lines)


def test_a_second_set_up_replaces_the_first() -> None:
    assert logged("s('station'); logging.warning('once')") == ["<4>station: once"]


def test_thai_is_logged_whatever_the_locale_says() -> None:
    assert logged("logging.warning('บัตร')") == ["<4>link: บัตร"]


def test_a_message_with_wrong_arguments_ends_nothing() -> None:
    lines = logged("logging.warning('%d', 'x'); logging.warning('after')")
    assert lines[-1] == "<4>link: after"
