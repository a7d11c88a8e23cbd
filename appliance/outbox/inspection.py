"""A look at the state database for damage, which leaves the folder as it was.

A database in WAL mode is opened with two files beside it, which SQLite makes where they are missing; made by another
user, they would lock the station out. So where the log is not there, which means that everything is in the database
itself, it is opened as a file that nobody changes.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from appliance.outbox.database import SCHEMA_VERSION, translated


def quick_check(path: Path) -> str:
    """Return what is wrong with the database, or nothing.

    Args:
        path: of the database; all of it is read once, about a second for 100 MB on a good SD card.

    Raises:
        StoreError: it cannot be opened or read.
    """
    way = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    with translated(), closing(sqlite3.connect(f"{path.absolute().as_uri()}?{way}", uri=True, timeout=1)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            return f"{path} holds tables of version {version}; this software knows version {SCHEMA_VERSION}"
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    return "" if verdict == "ok" else f"{path} is damaged: {verdict}"
