"""The state directory, the disk under it, and the state database in it."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import CardStationError
from appliance.outbox import inspection, mend, retention
from appliance.outbox.reserve import Reserve
from appliance.outbox.store import DATABASE_NAME
from appliance.run.doctor.part import Finding, bad, good, unknown, within

NEARLY_FULL_BYTES = 32 << 20
_CHECK_PATIENCE_S = 3.0
_OTHERS = stat.S_IRWXO
_RUN_AS = "run it as the station's user, or as root"


@dataclass(frozen=True)
class Room:
    """The file system under a folder.

    Args:
        free_bytes: what this user may still fill.
        is_read_only: nothing can be written.
    """

    free_bytes: int
    is_read_only: bool


def room(folder: Path) -> Room:
    """Return the room under ``folder``. Raises OSError."""
    found = os.statvfs(folder)
    return Room(found.f_bavail * found.f_frsize, bool(found.f_flag & os.ST_RDONLY))


def disk(
    state: Path,
    max_bytes: int,
    look: Callable[[Path], Room] = room,
    may_use: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK | os.X_OK),
) -> Finding:
    """Look at the state directory and the room in it.

    Args:
        state: state directory.
        max_bytes: how large the state database may grow.
        look: returns the room.
        may_use: says whether this user may read, write and enter a folder.
    """
    try:
        return _folder(state, max_bytes, look, may_use)
    except FileNotFoundError:
        return bad(f"there is no state directory {state}", "'card-station enrol' makes it; STATE_DIRECTORY names it")
    except PermissionError:
        return unknown(f"this user may not look at {state}", _RUN_AS)
    except OSError as error:
        return bad(f"{state} cannot be used: {error.strerror}", "look at the end of 'dmesg'; STATE_DIRECTORY names it")


def _folder(state: Path, max_bytes: int, look: Callable[[Path], Room], may_use: Callable[[Path], bool]) -> Finding:
    status = state.stat()
    if not stat.S_ISDIR(status.st_mode):
        return bad(f"{state} is not a folder", "move it away, or let STATE_DIRECTORY name another one")
    there, mode = look(state), stat.S_IMODE(status.st_mode)
    return _with_faults(state, status, there, may_use(state)) or _with_room(
        f"{state}, mode {mode:04o}, {_size_words(there.free_bytes)} free", there, state, max_bytes
    )


def _with_faults(state: Path, status: os.stat_result, there: Room, is_usable: bool) -> Finding | None:
    mode = stat.S_IMODE(status.st_mode)
    if there.is_read_only:
        return bad(
            f"{state} is on a read-only file system",
            f"look at 'dmesg' for its fault, copy the state away, restart; 'findmnt -T {state}' names the file system",
        )
    if not is_usable:
        return _without_rights(state, status.st_uid)
    if mode & _OTHERS:
        return bad(f"every user of this machine may look into {state} (mode {mode:04o})", f"chmod o= {state}")
    return None


def _without_rights(state: Path, owner: int) -> Finding:
    if owner == os.geteuid():
        return bad(f"{state} belongs to this user, who may not use it", f"chmod u+rwx {state}")
    return unknown(f"this user may not use {state}, which belongs to user {owner}", _RUN_AS)


def _with_room(found: str, there: Room, state: Path, max_bytes: int) -> Finding:
    if (state / DATABASE_NAME).exists() and (state / "station.lock").exists() and not Reserve(state).is_whole:
        found = f"{found}, the reserve is spent"
    if there.free_bytes < NEARLY_FULL_BYTES:
        return bad(f"{found}: nearly full", "free some space: 'journalctl --vacuum-size=50M', 'apt-get clean'")
    in_use = sum(_bytes_of(state / f"{DATABASE_NAME}{end}") for end in ("", "-wal"))
    if there.free_bytes + in_use < max_bytes:
        most = max(there.free_bytes + in_use - NEARLY_FULL_BYTES, 1 << 20)
        return bad(
            f"{found}: less than the {_size_words(max_bytes)} of [outbox] max_bytes",
            f"free some space, or set [outbox] max_bytes = {most}",
        )
    return good(found)


def database(state: Path, check: Callable[[Path], str] = inspection.quick_check) -> Finding:
    """Look at the state database, without writing to it.

    Args:
        state: state directory.
        check: returns what the database says is wrong with it, or nothing; raises CardStationError.
    """
    path = state / DATABASE_NAME
    try:
        status = path.stat()
    except FileNotFoundError:
        return unknown(f"there is no {path} yet", "'card-station enrol' makes it")
    except PermissionError:
        return unknown(f"this user may not look at {path}", _RUN_AS)
    except OSError as error:
        return bad(f"{path} cannot be looked at: {error.strerror}", "look at the end of 'dmesg'")
    if not os.access(path, os.R_OK):
        return unknown(f"this user may not read {path}", _RUN_AS)
    if status.st_mode & _OTHERS:
        return bad(f"every user of this machine may use {path}", f"chmod o= {path}")
    return _inside(path, _size_words(status.st_size), check)


def _inside(path: Path, size: str, check: Callable[[Path], str]) -> Finding:
    try:
        fault = within(_CHECK_PATIENCE_S, lambda: check(path))
    except TimeoutError:
        return unknown(f"{size} are too much to look at in {_CHECK_PATIENCE_S:.0f} s", "'card-station outbox verify'")
    except CardStationError as error:
        fault = str(error)
    if fault:
        return bad(fault, "copy the database away, restart the station, which sets it aside, and tell the agency")
    return _with_damaged(path.parent) or good(f"{path}, {size}, sound")


def _with_damaged(state: Path) -> Finding | None:
    """Tell of databases that were set aside, where this user may see them."""
    try:
        kept = mend.folders(state)
    except OSError:
        return None
    if not kept:
        return None
    where = state / retention.DAMAGED_NAME
    found = f"{len(kept)} damaged database{'s' if len(kept) > 1 else ''} set aside in {where}"
    return bad(found, f"copy it for the agency, then delete it; where it happens again, replace the disk: {where}")


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _size_words(size_bytes: int) -> str:
    for unit, unit_bytes in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.0f} kB"
