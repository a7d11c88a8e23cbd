"""What a profile may not say: every problem is named, all at once, each with its line."""

from importlib.resources import files

import pytest

from appliance.cards.thai_id import Applet, Field
from appliance.checks.result import Result
from appliance.errors import ConfigError
from appliance.services.loading import _OTHER_APPLETS, MAX_FILE_BYTES, parse, shipped
from appliance.services.vocabulary import CHECKS, FIELDS

FOLDER = files("appliance.services")
ATTENDANCE = FOLDER.joinpath("school_attendance.toml").read_text("utf-8")
ENROL = FOLDER.joinpath("school_enrol.toml").read_text("utf-8")
POLICE = FOLDER.joinpath("police_lost_document.toml").read_text("utf-8")
UNIT = FOLDER.joinpath("nhso_unit_register.toml").read_text("utf-8")
OPENING = FOLDER.joinpath("moph_visit_open.toml").read_text("utf-8")
SSO = FOLDER.joinpath("sso_register.toml").read_text("utf-8").replace("advisory = [", 'advisory = ["dates", ')
VOUCH = FOLDER.joinpath("common_vouch.toml").read_text("utf-8")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "x.toml")
    return caught.value.problems


def test_the_hash_is_that_of_the_file() -> None:
    first, second = parse(ATTENDANCE.encode(), "x"), parse((ATTENDANCE + "\n").encode(), "x")
    assert len(first.sha256) == 43
    assert first.sha256 != second.sha256


WRONG = [
    (ATTENDANCE, 'read = ["citizen_id"]', 'read = ["religion"]', "'religion' is unknown"),
    (ATTENDANCE, 'read = ["citizen_id"]', 'read = ["citizen_id", "citizen_id"]', "names the same twice"),
    (ATTENDANCE, 'sealed = ["citizen_id"]', 'sealed = ["photo"]', "[record] sealed: 'photo' is not read"),
    (ATTENDANCE, '"roster"]', '"horoscope"]', "'horoscope' is unknown"),
    (ATTENDANCE, "version = 2", "version = 2\ncolour = 2", "colour: unknown key"),
    (ATTENDANCE, "version = 2", "versoin = 2", 'versoin: unknown key; did you mean "version"?'),
    (ATTENDANCE, "duplicate_window_s = 180", "duplicate_window_h = 3", "[checks] duplicate_window_h: unknown key"),
    (ATTENDANCE, 'id = "school.attendance"\n', "", "id: is missing"),
    (ATTENDANCE, "[title]", "[title", "not TOML"),
    (ATTENDANCE, "version = 2", "version = 2\nversion = 3", "not TOML"),
    (ATTENDANCE, "[title]", "[title]\n[title]", "not TOML"),
    (ATTENDANCE, '[record]\nsealed = ["citizen_id"]', "", "[record] sealed: is missing"),
    (ATTENDANCE, 'read = ["citizen_id"]', "read = 5", "[card] read: must be a list of fields of the card"),
    (ATTENDANCE, 'read = ["citizen_id"]', "read = []", "[card] read: must be a list of fields of the card"),
    (ATTENDANCE, 'sealed = ["citizen_id"]', "sealed = [5]", "[record] sealed: must be"),
    (ATTENDANCE, 'required = ["applet", ', "required = [", "must hold 'applet'"),
    (ATTENDANCE, "version = 2", 'version = "2"', "version: must be a whole number"),
    (ATTENDANCE, "version = 2", "version = true", "version: must be a whole number"),
    (ATTENDANCE, "duplicate_window_s = 180", 'duplicate_window_s = "180"', "duplicate_window_s: must be"),
    (ATTENDANCE, "station_after_receipt_days = 7", "station_after_receipt_days = -1", "is out of range"),
    (ATTENDANCE, 'word = "in"', "word = 5", "[choices] A: must be text"),
    (ATTENDANCE, 'word = "in"', 'word = "in\\u001b"', "[choices] A: must be text"),
    (ATTENDANCE, 'word = "in", ', "", "[choices] A: must be {"),
    (ATTENDANCE, 'word = "in"', 'word = "out"', "two buttons stand for the same word"),
    (ATTENDANCE, 'en = "School attendance"', 'en = ""', "[title] en: must be"),
    (ATTENDANCE, 'en = "School attendance"', 'en = "School\\u202eecnad"', "[title] en: must be"),
    (ATTENDANCE, 'default = "alternate"', 'default = "guess"', '[choices] default: must be one of "ask", "alternate"'),
    (ATTENDANCE, 'event_type = "school', 'event_type = "scool', "the id and .v1 to .v999"),
    (ATTENDANCE, 'inferred = ["checks.', 'inferred = ["cheques.', "inferred: 'cheques.duplicate_window_s' is unknown"),
    (ATTENDANCE, 'read = ["citizen_id"]', 'read = ["citizen_id", "photo"]', "'photo' stands in card.never"),
    (ATTENDANCE, 'read = ["citizen_id"]', 'read = ["name_th"]', "'name_th' stands in card.never"),
    (ATTENDANCE, "[retention]", "[display]\nname = true\n\n[retention]", "'name_th' is not read"),
    (ATTENDANCE, "[checks]", "[subject]\nmin_age = 7\n\n[checks]", "is checked by 'age', which stands neither in"),
    (ATTENDANCE, '"roster"]', '"roster", "age"]', "'age' needs 'birth_date', which is not read"),
    (ATTENDANCE, '"roster"]', '"roster", "dates"]', "needs one of the card's dates"),
    (ATTENDANCE, '"roster"]', '"roster", "consistency"]', "needs two of the card's dates"),
    (ATTENDANCE, "advisory = []", 'advisory = ["roster"]', "roster is required already"),
    (ATTENDANCE, "advisory = []", 'advisory = ["online"]', "'online' has nothing to check against"),
    (ENROL, 'unless = ["no_card"]', 'unless = ["no_cart"]', "no button stands for 'no_cart'"),
    (ENROL, '[card]\nread = ["citizen_id"]', '[card]\nread = ["name_th"]', "two cards must be of two persons"),
    (ENROL, ', "two_persons"]', "]", "is checked by 'two_persons'"),
    (ENROL, "max_age = 20", "max_age = 2", "is below min_age"),
    (ENROL, 'role = "child"', 'role = "aunt"', '[second] role: must be one of "guardian", "child"'),
    (POLICE, 'sealed = ["citizen_id", ', 'sealed = ["photo", ', "[record] sealed: 'photo' is larger than"),
    (UNIT, "deadline_ms = 4000", "deadline_ms = 40000", "40000 is out of range"),
    (UNIT, 'question = "entitlement"\n', "", "[online] question: is missing"),
    (OPENING, 'on_timeout = "outcome_unknown"', 'on_timeout = "could_not_check"', "must be 'outcome_unknown' for the"),
    (UNIT, 'on_timeout = "could_not_check"', 'on_timeout = "outcome_unknown"', "must be 'could_not_check' for"),
    (ENROL, "advisory = [", "duplicate_window_s = 60\nadvisory = [", "does nothing where there is a [second] card"),
    (
        ATTENDANCE,
        "[retention]",
        "[vouch]\nper_officer_day = 3\n\n[retention]",
        "[vouch] stands in the service",
    ),
    (POLICE, "advisory = [", 'advisory = ["dates", ', "dates is required already"),
    (SSO, '"dates", ', "", "'dates' belongs into required"),
    (VOUCH, 'id = "common.vouch"', 'id = "common.other"', "[vouch] stands in the service common.vouch"),
    (UNIT, '"chip_number"]\nnever', '"laser_number"]\nnever', "'laser_number' stands in card.never"),
]


@pytest.mark.parametrize(("text", "old", "new", "said"), WRONG, ids=[f"{at}-{row[3]}" for at, row in enumerate(WRONG)])
def test_what_is_wrong_is_named(text: str, old: str, new: str, said: str) -> None:
    assert old in text
    assert any(said in problem for problem in problems(text.replace(old, new, 1)))


def test_every_problem_comes_at_once_with_its_line() -> None:
    text = ATTENDANCE.replace("version = 2", 'version = "2"').replace('en = "School attendance"', 'en = ""')
    text = text.replace("duplicate_window_s = 180", "duplicate_window_s = -1")
    lines = text.splitlines()
    found = [problem.split(":")[1] for problem in problems(text)]
    wanted = [
        next(at for at, line in enumerate(lines, 1) if line.startswith(start)) for start in ("version", 'en = ""')
    ]
    assert [int(line) for line in found[:2]] == wanted
    assert len(found) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (b"version = " + b"9" * 5000, "too many digits"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than"),
        (b"", "is missing"),
        (b"id = 1\x00", "not TOML"),
    ],
)
def test_bombs_and_bytes_that_are_no_text(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(content, "x.toml")


def test_no_check_word_is_a_result_word() -> None:
    assert not {result.value for result in Result} & set(CHECKS)


def test_a_profile_may_name_every_field_of_the_card() -> None:
    assert set(FIELDS) == {field.symbol for field in Field}
    assert set(_OTHER_APPLETS) == {field.symbol for field in Field if field.applet is not Applet.MOI}


def test_the_shipped_profiles_come_by_id() -> None:
    ids = [profile.id for profile in shipped()]
    assert ids == sorted(set(ids))
