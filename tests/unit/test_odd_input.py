"""What nobody means to give: hostile settings, closed streams, narrow encodings, folders that cannot be used."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

import pytest

from appliance import cli, config, errors
from appliance.commands import station
from appliance.commands.call import Call
from appliance.config import SERVICE_ID
from appliance.errors import ConfigError
from appliance.services.loading import parse
from appliance.services.vocabulary import ID_PATTERN
from appliance.settings_file import MAX_PROBLEMS, line_numbers

ROOT = Path(__file__).parents[2]
CONFIG = '[station]\nid = "bkk-001"\nagency = "obec"\n[link]\nhost = "broker.example"\n'
PROFILE = files("appliance.services").joinpath("school_attendance.toml").read_text("utf-8")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with settings, and state and sockets in it."""
    (tmp_path / "station.toml").write_text(CONFIG)
    monkeypatch.setenv("CARD_STATION_CONFIG", str(tmp_path / "station.toml"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return tmp_path


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "a.toml")
    return caught.value.problems


def shell(line: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which ``CS`` is card-station."""
    line = line.replace("CS", f"{sys.executable} -m appliance.cli")
    command = ["bash", "-c", line]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env={**os.environ, **environ})


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return str(line)


@pytest.mark.parametrize(("service", "code"), [("nope.nope", 78), ("school.attendance", 0), ("demo.anything", 0)])
def test_config_check_knows_the_services(
    home: Path, service: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "station.toml").write_text(f'{CONFIG}[service]\nid = "{service}"\n')
    assert cli.main(["config", "check"]) == code
    if code:
        said = "station.toml:7: [service] id: no service 'nope.nope'; there is dcy.grant_check, "
        assert one_line(capsys).startswith(f"card-station: F00: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=" + "[" * 20000, "nested too deep"),
        ("a=1" + "0" * 20000, "too many digits"),
        ("[link]\nport=0x1" + "0" * 20000, "[link] port: the number is out of range"),
        ('"' + "a" * 30000 + '"=1', "unknown table"),
    ],
    ids=["brackets", "digits", "hexadecimal", "name"],
)
def test_hostile_toml_is_a_bad_configuration(home: Path, text: str, said: str) -> None:
    assert said in "".join(problems_of(text))
    (home / "station.toml").write_text(text)
    assert cli.main(["config", "check"]) == 78


@pytest.mark.parametrize(
    "text",
    [
        "#a\n" * 9000 + "[station]\nid=1\n",
        "[station]\n" + "".join(f"k{i}=1\n" for i in range(3000)),
        "".join(f"[x{i}]\n" for i in range(3500)),
        "[panel]\nx=[\n" + "1,\n" * 9000 + "]\n",
        '[panel]\nx="""\n' + "[\n" * 15000 + '"""\n',
    ],
    ids=["comments", "keys", "tables", "list", "text"],
)
def test_checking_a_long_file_is_quick_and_says_little(text: str) -> None:
    start_s = time.process_time()
    problems = problems_of(text)
    assert time.process_time() - start_s < 1
    assert len(problems) <= MAX_PROBLEMS + 1
    if len(problems) > MAX_PROBLEMS:
        assert re.fullmatch(r"a\.toml: and \d+ more", problems[-1])


def test_lines_are_found_between_odd_statements() -> None:
    text = (
        '"a#b" = 1\r\n[ "t[" ]\r\nx = """\r\n]"""""\r\n\'y=\' = [ # [\r\n"]", {p = ["}"]}]\r\n'
        "[t.u]\nz = 1\n[[l]]\nv = 2\n[w]\nd.e = 3 # [\nf = ''"
    )
    assert line_numbers(text) == {
        ("a#b",): 1, ("t[",): 2, ("t[", "x"): 3, ("t[", "y="): 5, ("t",): 7, ("t", "u"): 7, ("l",): 9,
        ("w",): 11, ("w", "d"): 12, ("w", "f"): 13,
    }  # fmt: skip


def test_what_is_not_a_regular_file_is_refused_at_once(home: Path) -> None:
    os.mkfifo(home / "pipe")
    for path in (home / "pipe", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="not a regular file"):
            config.load(path)


def test_a_missing_file_says_how_to_make_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "station.toml").unlink()
    assert cli.main(["config", "check"]) == 78
    line = one_line(capsys)
    assert str(home / "station.toml") in line
    assert "card-station config show --defaults" in line
    assert "correct the file" not in line


def test_advice_is_given_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["service", "show", "a.b"]) == 2
    assert one_line(capsys) == "card-station: U00: there is no service 'a.b'; 'card-station service list' shows all"
    assert cli.main(["status"]) == 78
    assert "station.db (STATE_DIRECTORY names another directory): run 'card-station enrol --r" in one_line(capsys)


def test_a_virtual_card_without_a_virtual_reader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: (_ for _ in ()).throw(ConnectionRefusedError()))
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert cli.main(["simulate", "card", "person-1"]) == 7
    line = one_line(capsys)
    assert line.startswith("card-station: R02: no virtual reader listens on port 35963: ")
    assert "pcscd.socket" not in line


def test_the_words_about_a_virtual_card_are_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reader:
        port = reader.getsockname()[1]
        power_up = threading.Thread(target=lambda: reader.accept()[0].sendall(b"\x00\x01\x01"))
        power_up.start()
        done = shell(f"CS simulate card person-1 --port {port} </dev/null")
        power_up.join()
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"person-1 is in" in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("CS config show >&-", 7, "nothing more can be written: Bad file descriptor"),
        ("CS outbox export --help >&-", 7, "nothing more can be written: Bad file descriptor"),
        ("CS config show <&- >&- 2>&-", 7, ""),
        ("CS enrol --request $STATE_DIRECTORY.json <&- >&- 2>&-", 0, ""),
        ("CS config check --config /none 2>&-", 78, ""),
        ("CS config check --config /none --verbose 2>/dev/full", 78, ""),
        ("CS bogus 2>&-", 2, ""),
        ("CS config show >/dev/full", 7, "nothing more can be written: No space left on device"),
        ("CS config show --defaults --json >/dev/full", 7, "No space left on device"),
        ("CS --version >/dev/full", 7, "No space left on device"),
        ("CS config check --json --config /none >/dev/full", 78, "there is no such file"),
        ("CS enrol --request $STATE_DIRECTORY.json 2>/dev/full", 0, ""),
        ("CS simulate card person-1 --port 1 >&- 2>&-", 7, ""),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_and_full_streams_end_in_one_line_at_most(
    home: Path, line: str, code: int, said: str, unbuffered: str
) -> None:
    done = shell(line, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == bool(said)
    assert said in done.stderr.decode()


def test_who_stops_listening_to_the_words_changes_nothing(home: Path) -> None:
    done = shell("CS config check --config /none 2> >(exec <&-; sleep 0); exit $?")
    assert done.returncode == 78


def test_a_closed_output_is_not_written_to_the_next_file(home: Path) -> None:
    assert shell(f"CS config show --config {home}/station.toml >&-").returncode == 7
    assert (home / "station.toml").read_text() == CONFIG


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp874", "utf-8"])
def test_every_text_can_be_printed_in_every_encoding(encoding: str) -> None:
    done = shell("CS service list && CS --json service list", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    listed = json.loads(done.stdout[done.stdout.index(b"\n[") :].decode(encoding))
    assert "ลงเวลาเรียน" in [profile["title"]["th"] for profile in listed]


@pytest.mark.parametrize("variable", ["STATE_DIRECTORY", "RUNTIME_DIRECTORY"])
def test_a_directory_that_cannot_be_used_is_named(
    home: Path, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").touch()
    monkeypatch.setenv(variable, str(home / "file" / "below"))
    line = ["enrol", "--request", str(home / "request.json")] if variable == "STATE_DIRECTORY" else ["run"]
    assert cli.main(line) == 7
    assert one_line(capsys).partition(": ")[2].partition(": ")[2] == (
        f"{home / 'file' / 'below'} cannot be used: Not a directory; {variable} chooses another one"
    )


@pytest.mark.parametrize("place", ["state", "state/keys", "."])
def test_a_state_directory_without_permission(
    home: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(call: Call) -> int:
        raise PermissionError(13, "Permission denied", str(home / place))

    monkeypatch.setattr(station, "status", fail)
    assert cli.main(["status"]) == 7
    said = f"{home / 'state'} cannot be used: Permission denied; STATE_DIRECTORY chooses another one"
    assert one_line(capsys) == f"card-station: {errors.StoreError.code}: {said}"


def test_one_pattern_for_the_ids_of_services() -> None:
    schema = json.loads(files("appliance.events").joinpath("schemas/event-1.json").read_text("utf-8"))
    assert f'"pattern": "^{ID_PATTERN}$"'.replace("\\", "\\\\") in json.dumps(schema)
    assert SERVICE_ID.pattern == f"(?!.{{65}}){ID_PATTERN}"


@pytest.mark.parametrize(
    ("service", "event_type", "said"),
    [
        ("hospital.opd2", "hospital.opd2.v1", "id: must be text"),
        ("school", "school.v1", "id: must be text"),
        (f"a.{'b' * 63}", f"a.{'b' * 63}.v1", "at most 64"),
        ("school.lunch", "school.attendance.v1", "event_type: "),
        ("school.lunch", "school.lunch", "event_type: "),
        ("school.lunch", "school.lunch.v0", "event_type: "),
        ("school.lunch", "school.lunch.v1000", "event_type: "),
    ],
)
def test_a_profile_names_what_an_event_can_carry(service: str, event_type: str, said: str) -> None:
    text = PROFILE.replace('"school.attendance.v1"', f'"{event_type}"').replace('"school.attendance"', f'"{service}"')
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "x.toml")
    assert said in str(caught.value)


def test_a_profile_s_names_are_texts() -> None:
    with pytest.raises(ConfigError, match="id: must be text"):
        parse(PROFILE.replace('"school.attendance"', "3").encode(), "x.toml")
    with pytest.raises(ConfigError, match="nested too deep"):
        parse(b"a=" + b"[" * 9000, "x.toml")


@pytest.mark.parametrize("key", ["site"])
def test_the_page_of_defaults_says_what_does_nothing_yet(key: str) -> None:
    (above,) = re.findall(rf"# (.*)\n#  .*\n{key} =", config.commented_defaults())
    assert "This version does not" in above
