"""The link's side of the state database: what is still to be delivered, and how far the receipts reach.

The link writes the row of ``delivery`` and the inbox ``document``, and nothing else. A PUBACK is not written down at
all: only a receipt that the agency signed moves ``through``.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.errors import NotEnrolled, OutboxUnavailable, VerificationError
from appliance.events.receipt import Receipt
from appliance.outbox import database
from appliance.outbox.salvage import Place


@dataclass(frozen=True)
class Standing:
    """How far delivery has come.

    Args:
        through: every event up to this one is covered by a receipt.
        epoch: the agency's epoch in that receipt.
        frozen: why nothing may be sent; None while all is well.
        head: sequence number of the newest event, 0 for none.
        floor: no event up to this one can be sent: each is covered, or erased since it once was.
    """

    through: int
    epoch: int
    frozen: str | None
    head: int
    floor: int


class Delivery:
    """Reads events to send and takes receipts."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path, self._file = path, _identity(path)

    @classmethod
    def open(cls, path: Path) -> "Delivery":
        """Open the state database. Raises StoreError."""
        return cls(database.connect(path), path)

    def check_place(self) -> None:
        """Make sure that the file is still the one that was opened: a damaged one is replaced by the station.

        Raises:
            OutboxUnavailable: it is not.
        """
        if _identity(self._path) != self._file:
            raise OutboxUnavailable(f"another file took the place of {self._path}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def next_boot(self) -> int:
        """Count this start of the link and return the count. Raises StoreError."""
        with database.transaction(self._db):
            row = self._db.execute("UPDATE delivery SET boot = boot + 1 RETURNING boot").fetchone()
        return int(row[0])

    def standing(self) -> Standing:
        """Return how far delivery has come. Raises StoreError."""
        with database.translated():
            row = self._db.execute(
                "SELECT through, epoch, frozen, coalesce((SELECT max(sequence) FROM event), 0), coalesce((SELECT"
                " min(sequence) - 1 FROM event WHERE jws <> '' AND sequence > through), through) FROM delivery"
            ).fetchone()
        return Standing(*row)

    def events(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return up to ``limit`` events after ``after`` as (sequence, JWS), in order; none that was erased."""
        query = "SELECT sequence, jws FROM event WHERE jws <> '' AND sequence > ? ORDER BY sequence LIMIT ?"
        with database.translated():
            return self._db.execute(query, (after, limit)).fetchall()

    def first_held(self, missing: list[list[int]]) -> int | None:
        """Return the first event of the closed ranges ``missing`` that can still be sent."""
        query = "SELECT min(sequence) FROM event WHERE jws <> '' AND sequence BETWEEN ? AND ?"
        with database.translated():
            found = [self._db.execute(query, span).fetchone()[0] for span in missing]
        return min((sequence for sequence in found if sequence is not None), default=None)

    def take_receipt(self, receipt: Receipt, jws: str, received_at: str) -> bool:
        """Take a verified receipt; say whether it moved anything.

        A receipt whose hash is not ours for that event freezes the queue: somebody holds another history under our
        name, and no event may be erased or sent until a person has looked. Only a higher epoch may go back.

        Raises:
            VerificationError: it is for another chain, such as the one before this station was enrolled anew.
            StoreError: it cannot be written.
        """
        with database.transaction(self._db):
            through, epoch, frozen = self._db.execute("SELECT through, epoch, frozen FROM delivery").fetchone()
            if self._is_former(receipt.chain):
                return self._cover_salvaged(receipt, _seconds(receipt.committed_at, received_at))
            reason = self._mismatch(receipt)
            if reason is not None:
                self._db.execute("UPDATE delivery SET frozen = ?", (reason,))
                return frozen is None
            if receipt.epoch < epoch or (receipt.epoch == epoch and receipt.through <= through):
                return False
            self._db.execute(
                "UPDATE delivery SET through = ?, epoch = ?, receipt = ?, received_at = ?",
                (receipt.through, receipt.epoch, jws, received_at),
            )
            self._keep_proof(receipt, jws, _seconds(receipt.committed_at, received_at), through)
        return True

    def _keep_proof(self, receipt: Receipt, jws: str, committed_s: int, through: int) -> None:
        """Keep a receipt; what it confirms once more after a restore counts as confirmed now."""
        again = "UPDATE receipt SET committed_s = ? WHERE chain = ? AND through > ? AND through < ?"
        self._db.execute(again, (committed_s, receipt.chain, through, receipt.through))
        proof = (receipt.chain, receipt.through, committed_s, jws)
        self._db.execute("INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?)", proof)

    def is_current(self, chain: str) -> bool:
        """Say whether ``chain`` is the one that this station writes."""
        with database.translated():
            return self._db.execute("SELECT 1 FROM chain WHERE id = ?", (chain,)).fetchone() is not None

    def salvaged(self, after: Place, limit: int) -> list[tuple[Place, str]]:
        """Return up to ``limit`` events of earlier chains that wait after ``after`` as (place, JWS), in order."""
        query = "SELECT chain, sequence, jws FROM waiting WHERE (chain, sequence) > (?, ?) ORDER BY 1, 2 LIMIT ?"
        with database.translated():
            return [((chain, number), jws) for chain, number, jws in self._db.execute(query, (*after, limit))]

    def is_damage_kept(self) -> bool:
        """Say whether a damaged database lies beside, which a person has to look at."""
        with database.translated():
            return self._db.execute("SELECT 1 FROM damage").fetchone() is not None

    def _is_former(self, chain: str) -> bool:
        """Say whether a damaged file held ``chain``, as far as that is known."""
        query = (
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM chain WHERE id = ?1) AND (EXISTS (SELECT 1 FROM salvaged WHERE"
            " chain = ?1) OR EXISTS (SELECT 1 FROM former WHERE chain = ?1)"
            " OR EXISTS (SELECT 1 FROM damage WHERE coalesce(chain, ?1) = ?1))"
        )
        return self._db.execute(query, (chain,)).fetchone() is not None

    def _cover_salvaged(self, receipt: Receipt, committed_s: int) -> bool:
        """Note how far the agency holds an earlier chain; a receipt of before it was put back says nothing of now.

        Here it is held against those for other earlier chains; the view ``waiting`` holds it against the live one's.
        """
        place = (receipt.chain, receipt.through)
        row = self._db.execute("SELECT hash FROM salvaged WHERE chain = ? AND sequence = ?", place).fetchone()
        if row is not None and row[0] != receipt.hash:
            raise VerificationError(f"the receipt names another hash for event {receipt.through} of an earlier chain")
        known = self._db.execute("SELECT epoch, through FROM former WHERE chain = ?", (receipt.chain,)).fetchone()
        (newest,) = self._db.execute("SELECT coalesce(max(epoch), 0) FROM former").fetchone()
        if receipt.epoch < newest or (receipt.epoch, receipt.through) <= (known or (0, -1)):
            return False
        self._db.execute("INSERT OR REPLACE INTO former VALUES (?, ?, ?, ?)", (*place, receipt.epoch, committed_s))
        return True

    def _mismatch(self, receipt: Receipt) -> str | None:
        chain, key = self._db.execute("SELECT id, key FROM chain").fetchone() or (None, None)
        if chain is None:
            raise NotEnrolled("this station has no chain")
        if receipt.chain != chain:
            raise VerificationError(f"the receipt is for chain {receipt.chain}, ours is {chain}")
        row = self._db.execute("SELECT hash FROM event WHERE sequence = ?", (receipt.through,)).fetchone()
        (first,) = self._db.execute("SELECT coalesce(min(sequence), 1) FROM event").fetchone()
        if row is None and 0 < receipt.through < first:  # covered long ago, and gone: nothing to compare with
            return None
        own = key if receipt.through == 0 else row[0] if row else None
        if own != receipt.hash:
            return f"a receipt names another hash for event {receipt.through} than ours"
        return None

    def take_document(self, kind: str, version: int, jws: str) -> bool:
        """Keep a verified document where it is newer than the one held; say whether it was. Raises StoreError."""
        return database.take_document(self._db, kind, version, jws)

    def document(self, kind: str) -> str | None:
        """Return the newest document of ``kind`` that was kept; its signature is for the caller to check."""
        with database.translated():
            row = self._db.execute("SELECT jws FROM document WHERE kind = ?", (kind,)).fetchone()
        return row[0] if row else None

    def station_state(self) -> str | None:
        """Return what the station last said of itself, as JSON."""
        with database.translated():
            row = self._db.execute("SELECT state FROM station").fetchone()
        return row[0] if row else None

    def last_receipt(self) -> tuple[str, int] | None:
        """Return when the last receipt came and how far it reaches."""
        with database.translated():
            row: tuple[str, int] | None = self._db.execute(
                "SELECT received_at, through FROM delivery WHERE receipt NOT NULL"
            ).fetchone()
        return row

    def backlog(self) -> tuple[int, str | None]:
        """Return how many events wait for a receipt, and the time of the oldest."""
        with database.translated():
            row: tuple[int, str | None] = self._db.execute(
                "SELECT count(*), (SELECT time FROM event WHERE jws <> '' AND sequence > through ORDER BY sequence"
                " LIMIT 1) FROM event, delivery WHERE jws <> '' AND sequence > through"
            ).fetchone()
            (saved,) = self._db.execute("SELECT count(*) FROM waiting").fetchone()
        return row[0] + saved, row[1]

    def newest_day(self) -> str:
        """Return the day (YYYY-MM-DD) of the newest event; empty where there is none, or its content was erased."""
        with database.translated():
            row = self._db.execute("SELECT time FROM event ORDER BY sequence DESC LIMIT 1").fetchone()
        return str(row[0])[:10] if row else ""

    def tallies(self, day: str) -> dict[str, int]:
        """Return how many visits of ``day`` (YYYY-MM-DD) ended in which verdict."""
        query = "SELECT verdict, count(*) FROM event WHERE time BETWEEN ? AND ? AND verdict NOT NULL GROUP BY verdict"
        with database.translated():
            return dict(self._db.execute(query, (day, day + "~")))


def _seconds(committed_at: str, received_at: str) -> int:
    """Return when the agency committed, in seconds since 1970; when the receipt came, where it does not say."""
    try:
        return int(datetime.fromisoformat(committed_at).timestamp())
    except (ValueError, OverflowError):
        return int(datetime.fromisoformat(received_at).timestamp())


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another of the same name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
