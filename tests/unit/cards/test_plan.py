"""Windows: as few as can be, and not a byte that nobody asked for."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards import plan
from appliance.cards.plan import MAX_WINDOW_BYTES
from appliance.cards.thai_id import CID, MAX_PHOTO_BYTES, PHOTO_LENGTH, TEXT, WITH_PHOTO, Applet, Field

ministry = st.sets(st.sampled_from([field for field in Field if field.applet is Applet.MOI]), min_size=1)


def bytes_of(windows: Sequence[range]) -> list[int]:
    return [at for window in windows for at in window]


def test_attendance_is_one_window_of_thirteen_bytes() -> None:
    assert plan.windows(CID) == (range(4, 17),)


def test_all_text_is_three_windows_and_the_number_is_in_the_first() -> None:
    assert plan.windows(TEXT) == (
        range(0, 255),
        range(255, 377),
        range(0x1579, 0x1627),
    )


def test_with_a_photo_its_length_is_read_with_the_text() -> None:
    assert plan.windows(WITH_PHOTO) == (
        range(0, 255),
        range(255, 379),
        range(0x1579, 0x1627),
    )


@given(ministry)
def test_a_plan_covers_the_wanted_fields_and_no_other_byte(fields: set[Field]) -> None:
    stretches = [PHOTO_LENGTH if field is Field.PHOTO else field.stretch for field in fields]
    assert bytes_of(plan.windows(tuple(fields))) == sorted(set(bytes_of(stretches)))


@given(ministry)
def test_no_plan_with_fewer_windows_reads_only_these_bytes(fields: set[Field]) -> None:
    windows = plan.windows(tuple(fields))
    assert all(0 < len(window) <= MAX_WINDOW_BYTES for window in windows)
    for first, second in pairwise(windows):
        if first.stop == second.start:
            assert len(first) == MAX_WINDOW_BYTES, "two neighbours could have been one"


@pytest.mark.parametrize(("size_bytes", "count"), [(0, 0), (1, 1), (255, 1), (256, 2), (4290, 17), (5118, 21)])
def test_a_photo_is_read_by_its_length(size_bytes: int, count: int) -> None:
    windows = plan.photo_windows(size_bytes)
    assert len(windows) == count
    assert bytes_of(windows) == list(range(0x017B, 0x017B + size_bytes))


def test_a_photo_never_reaches_into_the_address() -> None:
    assert bytes_of(plan.photo_windows(0xFFFF))[-1] == 0x017B + MAX_PHOTO_BYTES - 1 == Field.ADDRESS.offset - 1


def test_the_file_of_the_health_office_is_two_windows() -> None:
    assert plan.file_windows(Field.HEALTH) == [range(4, 259), range(259, 350)]
