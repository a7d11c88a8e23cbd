"""The command line: one line for every mistake, the contract's exit codes, and no traceback unasked."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agency.broker.configuration import Broker
from agency.cli import main
from agency.command_line import parser
from agency.home import Home
from agency.store.database import Database, DatabaseError
from appliance import __version__
from tests.unit.agency.fleet import AGENCY, Desk

EVERY_COMMAND = [
    [],
    ["init"],
    ["run"],
    ["ingest"],
    ["audit"],
    ["verify"],
    ["attendance"],
    ["anomalies"],
    ["officers"],
    ["station"],
    ["station", "approve"],
    ["station", "list"],
    ["station", "show"],
    ["station", "revoke"],
    ["station", "excuse"],
    ["roster", "import"],
    ["roster", "push"],
    ["denylist", "import"],
    ["denylist", "push"],
    ["service", "list"],
    ["service", "push"],
    ["linkage", "check"],
    ["linkage", "run"],
    ["linkage", "simulate"],
    ["visits"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "retire"],
    ["keys", "push"],
    ["epoch", "show"],
    ["epoch", "raise"],
    ["events", "list"],
    ["events", "show"],
    ["events", "export"],
]


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: card-agency" in capsys.readouterr().out


def silent_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield every argument of every command that says nothing of itself."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from silent_options(command)
        elif not action.help:
            yield f"{parser.prog} {action.dest}"


def test_every_argument_explains_itself() -> None:
    assert list(silent_options(parser())) == []


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["nonsense"],
        ["station"],
        ["events", "show", "x", "y"],
        ["events", "show", "x", "99999999999999999999"],
        ["events", "show", "x", "0"],
        ["events", "list", "--limit", "99999999999999999999999"],
        ["events", "list", "--limit", "9" * 5000],
        ["events", "list", "--limit", "-1"],
        ["events", "list", "--lim", "5"],
        ["audit", "--verb"],
        ["init"],
        ["init", "--agency", "a", "--po", "1"],
    ],
)
def test_wrong_arguments_end_with_2_and_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.err.startswith("card-agency: ")
    assert "--help'" in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


@pytest.mark.parametrize(
    "command",
    [["audit"], ["station", "list"], ["ingest"], ["run"], ["roster", "push"], ["events", "export"], ["verify", "-"]],
)
def test_without_an_agency_every_command_says_how_to_make_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--home", str(tmp_path)]) == 78
    said = capsys.readouterr()
    assert "card-agency init" in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_the_home_is_the_option_then_the_environment_then_the_default() -> None:
    assert Home.find("/a", {"CARD_AGENCY_HOME": "/b"}).path == Path("/a")
    assert Home.find(None, {"CARD_AGENCY_HOME": "/b"}).path == Path("/b")
    assert Home.find(None, {}).path == Path("/var/lib/card-agency")


def test_options_may_stand_before_the_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(desk.home.path), "--json", "station", "list"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_options_may_stand_in_a_group(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["station", "--json", "--home", str(desk.home.path), "list"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert main(["--json", "events", "--home", str(desk.home.path), "--verbose", "list"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"card-agency {__version__}\n")


@pytest.mark.parametrize(
    "options",
    [
        ("--agency", "OBEC"),
        ("--agency", "a", "--port", "0"),
        ("--agency", "a", "--host", "a b"),
        ("--agency", "a", "--host", "x\ny"),
        ("--agency", "a", "--host", "a..b"),
        ("--agency", "a", "--host", "a."),
        ("--agency", "a", "--host", ""),
        ("--agency", "a", "--host", "-a.b"),
        ("--agency", "a", "--host", "a-.b"),
        ("--agency", "a", "--host", "a" * 64),
        ("--agency", "a", "--host", ".".join(["a" * 63] * 4)),
        ("--agency", "a", "--host", "1.2.3.999"),
        ("--agency", "a", "--host", "fe80::1%eth0"),
    ],
)
def test_an_agency_that_cannot_be_is_not_made(
    tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    assert main(["init", *options, "--home", str(home)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not home.exists()


def test_a_home_with_a_space_is_refused(tmp_path: Path) -> None:
    assert main(["init", "--agency", "a", "--home", str(tmp_path / "my home")]) == 2


def test_nothing_is_ever_overwritten(desk: Desk) -> None:
    before = {file: file.read_bytes() for file in desk.home.keys.iterdir()}
    ran = desk.run("init", "--agency", "other")
    assert ran.code == 2
    assert {file: file.read_bytes() for file in desk.home.keys.iterdir()} == before


def test_init_says_what_belongs_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--agency", AGENCY, "--home", str(tmp_path / "home")])
    said = capsys.readouterr().err
    assert "escrow.jwk" in said
    assert "ca.key off this machine" in said


def test_a_damaged_database_is_a_service_that_is_not_there(desk: Desk) -> None:
    for file in desk.home.path.glob("agency.sqlite3*"):
        file.write_bytes(b"not a database" * 500)
    ran = desk.run("audit")
    assert ran.code == 7
    assert ran.err.count("\n") == 1
    assert "Traceback" in desk.run("audit", "--verbose").err


def test_a_database_of_another_version_is_refused(desk: Desk) -> None:
    with Database.open(desk.home.database) as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE meta SET value='99' WHERE key='schema'")
    ran = desk.run("station", "list")
    assert ran.code == 78
    assert "schema 99" in ran.err


def test_a_broken_statement_names_no_value(desk: Desk) -> None:
    with (
        Database.open(desk.home.database) as database,
        pytest.raises(DatabaseError) as caught,
        database.write() as connection,
    ):
        connection.exec_driver_sql("INSERT INTO meta VALUES ('agency', 'secret')")
    assert "secret" not in str(caught.value)


def test_every_connection_is_durable_and_strict(desk: Desk) -> None:
    with Database.open(desk.home.database) as database, database.read() as connection:
        asked = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert asked == ["wal", 2, 1]


def test_a_missing_key_is_a_bad_configuration(desk: Desk) -> None:
    (desk.home.keys / "receipt.jwk").unlink()
    assert desk.run("ingest").code == 78


def test_a_closed_pipe_is_no_error(desk: Desk) -> None:
    command = f"{sys.executable} -m agency station list --home {desk.home.path} --json | true"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False, env=os.environ)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("broker", [":1", ":::", "host:", "host:x", "host:0", "host:70000", "a..b", "host:๑"])
def test_a_broker_that_cannot_be_is_wrong_use(desk: Desk, broker: str) -> None:
    assert desk.run("ingest", "--broker", broker).code == 2


def test_the_broker_is_told_what_matters(tmp_path: Path) -> None:
    broker = Broker(AGENCY, 8883, tmp_path / "broker", tmp_path / "tls", tmp_path / "ca.pem", "nobody")
    lines = set(broker.configuration().splitlines())
    assert lines >= {
        "allow_anonymous false",
        "per_listener_settings false",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "set_tcp_nodelay true",
        "tls_version tlsv1.2",
        "max_packet_size 262144",
        "persistence true",
        "autosave_interval 60",
        "log_dest stderr",
        "user nobody",
    }
    assert not any("websockets" in line or line == "max_queued_messages 0" or "message_size" in line for line in lines)
    assert all("%u" in line for line in broker.access().splitlines() if line.startswith("pattern"))


@pytest.mark.parametrize("content", ["", "{}", "garbage", '{"kty":"OKP"}', '{"kid":"x","kty":"OKP","d":"x"}', "[]"])
def test_a_key_that_is_none_is_named(desk: Desk, content: str) -> None:
    path = desk.home.keys / "duty.jwk"
    path.write_text(content)
    ran = desk.run("attendance", "--date", "2026-11-23")
    assert (ran.code, ran.err.count("\n")) == (78, 1)
    assert str(path) in ran.err
    assert "put the right file back" in ran.err


@pytest.mark.parametrize(
    "content", ["", "{}", '{"keys": [{}]}', '{"keys": [{"kid": "x", "kty": "OKP", "crv": "X25519"}]}']
)
def test_public_keys_that_are_none_are_named(desk: Desk, tmp_path: Path, content: str) -> None:
    (tmp_path / "agency.jwks").write_text(content)
    (tmp_path / "stations.jwks").write_text('{"keys": []}')
    file = tmp_path / "export"
    file.write_text("x\n")
    ran = desk.run("verify", file, "--keys", tmp_path)
    assert (ran.code, str(tmp_path / "agency.jwks") in ran.err) == (78, True)


def test_a_database_that_is_none_is_told_with_its_code_and_what_to_do(desk: Desk) -> None:
    desk.home.database.write_bytes(b"")
    ran = desk.run("station", "list")
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert ran.err.startswith("card-agency: S10: ")
    assert "check its disk and owner" in ran.err
