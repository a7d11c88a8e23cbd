"""The watch over every screen of these tests can fail (T-28)."""

import pytest

from tests.flow.conftest import NAMES, betrays


@pytest.mark.parametrize("words", ["1000000012345", f"คุณ {NAMES[0]}", f"Mr. {NAMES[-1]}", "เลขที่ 123456789"])
def test_a_number_or_a_name_is_noticed(words: str) -> None:
    assert betrays(words)


@pytest.mark.parametrize("words", ["อยู่ในรายชื่อ ณ 22 พ.ย. 69 #0000214", "On the list 07:42 #12345678", "A เข้า B ออก"])
def test_what_the_panel_says_is_not(words: str) -> None:
    assert not betrays(words)
