"""A state database that breaks under the whole product: the station mends itself, the agency learns what is lost."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.outbox.store import DATABASE_NAME
from appliance.simulate.product import Product

WAITING, PATIENCE_S = "the receipts of both chains", 60.0


def status(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(product.station("--json", "status"))
    return found


def is_all_sent(product: Product) -> bool:
    return bool(status(product)["backlog"]["count"] == 0)


def flip(path: Path, jws: str) -> None:
    """Change one bit of an event in the file."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = bytearray(path.read_bytes())
    content[content.index(jws.encode()) + len(jws) // 2] ^= 1
    path.write_bytes(content)


def audit(product: Product) -> list[tuple[str, str]]:
    command = [sys.executable, "-m", "agency", "--home", str(product.home), "audit", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, "an operator must look"
    return [(problem["code"], problem["text"]) for problem in json.loads(done.stdout)["problems"]]


def lose_one(product: Product) -> list[dict[str, Any]]:
    """Break the first event that waits; return the rows of the chain, that one with ``lost``."""
    rows: list[dict[str, Any]] = json.loads(product.station("--json", "outbox", "list"))
    first = next(row for row in rows if not row["covered"])
    shown = json.loads(product.station("--json", "outbox", "show", str(first["sequence"])))
    flip(product.state / DATABASE_NAME, shown["jws"])
    first["lost"] = True
    return rows


def test_what_is_lost_is_named_what_is_left_arrives_and_people_go_on(tmp_path: Path) -> None:
    with Product(tmp_path) as product:
        product.set_up()
        product.start("ingest", "station", "link")
        product.wait_until_ready()
        product.visit("person-1")
        product.remove()
        product.wait_for(lambda: is_all_sent(product), "the first receipts", PATIENCE_S)
        product.kill("ingest")
        for name in ("person-2", "person-3"):
            product.visit(name)
            product.remove()
        product.kill("station")
        rows = lose_one(product)
        before = len(product.screens())
        product.start("station", "ingest")  # the link still has the old file open, and notices
        product.wait_for(lambda: product.processes["link"].poll() is not None, "the end of the link", PATIENCE_S)
        product.start("link")
        product.wait_for(lambda: any(s["state"] == "idle" for s in product.screens()[before:]), "an idle panel")
        assert product.visit("person-3")["state"] == "already_recorded", "whoever was here is still known"
        product.remove()
        assert product.visit("person-9")["reference"] == "2", "after the event that says what is broken"
        product.remove()
        product.wait_for(lambda: is_all_sent(product), WAITING, PATIENCE_S)
        check_agency(product, rows)
        product.station("outbox", "verify")


def check_agency(product: Product, rows: list[dict[str, Any]]) -> None:
    """All but the lost event is there, the lost one is named, and the station is flagged."""
    old = sorted(event["sequence"] for event in product.events() if event["chain"] == rows[0]["chain"])
    assert old == [row["sequence"] for row in rows if "lost" not in row]
    (number,) = (row["sequence"] for row in rows if "lost" in row)
    found = audit(product)
    assert [(code, text.partition(" in ")[0].partition(";")[0]) for code, text in found] == [
        ("flag", "flagged: chain_broken"),
        ("excused", f"{number} to {number} are not held: declared lost"),
    ]
    (station,) = json.loads(product.agency("--json", "station", "list"))
    assert station["flag"] == "chain_broken"
