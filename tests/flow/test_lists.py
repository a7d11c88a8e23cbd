"""The roster at the station: what a thief of it must pay (T-25), and that a bad one never says "not on it" (T-58)."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.events.document import Document
from appliance.events.roster import Roster, roster_body
from appliance.events.sign import Jwk, KeySet, Signer
from appliance.outbox.store import DATABASE_NAME
from appliance.panel.screens import State
from appliance.run.documents import RosterSource
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.flow.stage import Stage
from tests.unit.agency.fleet import traces

SIGNER, STRANGER = Signer.generate(), Signer.generate()
SERIALS = (1, 2, 3)
LEAST_MEMORY_BYTES = 16 * 2**20
GUESSES = 10**7  # numbers of one district and one year of birth


def document(signer: Signer = SIGNER, body: dict[str, Any] | None = None, **changes: Any) -> str:
    now = datetime.now(UTC)
    body = body if body is not None else BODY
    good = Document("roster", 7, now - timedelta(days=1), now + timedelta(days=1), ("*",), body)
    return replace(good, **changes).sign(signer)


BODY = roster_body("school-1", "2026-11-22", [person(serial).citizen_id for serial in SERIALS])


def cut(body: dict[str, Any], characters: int) -> dict[str, Any]:
    return {**body, "entries": body["entries"][:-characters]}


NOW = datetime.now(UTC)

BAD: dict[str, Callable[[], str]] = {
    "truncated": lambda: document()[:-200],
    "a digest cut short": lambda: document(body=cut(BODY, 5)),
    "of another station": lambda: document(audience=("cnx-002",)),
    "of another agency's key": lambda: document(STRANGER),
    "of no key": lambda: "garbage",
    "of another kind": lambda: document(kind="denylist"),
    "empty": lambda: "",
}


def stage_with(folder: Path, jws: str) -> Stage:
    stage = Stage(folder)
    keys = KeySet([SIGNER.public("document")])
    if jws:
        stage.outbox.take_document("roster", 7, jws)
    stage.roster = RosterSource(stage.outbox, lambda: keys, "bkk-001")()
    return stage


@pytest.mark.parametrize("name", BAD)
def test_t58_a_roster_that_does_not_hold_is_none_and_nobody_is_off_it(tmp_path: Path, name: str) -> None:
    stage = stage_with(tmp_path, BAD[name]())
    for serial in (1, 9):
        assert stage.visit(ThaiCard(person(serial))).state is State.COULD_NOT_CHECK
    assert {event["data"]["checks"]["roster"]["why"] for event in stage.events()} == {"no_roster"}
    assert {event["data"]["verdict"] for event in stage.events()} == {"could_not_check"}


def test_t58_a_roster_that_is_stale_is_told_as_that(tmp_path: Path) -> None:
    old = document(issued_at=NOW - timedelta(days=3), expires_at=NOW - timedelta(days=1))
    stage = stage_with(tmp_path, old)
    for serial in (1, 9):
        assert stage.visit(ThaiCard(person(serial))).state is State.COULD_NOT_CHECK
    assert {event["data"]["checks"]["roster"]["why"] for event in stage.events()} == {"stale_roster"}


def test_t58_an_older_roster_does_not_take_the_place_of_a_newer_one(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, document())
    nobody = roster_body("school-1", "2026-11-20", [person(9).citizen_id])
    assert not stage.outbox.take_document("roster", 6, document(version=6, body=nobody))
    assert not stage.outbox.take_document("roster", 7, document(body=nobody))
    keys = KeySet([SIGNER.public("document")])
    stage.roster = RosterSource(stage.outbox, lambda: keys, "bkk-001")()
    assert stage.visit(ThaiCard(person(1))).state is State.ACCEPTED


def test_t25_a_thief_of_the_roster_pays_memory_and_time_for_each_guess_and_finds_no_name(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, document())
    stage.visit(ThaiCard(person(1)))
    stage.outbox.close()
    kdf: Jwk = BODY["kdf"]
    assert kdf["name"] == "scrypt"
    memory_bytes = 128 * kdf["r"] * kdf["n"]
    assert memory_bytes >= LEAST_MEMORY_BYTES, "a guess is bound to memory, not to a fast hash"
    assert memory_bytes * kdf["p"] * GUESSES >= 2**47, "all guesses together: bytes that go through memory"
    again = roster_body("school-1", "2026-11-22", [person(serial).citizen_id for serial in SERIALS])
    assert again["kdf"]["salt"] != kdf["salt"], "a table made for one roster is of no use for the next"
    assert len(Roster.from_document(Document("roster", 7, NOW, NOW, ("*",), BODY)).digests) == len(SERIALS)
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert DATABASE_NAME in {path.name for path in tmp_path.rglob("*")}
    for serial in SERIALS:
        assert person(serial).citizen_id.encode() not in content
        for text in (person(serial).full_name_th, json.dumps(person(serial).full_name_th)):
            assert not any(trace in content for trace in traces(text))
