"""Every test that ``docs/threats.md`` names for a threat exists, and each threat stands there once."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|\n").split("|"))
    for line in (ROOT / "docs" / "threats.md").read_text("utf-8").splitlines()
    if line.startswith("| T-")
]


def test_each_threat_stands_once_and_in_order() -> None:
    ids = [id_ for id_, _, _ in ROWS]
    assert ids == sorted(set(ids))
    assert len(ids) > 40


@pytest.mark.parametrize(("id_", "tests"), [(id_, tests) for id_, _, tests in ROWS])
def test_its_tests_exist(id_: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)
    assert named, id_
    for one in named:
        path, _, function = one.partition("::")
        content = (ROOT / path).read_text("utf-8")
        assert not function or f"def {function}(" in content, one
