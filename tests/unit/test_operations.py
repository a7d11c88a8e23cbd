"""The operations guide names every code, and no code means two things."""

import re
from pathlib import Path

import agency.store.database  # noqa: F401 - brings the agency's own code
from appliance import errors

GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"


def families(kind: type[Exception] = errors.CardStationError) -> list[type[Exception]]:
    return [kind, *(each for child in kind.__subclasses__() for each in families(child))]


def test_every_code_is_in_the_guide() -> None:
    text = GUIDE.read_text("utf-8")
    assert [kind.__name__ for kind in families() if f"| {vars(kind)['code']} |" not in text] == []


def test_every_code_means_one_thing() -> None:
    codes = [vars(kind)["code"] for kind in families()]
    assert len(codes) == len(set(codes))


def test_the_guide_names_no_code_that_is_gone() -> None:
    lines = [line.split("|")[1].strip() for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("| ")]
    known = {vars(kind)["code"] for kind in families()}
    assert {code for code in lines if re.fullmatch(r"[A-Z]\d\d", code)} == known
