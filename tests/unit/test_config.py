"""The settings file: every problem at once with its line; one declaration behind every page."""

import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from appliance import config
from appliance.errors import ConfigError
from appliance.settings_file import Problem, line_numbers, literal, masked, suggestion
from appliance.settings_schema import FilePath, Key, Numbers, Text, Whole, declared

MINIMAL = """\
[station]
id = "bkk-001"
agency = "obec"

[link]
host = "broker.example"
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "station.toml")
    return caught.value.problems


def with_line(table: str, line: str) -> str:
    """Return the minimal file with one more line in a table."""
    if f"[{table}]" in MINIMAL:
        return MINIMAL.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
    return f"{MINIMAL}\n[{table}]\n{line}\n"


def test_required_keys_are_enough() -> None:
    settings = config.parse(MINIMAL, "station.toml")
    assert settings.station.id == "bkk-001"
    assert settings.station.language is config.Language.TH
    assert settings.link.port == 8883
    assert settings.panel.buttons == (5, 6, 13)
    assert settings.service.id == "school.attendance"


def test_settings_cannot_be_changed() -> None:
    settings = config.parse(MINIMAL, "station.toml")
    with pytest.raises(FrozenInstanceError):
        settings.station.id = "other"  # type: ignore[misc]


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    assert problems_of(
        '[station]\nid = "BKK"\n[lnk]\nhost = 1\n[link]\nprot = 3\nport = 99999\n\n[panel]\nleds = [4,\n5,\n4]\n'
    ) == [
        "station.toml:1: [station] agency: is missing: Id of the agency it works for.",
        "station.toml:2: [station] id: must be text: 1 to 63 of a-z, 0-9 and '-', not first '-'",
        'station.toml:3: [lnk] unknown table; did you mean "link"?',
        "station.toml:5: [link] host: is missing: Host name or address of the agency's broker.",
        'station.toml:6: [link] prot: unknown key; did you mean "port"?',
        "station.toml:7: [link] port: 99999 is out of range: must be a whole number from 1 to 65535",
        "station.toml:10: [panel] leds: holds the same number twice",
    ]


def test_an_empty_file_names_what_is_missing() -> None:
    assert [problem.split(": ")[1] for problem in problems_of("")] == [
        "[station] id",
        "[station] agency",
        "[link] host",
    ]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("station", "site = 3"),
        ("station", 'site = "two\\nlines"'),
        ("station", 'language = "fr"'),
        ("station", "language = 1"),
        ("reader", 'allow = "ACS"'),
        ("reader", "allow = [1]"),
        ("reader", 'name = "ตัวอ่าน"'),
        ("service", 'id = "attendance"'),
        ("service", 'id = "School.attendance"'),
        ("service", 'id = "hospital.opd2"'),
        ("service", f'id = "a.{"b" * 63}"'),
        ("panel", 'display = "oled"'),
        ("panel", "address = 0x3E"),
        ("panel", "address = true"),
        ("panel", "rotate = 90"),
        ("panel", "buttons = [5, 6]"),
        ("panel", "buttons = [5, 6, 28]"),
        ("panel", "buttons = [5, 6, 6]"),
        ("panel", "buttons = [5, 6, true]"),
        ("panel", "buzzer = 1"),
        ("link", 'port = "8883"'),
        ("link", "port = 0"),
        ("link", "port = 8883.0"),
        ("link", "port = true"),
        ("link", 'ca = ""'),
        ("link", "keepalive_s = 4"),
        ("outbox", "max_bytes = 1048575"),
        ("outbox", "max_age_days = 0"),
        ("clock", "max_unsynced_h = 721"),
    ],
)
def test_wrong_types_and_ranges_are_refused(table: str, line: str) -> None:
    (problem,) = problems_of(with_line(table, line))
    assert problem.startswith("station.toml:")
    assert f"[{table}] {line.partition(' ')[0]}: " in problem
    assert "must be" in problem or "twice" in problem


@pytest.mark.parametrize("host", ["mqtts://a", "a b", "a:", "-a", "", "user@host"])
def test_a_host_is_a_host(host: str) -> None:
    (problem,) = problems_of(MINIMAL.replace("broker.example", host))
    assert "[link] host: must be text: a host name" in problem


@pytest.mark.parametrize("host", ["a", "10.0.0.1", "fe80::1", "broker.example.go.th"])
def test_hosts_that_are_fine(host: str) -> None:
    assert config.parse(MINIMAL.replace("broker.example", host), "f").link.host == host


def test_a_table_must_be_a_table() -> None:
    assert problems_of(f"reader = 3\n{MINIMAL}") == ["station.toml:1: [reader] must be a table: write [reader]"]


@pytest.mark.parametrize(
    ("panel", "expected"),
    [
        ("buzzer = 5", "pin 5 is already used by buttons"),
        ("leds = [6, 20, 21]", "pin 6 is already used by buttons"),
        ("buttons = [3, 20, 21]", "pin 3 is already used by the screen"),
    ],
)
def test_a_pin_has_one_job(panel: str, expected: str) -> None:
    (problem,) = problems_of(f"{MINIMAL}[panel]\n{panel}\n")
    assert problem.endswith(expected)
    assert problem.startswith("station.toml:8: ")


def test_without_the_screen_its_pins_are_free() -> None:
    text = f'{MINIMAL}[panel]\ndisplay = "none"\nbuttons = [2, 3, 4]\nleds = []\nbuzzer = 0\n'
    assert config.parse(text, "f").panel.buttons == (2, 3, 4)


def test_content_of_a_key_file_is_never_repeated() -> None:
    secret = "-----BEGIN SOMETHING-----abc"
    (problem,) = problems_of(with_line("link", f'key = "{secret}"'))
    assert "abc" not in problem
    assert "not the content of the file" in problem


def test_syntax_errors_have_a_line() -> None:
    assert problems_of('[station]\nid = "a"\nagency = \n') == ["station.toml:3: not TOML: Invalid value"]
    (problem,) = problems_of('[station]\nid = "a')
    assert problem.startswith("station.toml:2: not TOML: ")
    (problem,) = problems_of('[station]\nid = "a"\nid = "b"\n')
    assert problem.startswith("station.toml:3: not TOML: ")


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"none\.toml: there is no such file; .* 'card-station config show --defaults'"
    ):
        config.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


def test_size_and_encoding_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(b"#" * (32 << 10) + b"\n")
    with pytest.raises(ConfigError, match="larger than 32768"):
        config.load(path)
    path.write_bytes(b"[station]\n# caf\xe9\n")
    with pytest.raises(ConfigError, match="2: not UTF-8 text"):
        config.load(path)


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert config.load(path).station.agency == "obec"
    assert config.show(path)[0].source == "station.toml:2"


def test_thai_text_is_fine() -> None:
    text = with_line("station", 'site = "โรงเรียนวัดใจดี"')
    assert config.parse(text, "f").station.site == "โรงเรียนวัดใจดี"


def test_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(f'{MINIMAL}port = 1883\n[panel]\nbuttons = [\n  4,\n  5,\n  6,\n]\nbuzzer = 0 # "none"\n')
    shown = {(row.table, row.key): row for row in config.show(path)}
    assert len(shown) == sum(len(declared(table)) for table in config.TABLES.values())
    assert (shown["link", "port"].value, shown["link", "port"].source) == ("1883", "station.toml:7")
    assert (shown["panel", "buttons"].value, shown["panel", "buttons"].source) == (
        "[4, 5, 6]",
        "station.toml:9",
    )
    assert shown["panel", "buzzer"].source == "station.toml:14"
    assert (shown["link", "ca"].value, shown["link", "ca"].source) == ('"tls/ca.pem"', "default")


def test_a_secret_is_masked() -> None:
    known = Key("A word.", Text(".*", "anything"), secret=True)
    assert masked(known, "open sesame") == '"***"'
    assert masked(Key("A word.", Text(".*", "anything")), "open") == '"open"'


def test_the_page_of_defaults_is_a_file_that_loads() -> None:
    page = config.commented_defaults()
    filled = (
        page.replace('\nid = ""', '\nid = "bkk-001"')
        .replace('\nagency = ""', '\nagency = "obec"')
        .replace('\nhost = ""', '\nhost = "broker.example"')
    )
    assert config.parse(filled, "f") == config.parse(MINIMAL, "f")


def test_the_page_of_defaults_shows_every_key_with_its_kind_and_unit() -> None:
    page = config.commented_defaults()
    tables = tomllib.loads(page)
    for name, table in config.TABLES.items():
        assert list(tables[name]) == list(declared(table))
        for known, _ in declared(table).values():
            assert known.doc in page
            assert known.kind.describe() in page
            assert not known.unit or f", in {known.unit}" in page


def test_the_page_of_defaults_unfilled_says_what_is_required() -> None:
    assert len(problems_of(config.commented_defaults())) == 3


def test_reader_accepts_by_prefix() -> None:
    reader = config.Reader(name="ACS", allow=("ACS ACR39U", "Gemalto"))
    assert reader.accepts("ACS ACR39U 00 00")
    assert not reader.accepts("ACS ACR122U 00 00")
    assert not reader.accepts("Gemalto PC 00 00")
    assert config.Reader().accepts("anything")


def test_paths_start_at_the_state_directory() -> None:
    settings = config.parse(with_line("link", 'ca = "/etc/ca.pem"'), "f")
    assert Path("/state") / settings.link.ca == Path("/etc/ca.pem")
    assert Path("/state") / settings.link.key == Path("/state/tls/station.key")


def test_where_the_file_is_looked_for() -> None:
    assert config.find("a.toml", {"CARD_STATION_CONFIG": "b.toml"}) == Path("a.toml")
    assert config.find(None, {"CARD_STATION_CONFIG": "b.toml"}) == Path("b.toml")
    assert config.find(None, {}) == Path("/etc/card-station/station.toml")


def test_where_state_and_sockets_are_kept() -> None:
    assert config.state_directory({}) == Path("/var/lib/card-station")
    assert config.state_directory({"STATE_DIRECTORY": "/s"}) == Path("/s")
    assert config.runtime_directory({}) == Path("/run/card-station")
    assert config.runtime_directory({"RUNTIME_DIRECTORY": "/r"}) == Path("/r")


def test_line_numbers_see_through_strings_that_look_like_toml() -> None:
    text = '# [a]\n[a]\nx = """\n[b]\ny = 1\n"""\n\n# y = 2\ny = [\n# 1\n]\n[b]\ny = 3'
    lines = line_numbers(text)
    assert lines["a",] == 2
    assert lines["a", "x"] == 3
    assert lines["a", "y"] == 7 + 2
    assert lines["b",] == 12
    assert lines["b", "y"] == 13


@pytest.mark.parametrize("value", ['a"b\\c', "ไทย", (), (1, 2), ("a", "b"), 7, Path("a/b")])
def test_a_literal_is_read_back(value: object) -> None:
    back = tomllib.loads(f"x = {literal(value)}")["x"]
    assert (tuple(back) if isinstance(back, list) else back) == (str(value) if isinstance(value, Path) else value)


def test_suggestions_are_near_or_absent() -> None:
    assert suggestion("buzer", ["buzzer", "leds"]) == '; did you mean "buzzer"?'
    assert suggestion("zzz", ["buzzer", "leds"]) == ""


def test_problems_read_well() -> None:
    assert str(Problem(("a",), "is wrong")) == "[a] is wrong"
    assert str(Problem(("a", "b"), "is wrong")) == "[a] b: is wrong"


def test_kinds_describe_themselves() -> None:
    assert Whole(1, 3, also=(0,)).describe() == "whole number from 1 to 3, or 0"
    assert Numbers(Whole(1, 3), 2).read([3, 1]) == (3, 1)
    assert Numbers(Whole(1, 3), 2).read([]) == ()
    assert FilePath().read("a/b") == Path("a/b")
