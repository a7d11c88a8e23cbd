"""What ``card-station read --json`` makes of every card of the deck, through a real pcscd: exit code, checks, problems.

The table is the review: each line was compared with what is known of cards (docs/card.md). A card that is not named in
it is a good one: exit 0, every check passed, no problem. ``pytest -s`` prints the table as it came out.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.simulate.deck import deck, samples
from appliance.simulate.pcscd import PORT, PrivatePcscd
from appliance.simulate.product import POLL_S
from appliance.simulate.vpcd import VpcdCard

SLOTS = 2
PROGRESS = ("card-station: reading: ", "card-station: waiting for ")
PASSED = {"checksum": "pass", "dates": "pass", "consistency": "pass"}

Problems = dict[str, str]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        code: the exit code.
        error: the stable code on standard error, where nothing was read.
        problems: field and code.
        checks: those that did not pass.
        null: fields that must be null without a problem.
    """

    code: int = 0
    error: str = ""
    problems: Problems = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    null: tuple[str, ...] = ()


NOT_THAI, GARBLED, SILENT = Row(5, "C05"), Row(6, "C04"), Row(6, "C03")
OLD_CHIP = Row(null=("laser_number", "chip_number"))
BAD_NUMBER = Row(1, checks={"checksum": "fail"})
NO_NUMBER = Row(1, problems={"citizen_id": "not_digits"}, checks={"checksum": "fail"})
NO_NAMES = Row(problems={"name_th": "parts", "name_en": "parts"})


def dates(**found: str) -> Row:
    return Row(1, problems=found, checks={"dates": "fail"})


TABLE: dict[str, Row] = {
    # not Thai, or not to be read
    "bank": NOT_THAI, "contactless": NOT_THAI,
    "dumb": NOT_THAI, "memory": NOT_THAI, "eid": NOT_THAI, "sim": NOT_THAI, "sw-6A82": NOT_THAI,
    "atr-1-byte": Row(5, "C10"), "atr-40-bytes": Row(6, "C09"), "mute-atr": Row(4, "R05"),
    "mute": SILENT, "mute-at-3": SILENT, "mute-at-50": SILENT, "very-slow": SILENT, "empty": SILENT,
    "endless": GARBLED, "endless-empty": GARBLED, "wrong-length": GARBLED, "short": GARBLED, "long": GARBLED,
    "no-sw": GARBLED, "huge": GARBLED, "swapped-at-5": GARBLED, "swapped-at-30": GARBLED,
    "pulled-at-3": Row(6, "C01"), "pulled-at-40": Row(6, "C01"),
    "read-sw-6982": Row(6, "C06"), "photo-refused": Row(6, "C06"),
    "version-0002": Row(6, "C11"), "version-0004": Row(problems={"version": "unknown_version"}),
    # chips
    **{f"nid{number}": OLD_CHIP for number in range(11)},
    "no-nhso": Row(null=("health",)), "no-laser": Row(null=("laser_number",)),
    "laser-refused": Row(null=("laser_number",)), "blank-laser": Row(null=("laser_number",)),
    "no-chip-number": Row(null=("chip_number",)), "chip-number-refused": Row(null=("chip_number",)),
    "manager-refused": Row(null=("chip_number",)),
    # number
    "bad-number": BAD_NUMBER, "zero-number": BAD_NUMBER,
    "letters-in-number": NO_NUMBER, "12-digit-number": NO_NUMBER,
    # names and text
    "name-without-hash": NO_NAMES, "name-3-parts": NO_NAMES, "name-5-parts": NO_NAMES,
    "no-english-name": Row(null=("name_en",)),
    "undefined-bytes": Row(problems={"name_th": "undefined_byte"}), "nbsp": Row(problems={"name_th": "undefined_byte"}),
    "controls": Row(problems=dict.fromkeys(("name_th", "name_en", "issuer", "address"), "control")),
    "sex-3": Row(problems={"sex": "unknown_value"}),
    "address-7-parts": Row(problems={"address": "parts"}), "address-9-parts": Row(problems={"address": "parts"}),
    "address-blank": Row(null=("address",)),
    # dates
    "birth-month-13": dates(birth_date="not_a_date"), "no-leap-day": dates(birth_date="not_a_date"),
    "birth-after-issue": Row(1, checks={"consistency": "fail"}),
    "zero-dates": Row(checks={"dates": "could_not_check", "consistency": "could_not_check"}),
    "blank-dates": Row(checks={"dates": "could_not_check", "consistency": "could_not_check"}),
    "letters-in-dates": Row(
        1,
        problems=dict.fromkeys(("birth_date", "issue_date", "expiry_date"), "not_a_date"),
        checks={"dates": "fail", "consistency": "could_not_check"},
    ),
    # photo
    "no-photo": Row(null=("photo",)), "photo-length-0": Row(null=("photo",)),
    "photo-length-6000": Row(problems={"photo": "photo_length"}),
    "photo-without-start": Row(problems={"photo": "not_jpeg"}),
    "photo-without-end": Row(problems={"photo": "jpeg_cut"}),
}  # fmt: skip

#: Fields that are shown although there is a problem with them.
KEEP_THEIR_SHAPE = {"version", "birth_date", "issue_date", "expiry_date"}

#: The whole deck, and some more commands at which things may happen.
CARDS = [*samples(), "mute-at-50", "pulled-at-40", "swapped-at-5", "swapped-at-30"]

#: What dates look like that are not a whole day.
DATES = {
    "birth-year-only": ("birth_date", {"value": "1992", "precision": "year"}),
    "birth-month-only": ("birth_date", {"value": "1992-06", "precision": "month"}),
    "leap-day": ("birth_date", {"value": "1988-02-29", "precision": "day"}),
    "lifetime": ("expiry_date", {"value": None, "precision": "lifetime"}),
    "expiry-blank": ("expiry_date", {"value": None, "precision": "unknown", "raw": "20" * 8}),
    "birth-blank": ("birth_date", {"value": None, "precision": "unknown", "raw": "20" * 8}),
    "no-leap-day": ("birth_date", {"value": None, "precision": "unknown", "raw": b"25320229".hex()}),
}


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    code: int
    words: str
    record: dict[str, Any]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Read every card of the deck once; the two virtual slots work side by side."""
    with PrivatePcscd(tmp_path_factory.mktemp("pcscd")), ThreadPoolExecutor(SLOTS) as hands:
        halves = [CARDS[slot::SLOTS] for slot in range(SLOTS)]
        read = dict(pair for half in hands.map(_read_all, range(SLOTS), halves) for pair in half)
    print("\ncard                  exit  error  checks that did not pass; problems")
    for name, one in sorted(read.items()):
        print(f"{name:20}  {one.code:4}  {_error(one):5}  {_said(one.record)}".rstrip())
    return read


def _read_all(slot: int, names: list[str]) -> list[tuple[str, Outcome]]:
    return [(name, _read(slot, name)) for name in names]


def _read(slot: int, name: str) -> Outcome:
    card = VpcdCard(deck(name), PORT + slot)
    card.insert()
    command = [sys.executable, "-m", "appliance.cli", "read", "--json", "--wait", "5", "--reader"]
    try:
        ended = subprocess.run(
            [*command, f"Virtual PCD 00 0{slot}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "CARD_STATION_CONFIG": "", "PYTHONIOENCODING": "utf-8"},
        )
    finally:
        card.remove()
        time.sleep(POLL_S)
    return Outcome(ended.returncode, ended.stderr, json.loads(ended.stdout) if ended.stdout else {})


def _error(one: Outcome) -> str:
    """Return the stable code of the last line; the lines before it tell how far the read was."""
    return one.words.splitlines()[-1].split(":")[1].strip() if one.code and not one.record else ""


def _said(record: dict[str, Any]) -> str:
    checks = [f"{name} {value}" for name, value in record.get("checks", {}).items() if value != "pass"]
    problems = [f"{problem['field']}: {problem['code']}" for problem in record.get("problems", [])]
    return ", ".join(checks + problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", CARDS)
def test_every_card_ends_as_the_table_says(outcomes: dict[str, Outcome], name: str) -> None:
    expected, found = TABLE.get(name, Row()), outcomes[name]
    assert "Traceback" not in found.words
    assert found.code == expected.code, found.words
    assert _error(found) == expected.error
    if expected.error:
        assert found.record == {}, "nothing of a card that was not read whole"
        lines = found.words.splitlines()
        assert all(line.startswith("card-station: ") for line in lines), found.words
        assert len([line for line in lines if not line.startswith(PROGRESS)]) == 1, found.words
        return
    assert {problem["field"]: problem["code"] for problem in found.record["problems"]} == expected.problems
    assert found.record["checks"] == {**PASSED, **expected.checks}
    holes = {key for key, value in found.record.items() if value is None}
    assert holes == {*expected.null, *(expected.problems.keys() - KEEP_THEIR_SHAPE)}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATES)
def test_dates_keep_the_precision_that_the_card_gives(outcomes: dict[str, Outcome], name: str) -> None:
    key, value = DATES[name]
    assert outcomes[name].record[key] == value


@pytest.mark.slow
def test_nothing_that_controls_a_terminal_comes_out(outcomes: dict[str, Outcome]) -> None:
    for one in outcomes.values():
        for text in (json.dumps(one.record, ensure_ascii=False), one.words.replace("\n", "")):
            assert text.isprintable(), one


@pytest.mark.slow
def test_every_line_of_the_table_is_about_a_card_of_the_deck() -> None:
    assert {*TABLE, *DATES} <= set(CARDS)
