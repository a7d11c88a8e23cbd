"""The shipped profiles, and what a profile may not say."""

from importlib.resources import files

import pytest

from appliance.cards.thai_id import Applet, Field
from appliance.checks.result import Result
from appliance.errors import ConfigError
from appliance.services.profile import _FIELDS, _OTHER_APPLETS, parse, shipped

TEXT = files("appliance.services").joinpath("school_attendance.toml").read_text("utf-8")


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "x.toml")
    return str(caught.value)


def test_attendance_reads_the_number_and_nothing_else() -> None:
    (attendance,) = [profile for profile in shipped() if profile.id == "school.attendance"]
    assert attendance.card_read == ("citizen_id",)
    assert attendance.sealed == ("citizen_id",)
    assert attendance.required == ("applet", "checksum", "roster")
    assert dict(attendance.choices) == {"A": "in", "B": "out"}


def test_every_field_that_a_profile_names_exists() -> None:
    for profile in shipped():
        assert [Field.named(name) for name in profile.card_read]


def test_the_hash_is_that_of_the_file() -> None:
    first, second = parse(TEXT.encode(), "x"), parse((TEXT + "\n").encode(), "x")
    assert len(first.sha256) == 43
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('read = ["citizen_id"]', 'read = ["religion"]', "no field named 'religion'"),
        ('sealed = ["citizen_id"]', 'sealed = ["photo"]', "'photo' is not read"),
        ('"roster"]', '"horoscope"]', "no check named 'horoscope'"),
        ("version = 1", "version = 1\ncolour = 2", "unknown key 'colour'"),
        ("duplicate_window_s = 180", "duplicate_window_h = 3", "unknown key checks.duplicate_window_h"),
        ('id = "school.attendance"\n', "", "missing"),
        ("[title]", "[title", "x.toml"),
        ('[record]\nsealed = ["citizen_id"]', 'record = "all"', "record.sealed is missing"),
        ('read = ["citizen_id"]', "read = 5", "card.read: must be a list of field names"),
        ('read = ["citizen_id"]', "read = []", "card.read: must be a list of field names"),
        ('sealed = ["citizen_id"]', "sealed = [5]", "record.sealed: must be"),
        ('required = ["applet", "checksum", "roster"]', "required = []", '"applet" among them'),
        ("version = 1", 'version = "1"', "version: must be a whole number"),
        ("version = 1", "version = true", "version: must be a whole number"),
        ("duplicate_window_s = 180", 'duplicate_window_s = "180"', "checks.duplicate_window_s: must be"),
        ("station_after_receipt_days = 7", "station_after_receipt_days = -1", "must be a whole number of days"),
        ('A = "in"', "A = 5", "choices.A: must be a word"),
        ('A = "in"', 'A = "in\\u001b"', "choices.A: must be a word"),
        ('en = "School attendance"', 'en = ""', "title.en: must be a title"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    assert said in problems(TEXT.replace(old, new))


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ConfigError):
        parse(b"\xff\xfe", "x.toml")


def test_no_check_word_is_a_result_word() -> None:
    (attendance,) = [profile for profile in shipped() if profile.id == "school.attendance"]
    assert not {result.value for result in Result} & set(attendance.required)


def test_a_profile_may_name_every_field_of_the_card() -> None:
    assert set(_FIELDS) == {field.symbol for field in Field}
    assert set(_OTHER_APPLETS) == {field.symbol for field in Field if field.applet is not Applet.MOI}
