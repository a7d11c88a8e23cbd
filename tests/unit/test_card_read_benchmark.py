"""The benchmark of reading a card: what it computes, and how it prints; what it measures is measured by running it."""

import pytest

from appliance.simulate.line import SerialLine, characters
from benchmarks.card_read import (
    NO_LINE,
    ROWS,
    TARGET_LINE,
    Row,
    Traffic,
    fewest,
    fewest_characters,
    limit_s,
    milliseconds,
    ratios,
    report,
    table,
    targets,
    windows,
)

NUMBER, NINE, TEXT, PHOTO = ROWS
SELECT_CHARACTERS = 16
NINE_ONE_BY_ONE = (13, 100, 100, 8, 1, 100, 8, 8, 100)
BULK = (255, 124, 174)
PHOTO_OF_4290 = (255,) * 16 + (210,)


@pytest.mark.parametrize(("sizes", "count"), [((13,), 47), (NINE_ONE_BY_ONE, 616), (BULK, 623)])
def test_the_fewest_characters_are_those_that_were_computed(sizes: tuple[int, ...], count: int) -> None:
    assert fewest_characters(sizes) == count


def test_a_photo_of_4290_bytes_is_4596_characters() -> None:
    assert fewest_characters(PHOTO_OF_4290) - SELECT_CHARACTERS == 4596


def test_the_photo_adds_two_bytes_of_text_that_tell_its_length() -> None:
    assert [len(window) for window in windows(TEXT)] == [255, 122, 174]
    assert [len(window) for window in windows(PHOTO)] == [*BULK, *PHOTO_OF_4290]


@pytest.mark.parametrize(
    ("line", "number_ms", "photo_ms"), [("372/1", 52, 5824), ("372/12", 4.4, 485), ("512/32", 2.3, 251)]
)
def test_the_limit_is_the_one_that_was_computed(line: str, number_ms: float, photo_ms: float) -> None:
    assert limit_s(NUMBER, SerialLine.parse(line)) * 1e3 == pytest.approx(number_ms, rel=0.02)
    assert limit_s(PHOTO, SerialLine.parse(line)) * 1e3 == pytest.approx(photo_ms, abs=0.5)


@pytest.mark.parametrize(("row", "count", "with_check"), [(NUMBER, 3, 3), (NINE, 9, 11), (TEXT, 7, 9), (PHOTO, 41, 43)])
def test_the_floor_sends_the_fewest_commands(row: Row, count: int, with_check: int) -> None:
    assert len(fewest(row)) == count
    assert len(fewest(row, with_check=True)) == with_check


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_commands_have_the_characters_that_are_computed(row: Row) -> None:
    answers = [bytes(command[4] + 2) if command[1] == 0xC0 else b"\x61\x00" for command in fewest(row)]
    sent = sum(characters(*exchange) for exchange in zip(fewest(row), answers, strict=True))
    assert sent == fewest_characters([len(window) for window in windows(row)])


def test_times_are_a_median_and_the_middle_half() -> None:
    assert milliseconds([0.001, 0.002, 0.003, 0.004, 0.100]) == "3.00 (2.00-4.00)"
    assert milliseconds([6.0, 6.2]) == "6100 (6050-6150)"


def test_a_table_keeps_names_left_and_figures_right() -> None:
    assert table(["", "line", "ms"], [["number", "372/1", "52.4"], ["text", "-", "7"]]).splitlines() == [
        "        line     ms",
        "number  372/1  52.4",
        "text    -         7",
    ]


TIMES = {"floor": [0.10], "floor + check": [0.11], "ours": [0.12], "worker": [0.15], "peer": [0.18]}
ALONE = {name: times for name, times in TIMES.items() if name != "peer"}


def test_ratios_are_of_medians() -> None:
    found = ratios((TEXT, TARGET_LINE), TIMES)
    assert found["ours / floor"] == pytest.approx(1.2)
    assert found["ours / floor + check"] == pytest.approx(12 / 11)
    assert found["worker / floor"] == pytest.approx(1.5)
    assert found["peer / ours"] == pytest.approx(1.5)
    assert found["peer / worker"] == pytest.approx(1.2)
    assert found["ours / limit"] == pytest.approx(0.12 / (621 * 12 * 512 / (32 * 4e6)))


def test_without_a_peer_or_a_line_there_is_no_ratio_with_it() -> None:
    assert list(ratios((TEXT, NO_LINE), ALONE)) == ["ours / floor", "ours / floor + check", "worker / floor"]


def test_targets_are_met_or_not() -> None:
    traffic = {(row.name, "ours"): Traffic(9, 0) for row in ROWS}
    said = targets(traffic, {(NUMBER, TARGET_LINE): TIMES, (NINE, NO_LINE): TIMES})
    assert said == [
        "NOT MET  number: 9 APDUs, at most 3",
        "met      text: 9 APDUs, at most 9",
        "met      text + photo: 9 APDUs, at most 43",
        "NOT MET  number, 512/32: 1.200 of the floor, at most 1.15",
        "met      number, 512/32: the peer takes 1.500 times as long (by a private method: it does not offer the row)",
        "met      nine fields, no line: the peer takes 1.500 times as long",
    ]


@pytest.mark.parametrize("times", [TIMES, ALONE], ids=["with the peer", "alone"])
def test_the_report_has_every_reader_and_every_cell(times: dict[str, list[float]]) -> None:
    twice = {name: [*each, *each] for name, each in times.items()}
    traffic = {(row.name, name): Traffic(3, 47) for row in ROWS for name in times}
    said = report(traffic, {(NUMBER, NO_LINE): twice, (NUMBER, TARGET_LINE): twice})
    assert ("peer" in said) == ("peer" in times)
    assert said.count("number  no line") == said.count("number  512/32") == 2
    assert "120 (120-120)" in said
    assert "nan" not in said
