"""A damaged state database is set aside, and the station goes on with a new chain that says what it knows of the gap.

The files move into a folder of their own below ``damaged/``. A new database is made beside and takes the old one's name
last of all, so whenever the power goes, the next start either finds the old file, or no file and the folder to go on
from. What was saved of the old chain lies in ``salvaged`` until the agency's receipts cover it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.errors import OutboxDamaged
from appliance.events.agency_keys import AgencyKeys
from appliance.events.chain import Position
from appliance.events.sign import KeySet
from appliance.outbox import database
from appliance.outbox.check import suspect
from appliance.outbox.reserve import refusal
from appliance.outbox.retention import DAMAGED_NAME
from appliance.outbox.salvage import Wreck, salvage
from appliance.outbox.store import DATABASE_NAME, Outbox

EVENT = "chain.broken.v1"
MAX_FOLDERS = 20
MAX_RANGES = 500  # in one event, which must fit into a bundle
_ENDS = ("", "-wal", "-shm")

_log = logging.getLogger(__name__)

Build = Callable[[Position, dict[str, Any], datetime | None], str]


@dataclass(frozen=True)
class Keys:
    """What tells genuine texts from others.

    Args:
        own: the station's event key, as a set.
        kid: its thumbprint.
        agency: the agency's keys of the enrolment.
        station: our id.
    """

    own: KeySet
    kid: str
    agency: AgencyKeys
    station: str


def is_between(state: Path) -> bool:
    """Say whether a database was set aside and its successor is not there yet."""
    return not (state / DATABASE_NAME).exists() and bool(folders(state))


def folders(state: Path) -> list[Path]:
    """Return what was set aside, oldest first. Raises OSError where this user may not look."""
    below = state / DAMAGED_NAME
    return sorted(path for path in below.iterdir() if (path / DATABASE_NAME).exists()) if below.is_dir() else []


def set_aside(state: Path, now: datetime) -> Path:
    """Move the database away; return the folder that it is in. Raises StoreError."""
    kept = folders(state)
    if len(kept) >= MAX_FOLDERS:
        raise OutboxDamaged(f"{len(kept)} damaged databases lie in {state / DAMAGED_NAME}: replace the disk")
    folder = state / DAMAGED_NAME / f"{now:%Y%m%dT%H%M%S}-{time.monotonic_ns():020d}"
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        (state / DATABASE_NAME).rename(folder / DATABASE_NAME)  # first: without its log it would look sound, and older
        database.sync_folder(folder)
        _move_log(state, folder)
        database.sync_folder(folder.parent)
        database.sync_folder(state)
    except OSError as error:
        raise refusal(error, "the damaged database cannot be set aside") from None
    return folder


def _move_log(state: Path, folder: Path) -> None:
    for end in ("-wal", "-shm"):
        path = state / f"{DATABASE_NAME}{end}"
        if path.exists():
            path.rename(folder / path.name)


def begin_anew(state: Path, keys: Keys, now: datetime, build: Build) -> None:
    """Make the new database out of what is left in the newest folder.

    Args:
        state: the state directory, without a database.
        keys: tell what is genuine.
        now: the time; the new chain's name holds it.
        build: signs ``chain.broken.v1`` for a position, its ``broken`` member, and the time of the newest event known.

    Raises:
        StoreError: it cannot be written now; the next attempt begins from the start.
    """
    folder = folders(state)[-1]
    try:
        _move_log(state, folder)  # where the power went between
    except OSError as error:
        raise refusal(error, "the damaged database cannot be set aside") from None
    wreck = salvage(folder / DATABASE_NAME, keys.own, keys.agency, keys.station)
    new = state / f"{DATABASE_NAME}.new"
    try:
        for end in _ENDS:
            new.with_name(f"{new.name}{end}").unlink(missing_ok=True)
    except OSError as error:
        raise refusal(error, "the new database cannot be made") from None
    outbox = Outbox.open(new, create=True)
    try:
        outbox.start_chain(keys.kid, now)
        outbox.adopt(wreck, folder.name, now)
        for broken in _said(wreck):
            outbox.append(lambda position, broken=broken: build(position, broken, wreck.newest_time()))  # type: ignore[misc]
    finally:
        outbox.close()
    try:
        new.rename(state / DATABASE_NAME)
        suspect(state).unlink(missing_ok=True)
        database.sync_folder(state)
    except OSError as error:
        raise refusal(error, "the new database cannot take its place") from None
    _log.error("chain %s is broken: %d events saved, lost %s", wreck.chain, len(wreck.events), wreck.lost())


def _said(wreck: Wreck) -> list[dict[str, Any]]:
    """Return the ``broken`` member of each event: one, or more where there is more to name than one holds."""
    receipt, last = wreck.receipts.get(wreck.chain or ""), wreck.newest.get(wreck.chain or "")
    is_last_known = last is not None and (receipt is None or last.sequence > receipt.through)
    newest = (last.sequence, last.hash) if last and is_last_known else None
    if newest is None and receipt is not None and receipt.through:
        newest = (receipt.through, receipt.hash)
    known = {
        "chain": wreck.chain,
        "sequence": newest[0] if newest else None,
        "hash": newest[1] if newest else None,
        "receipt": {"through": receipt.through, "hash": receipt.hash, "epoch": receipt.epoch} if receipt else None,
        "salvaged": len(wreck.events),
    }
    lost = wreck.lost()
    return [{**known, "lost": lost[start : start + MAX_RANGES]} for start in range(0, max(len(lost), 1), MAX_RANGES)]
