"""``linkage.toml`` and ``card-agency linkage check``: every mistake at once, and nothing asked in clear."""

import logging
import re
import textwrap
from pathlib import Path

import pytest

from agency.commands.linkage import _bureau_of as bureau_of
from agency.desk.documents import sign_services
from agency.linkage import configuration
from agency.linkage.configuration import Linkage, load
from agency.linkage.simulator import FAULTS, Simulator, serving
from agency.store.database import Database
from appliance.errors import ConfigError, VerificationError
from appliance.events.sign import Signer
from appliance.services.loading import parse, shipped
from tests.unit.agency.fleet import Desk

GOOD = """
[card_status]
url = "https://status.example/CheckCardService.asmx"
timeout_s = 2.5
[records]
url = "http://127.0.0.1:8080/records"
token_file = "token"
[claims]
url = "https://claims.example"
unit = "10670"
claim_type = "PG0060001"
[services]
bkk-001 = ["tdc.register"]
[limits]
per_minute = 5
per_day = 500
"""


def written(folder: Path, content: str) -> Path:
    (folder / "token").write_text("a-token\n")
    path = folder / "linkage.toml"
    path.write_text(content, "utf-8")
    return path


def test_a_good_file_is_what_it_says(tmp_path: Path) -> None:
    linkage = load(written(tmp_path, GOOD))
    assert linkage.card_status is not None
    assert linkage.records is not None
    assert (linkage.card_status.timeout_s, linkage.per_minute, linkage.per_day) == (2.5, 5, 500)
    assert linkage.services == {"bkk-001": ["tdc.register"]}
    assert linkage.records.headers == {"Authorization": "Bearer a-token"}
    assert (linkage.unit, linkage.claim_type) == ("10670", "PG0060001")


def test_without_a_file_nobody_is_asked(tmp_path: Path) -> None:
    assert load(tmp_path / "linkage.toml") == Linkage()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[card]\n", "linkage.toml:1: [card] unknown table; there are card_status, records"),
        ("[card_state]\n", '[card_state] unknown table; did you mean "card_status"?'),
        (
            "\n\n[records]\nurl = 'https://x'\ntimout_s = 1\n",
            ':5: [records] timout_s: unknown key; did you mean "timeout_s"?',
        ),
        ("[records]\nurl = 'https://x'\nmax_age_days = -1\n", "max_age_days: must be a whole number, 0 to 36500"),
        ("url = 'https://x'\n", "stands in no table"),
        (f"x = {'[' * 9000}{']' * 9000}\n", "nested too deep"),
        (f"x = {'9' * 5000}\n", "too many digits"),
        ("[records]\nurl = 'https://x'\ntoken_file = \"a\\u0000b\"\n", "cannot read"),
        ("[records]\nurl = 'https://x'\nca = \"a\\u0000b\"\n", "cannot use the certificates in"),
        ("card_status = 1\n", "[card_status] must be a table"),
        ("[card_status]\n", "[card_status] url: is missing"),
        ("[records]\nurl = 1\n", "[records] url: must be text"),
        ("[records]\nurl = 'https://x'\nwhere = 1\n", "[records] where: unknown key"),
        ("[records]\nurl = 'https://x'\ntimeout_s = 0\n", "timeout_s: must be a number, 0.1 to 9.5"),
        ("[records]\nurl = 'https://x'\ntimeout_s = 10\n", "timeout_s: must be a number, 0.1 to 9.5"),
        ("[records]\nurl = 'https://x'\ntimeout_s = true\n", "timeout_s: must be a number"),
        ("[records]\nurl = 'https://x'\ntimeout_s = nan\n", "timeout_s: must be a number"),
        ("[limits]\nper_minute = 0\n", "per_minute: must be a whole number, 1 to 10000"),
        ("[limits]\nper_minute = 1.5\n", "per_minute: must be a whole number"),
        ("[limits]\nper_day = 0\n", "per_day: must be a whole number, 1 to 1000000"),
        ("[services]\nBKK = ['tdc.register']\n", "[services] BKK: is no id of a station"),
        ("[services]\nbkk = 'tdc.register'\n", "[services] bkk: must be a list of ids of services"),
        ("[services]\n'*' = ['tdc']\n", "[services] *: must be a list of ids of services"),
        ("services = 1\n", "[services] must be a table"),
        ("[claims]\nurl = 'https://x'\n", "[claims] unit: is missing"),
        ("[records]\nurl = 'http://records.example/'\n", "must be https"),
        ("[records]\nurl = 'ftp://x'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://u:p@x/'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x/?pid=1'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x:99999/'\n", "a port that is none"),
        ("[records]\nurl = 'https://x:0/'\n", "a port that is none"),
        ("[records]\nurl = 'https://x:a/'\n", "a port that is none"),
        ("[records]\nurl = 'https://:443/'\n", "has no host"),
        ("[records]\nurl = 'https:///x'\n", "has no host"),
        ("[records]\nurl = 'https://x..y/'\n", "has no host"),
        (f"[records]\nurl = 'https://{'x' * 64}/'\n", "has no host"),
        ("[records]\nurl = 'https://[::1/'\n", "has no host"),
        ("[records]\nurl = 'https://x/a b'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://ทะเบียน.ไทย/'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x/ก'\n", "must be a plain URL"),
        ('[records]\nurl = "https://x/\\n"\n', "must be a plain URL"),
        ('[records]\nurl = "https://x/\\u007f"\n', "must be a plain URL"),
        ("[records]\nurl = 'https://@x/'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x/?'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x/#'\n", "must be a plain URL"),
        ("[records]\nurl = 'x/records'\n", "must be a plain URL"),
        ("[records]\nurl = 'https://x'\nca = 'none.pem'\n", "cannot use the certificates in"),
        ("[records]\nurl = 'https://x'\nca = 'token'\n", "cannot use the certificates in"),
        ("[records]\nurl = 'https://x'\ntoken_file = 'none'\n", "cannot read"),
        ("[records]\nurl = 'https://x'\ntoken_file = 'linkage.toml'\n", "holds no token"),
        ("[records\n", "linkage.toml"),
        ("\udce9", "linkage.toml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = written(tmp_path, "")
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://x.example:8443/a/b", "https://xn--o3cw4h", "http://[::1]:80", "HTTPS://X/%20"]
)
def test_a_plain_url_is_good(tmp_path: Path, url: str) -> None:
    assert load(written(tmp_path, f"[records]\nurl = '{url}'\n")).records is not None


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "[records]\nurl = 1\n[limits]\nper_minute = 0\n[x]\n"))
    assert len(caught.value.problems) == 3


def test_the_command_says_who_is_asked_and_what_is_missing(desk: Desk) -> None:
    ran = desk.run("linkage", "check")
    assert (ran.code, "'card-agency keys rotate query' makes it" in ran.err) == (78, True)
    assert desk.run("linkage", "run").code == 78
    for purpose in ("query", "answer"):
        assert desk.run("keys", "rotate", purpose).code == 0
    assert desk.run("linkage", "check", "--json").json() == [
        {"question": "registry_status", "asks": "nobody"},
        {"question": "entitlement", "asks": "nobody"},
        {"question": "agency_record", "asks": "nobody"},
        {"question": "visit_open", "asks": "the agency itself"},
        {"question": "visit_close", "asks": "the agency itself"},
    ]
    assert "linkage.toml is missing, so nobody else is asked" in desk.run("linkage", "check").err
    written(desk.home.path, GOOD)
    assert "https://status.example/CheckCardService.asmx" in desk.run("linkage", "check").out
    assert "is missing" not in desk.run("linkage", "check").err
    written(desk.home.path, "[x]\n")
    assert desk.run("linkage", "check").code == 78


def test_every_example_is_a_good_file(tmp_path: Path) -> None:
    module = str(configuration.__doc__).split("::\n")[1].replace("https://…", "https://x.example")
    page = (Path(__file__).parents[4] / "docs" / "linkage.md").read_text("utf-8")
    written_out, simulated = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "records.token").write_text("a-token")
    for text in (textwrap.dedent(module), written_out):
        lines = [line for line in text.splitlines() if not line.startswith("ca =")]
        linkage = load(written(tmp_path, "\n".join(lines)))
        assert (linkage.per_minute, linkage.per_day, linkage.services["*"]) == (30, 2000, ["tdc.register"])
        assert linkage.max_age_days == 31
    assert load(written(tmp_path, simulated)).claims is not None


def test_the_faults_of_the_simulator_are_listed(desk: Desk) -> None:
    ran = desk.run("linkage", "simulate", "--fault", "?")
    assert (ran.code, ran.out.splitlines()) == (0, list(FAULTS))


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    with serving(Simulator({})) as url:
        port = url.rpartition(":")[2]
        ran = desk.run("linkage", "simulate", "--port", port)
    assert (ran.code, f"port {port}: Address already in use; --port names another one" in ran.err) == (2, True)


def test_a_service_that_nobody_knows_is_named(keyed: Desk) -> None:
    keyed.home.linkage.write_text('[services]\n"*" = ["tdc.regster", "tdc.register"]\n')
    ran = keyed.run("linkage", "check")
    assert (ran.code, ran.err.count("no service")) == (0, 1)
    assert '[services] *: no service tdc.regster is known; did you mean "tdc.register"?' in ran.err


@pytest.mark.parametrize("arguments", [("--fault", "slwo"), ("--normal", "123"), ("--port", "0")])
def test_a_simulator_that_cannot_be(desk: Desk, arguments: tuple[str, str]) -> None:
    given = {"--port": "8099", **dict([arguments])}
    flat = [text for pair in given.items() for text in pair]
    assert desk.run("linkage", "simulate", *flat).code == 2


@pytest.fixture
def keyed(desk: Desk) -> Desk:
    for purpose in ("query", "answer"):
        assert desk.run("keys", "rotate", purpose).code == 0
    return desk


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("broken", ["answer", "query", "swapped", "duty"])
def test_a_key_that_cannot_be_used_is_named_before_anybody_asks(keyed: Desk, command: str, broken: str) -> None:
    files = {name: keyed.home.keys / f"{name}.jwk" for name in ("answer", "query")}
    if broken == "swapped":
        files["answer"].write_bytes(files["query"].read_bytes())
    elif broken == "duty":
        (keyed.home.public / "agency.jwks").write_text('{"keys": []}')
    else:
        files[broken].write_text("{}")
    ran = keyed.run("linkage", command)
    assert (ran.code, "put the right file back" in ran.err) == (78, True)


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_link_to_a_key_that_is_not_there_now_makes_no_new_one(keyed: Desk, tmp_path: Path, command: str) -> None:
    (keyed.home.keys / "subject.key").symlink_to(tmp_path / "elsewhere")
    ran = keyed.run("linkage", command)
    assert (ran.code, "subject.key: No such file or directory; put" in ran.err) == (78, True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_key_that_visits_need_is_not_made_anew(keyed: Desk, command: str) -> None:
    with Database.open(keyed.home.database) as database, database.write() as connection:
        for statement in (
            "INSERT INTO station (id, approved_at) VALUES ('bkk-001', '2026-11-23')",
            "INSERT INTO event_key (kid, station, jwk, approved_at) VALUES ('k', 'bkk-001', '{}', '2026-11-23')",
            "INSERT INTO question (id, station, kid, question, service, hash, received_at)"
            " VALUES ('q', 'bkk-001', 'k', 'visit_open', 'moph.visit_open', 'h', '2026-11-23')",
            "INSERT INTO health_visit (opened_by, station, subject, sealed, state, opened_at)"
            " VALUES ('q', 'bkk-001', 's', '{}', 'open', '2026-11-23')",
        ):
            connection.exec_driver_sql(statement)
    ran = keyed.run("linkage", command)
    assert (ran.code, "subject.key is gone" in ran.err) == (78, True)
    assert not (keyed.home.keys / "subject.key").exists()


def test_a_check_makes_no_key(keyed: Desk) -> None:
    assert keyed.run("linkage", "check").code == 0
    assert not (keyed.home.keys / "subject.key").exists()


@pytest.mark.parametrize("name", ["answer.jwk", "query.jwk", "agency.jwks"])
@pytest.mark.parametrize("is_away", [True, False])
def test_a_key_file_that_goes_away_while_running_ends_nothing(
    keyed: Desk, caplog: pytest.LogCaptureFixture, name: str, is_away: bool
) -> None:
    file = (keyed.home.public if name == "agency.jwks" else keyed.home.keys) / name
    with Database.open(keyed.home.database) as database:
        bureau = bureau_of(keyed.home, database, Linkage())
        before, content = bureau(), file.read_bytes()
        file.unlink()
        if not is_away:
            file.write_text("{}")
        with caplog.at_level(logging.ERROR):
            assert bureau() is bureau() is before
        assert [str(keyed.home.path) in record.getMessage() for record in caplog.records] == [True]
        file.write_bytes(content)
        assert bureau().signer.kid == before.signer.kid
        file.unlink()
        with pytest.raises((ConfigError, OSError)):
            bureau_of(keyed.home, database, Linkage())()


def test_a_service_that_was_pushed_to_one_station_is_none_of_another_s(keyed: Desk) -> None:
    text = next(one for one in shipped() if one.id == "tdc.register").text
    newer = parse(text.replace(b"version = 1", b"version = 2"), "newer")
    with Database.open(keyed.home.database) as database:
        with database.write() as connection:
            sign_services(connection, [newer], ("cnx-002",), 30, Signer(keyed.home.key("document")))
        services = bureau_of(keyed.home, database, Linkage())().services
    assert services.profile("cnx-002", newer.sha256) == newer
    with pytest.raises(VerificationError, match="given to other stations"):
        services.profile("bkk-001", newer.sha256)
