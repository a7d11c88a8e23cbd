"""Founding: names of any length, all or nothing, and a home that a failed try leaves as it was."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from agency.cli import main
from agency.desk import founding
from agency.home import Home
from agency.store.database import Database
from tests.unit.agency.fleet import Desk, Station

LONG_HOST = ".".join(["a" * 63, "b" * 63, "example"])
PARTS = ["agency.sqlite3", "broker", "keys", "public", "tls"]


@pytest.mark.parametrize("agency", ["a", "a" * 47, "a" * 48, "a" * 63])
def test_long_names_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str], agency: str) -> None:
    desk = Desk(Home(tmp_path / "home"), capsys)
    assert desk.run("init", "--agency", agency, "--host", LONG_HOST, "--host", "::1").code == 0
    ca = x509.load_pem_x509_certificate((desk.home.public / "ca.pem").read_bytes())
    server = x509.load_pem_x509_certificate((desk.home.tls / "server.pem").read_bytes())
    assert ca.subject.rfc4514_string() == f"CN=Card Station CA,O={agency}"
    assert (server.subject.rfc4514_string(), server.issuer) == ("CN=Card Station broker", ca.subject)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [LONG_HOST, "localhost"]
    server.verify_directly_issued_by(ca)


def test_a_home_holds_its_parts_and_nothing_else(desk: Desk) -> None:
    assert sorted(path.name for path in desk.home.path.iterdir()) == PARTS
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in desk.home.path.iterdir()}
    assert modes == {"agency.sqlite3": 0o600, "broker": 0o755, "keys": 0o700, "public": 0o755, "tls": 0o700}
    assert f"acl_file {desk.home.broker}/acl" in (desk.home.broker / "mosquitto.conf").read_text()


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("step", ["_make_certificates", "_configure_broker", "create", "rename"])
def test_a_failed_try_leaves_nothing_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str, exists: bool
) -> None:
    home = tmp_path / "var" / "home"
    if exists:
        home.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    rename = Path.rename

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fails_late(path: Path, target: Path) -> Path:
        if path.name == "broker":
            fails()
        return rename(path, target)

    with monkeypatch.context() as broken:
        place: object = {"create": Database, "rename": Path}.get(step, founding)
        broken.setattr(place, step, fails_late if step == "rename" else fails)
        assert main(["init", "--agency", "a", "--home", str(home)]) == 2
    said = capsys.readouterr().err
    assert "No space left" in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["init", "--agency", "a", "--home", str(home)]) == 0


def test_a_draft_that_a_power_cut_left_is_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    (home / ".init" / "keys").mkdir(parents=True)
    desk = Desk(Home(home), capsys)
    assert desk.run("init", "--agency", "obec").code == 0
    assert sorted(path.name for path in home.iterdir()) == PARTS
    desk.enrol(Station("bkk-001"), tmp_path)


def test_keys_that_came_meanwhile_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    make = founding._make

    def make_while_another_does(*arguments: object) -> None:
        make(*arguments)  # type: ignore[arg-type]
        (home / "keys").mkdir()
        (home / "keys" / "ca.key").write_text("another")

    monkeypatch.setattr(founding, "_make", make_while_another_does)
    assert main(["init", "--agency", "a", "--home", str(home)]) == 2
    assert [path.name for path in home.rglob("*")] == ["keys", "ca.key"]
