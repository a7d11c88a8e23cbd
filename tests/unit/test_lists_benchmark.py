"""The benchmark of the lists: what it takes up is a whole list, and wrong options end in words."""

import pytest

from appliance.events.document import Document
from appliance.events.roster import Roster
from benchmarks.lists import main, signed_list


def test_the_list_is_whole_and_signed() -> None:
    jws, keys = signed_list(3000)
    assert len(Roster.from_document(Document.open(jws, keys, "roster", "bkk-001")).digests) == 3000


def test_it_says_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--people", "10", "--rounds", "1"]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["take", "look", "visit", "visit"]


@pytest.mark.parametrize("wrong", [["--people", "0"], ["--rounds", "x"], ["--nonsense"]])
def test_wrong_options(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
