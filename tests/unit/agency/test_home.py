"""The agency's files: whole or not there at all, for the right eyes, and on the disk before anybody relies on them."""

import json
import os
from pathlib import Path

import pytest

from agency.desk.keys import activate, retire, rotate
from agency.home import Home, jwks_text, read_jwks, write_private, write_public, write_secret
from agency.store.database import Database
from appliance.errors import ConfigError
from appliance.events.sign import Signer, thumbprint
from tests.unit.agency.fleet import Desk
from tests.unit.power_cut import PowerCut, open_handles, power_cut  # noqa: F401 - the fixture


def test_what_was_written_outlasts_a_power_cut(tmp_path: Path, power_cut: PowerCut) -> None:  # noqa: F811
    write_secret(tmp_path / "secret", b"of one")
    for content in ("old", "new"):
        write_public(tmp_path / "public", content)
        write_private(tmp_path / "private", content)
    left = {name: power_cut.leaves(tmp_path / name) for name in ("secret", "public", "private")}
    assert left == {"secret": b"of one", "public": b"new", "private": b"new"}
    assert power_cut.torn == []


def test_no_handle_stays_open(tmp_path: Path) -> None:
    before = open_handles()
    write_public(tmp_path / "public", "")
    assert open_handles() == before


def test_a_secret_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    write_secret(tmp_path / "secret", b"first")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "secret", b"second")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_whoever_could_read_the_old_file_cannot_read_the_new_one(tmp_path: Path) -> None:
    write_public(tmp_path / "file", "for all")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    with (tmp_path / "file").open() as reader:
        write_private(tmp_path / "file", "for one")
        assert reader.read() == "for all"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_mask_of_whoever_runs_it_changes_nothing(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_public(tmp_path / "public", "")
        write_secret(tmp_path / "secret", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_takes_nothing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_public(tmp_path / "public", "old")

    def fail(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space.*public"):
        write_public(tmp_path / "public", "new")
    with pytest.raises(OSError, match=r"No space.*secret"):
        write_secret(tmp_path / "secret", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"public": b"old"}


def test_a_draft_that_a_power_cut_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_bytes(b"half")
    write_secret(tmp_path / "secret", b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


PUBLIC = Signer.generate().public("document")
PRIVATE = Signer.generate().private()
NO_KEYS = ["", "[]", "{}", '{"keys": 7}', '{"keys": ["a"]}', '{"keys": [{}]}', '{"keys": [{"kid": "a", "kty": 7}]}']


@pytest.mark.parametrize(
    "content", [*NO_KEYS, jwks_text([PUBLIC | {"kid": "another"}]), jwks_text([PUBLIC | {"x": 7}])]
)
def test_a_set_of_keys_that_is_none_of_ours_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "agency.jwks").write_text(content)
    with pytest.raises(ConfigError, match=r"agency\.jwks .*put the right file back"):
        read_jwks(tmp_path / "agency.jwks")


@pytest.mark.parametrize("lacking", ["kid", "d", "x", "kty", "crv"])
def test_a_private_key_that_is_not_whole_is_named(tmp_path: Path, lacking: str) -> None:
    home = Home(tmp_path)
    home.keys.mkdir()
    whole = {**PRIVATE, "kid": thumbprint({name: part for name, part in PRIVATE.items() if name not in ("kid", "d")})}
    (home.keys / "duty.jwk").write_text(json.dumps(whole))
    assert home.key("duty") == whole
    assert home.opening_keys() == {whole["kid"]: whole}
    (home.keys / "duty.jwk").write_text(json.dumps({name: part for name, part in whole.items() if name != lacking}))
    with pytest.raises(ConfigError, match=r"duty\.jwk holds no private key"):
        home.key("duty")


def test_files_that_are_away_are_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.keys.mkdir()
    for look in (home.require, home.public_keys, home.opening_keys, lambda: home.key("duty")):
        with pytest.raises(ConfigError):
            look()
    home.database.touch()
    home.require()


def test_a_home_is_the_one_that_was_chosen_or_that_of_the_environment(tmp_path: Path) -> None:
    environment = {"CARD_AGENCY_HOME": "/srv/agency"}
    assert Home.find("/chosen", environment).path == Path("/chosen")
    assert Home.find(None, environment).path == Path("/srv/agency")
    assert Home.find(None, {}).path == Path("/var/lib/card-agency")
    assert Home.find("below", {}).path == Path.cwd() / "below"


@pytest.mark.parametrize("part", ["keys", "tls", "public", "broker", "agency.sqlite3"])
def test_where_any_part_of_an_agency_lies_there_is_one(tmp_path: Path, part: str) -> None:
    assert not Home(tmp_path).is_taken()
    (tmp_path / part).mkdir()
    assert Home(tmp_path).is_taken()


def test_a_new_agency_outlasts_a_power_cut(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    power_cut: PowerCut,  # noqa: F811
) -> None:
    home = tmp_path / "srv" / "home"
    made = Desk(Home(home), capsys)
    assert made.run("init", "--agency", "obec").code == 0
    files = [path for path in home.rglob("*") if path.is_file() and "sqlite" not in path.name]
    assert made.home.keys / "ca.key" in files
    assert [path for path in files if power_cut.leaves(path) != path.read_bytes()] == []
    assert power_cut.leaves_name(made.home.database)


@pytest.mark.parametrize("purpose", ["document", "duty"])
def test_no_key_is_published_whose_private_half_a_power_cut_could_take(
    desk: Desk,
    power_cut: PowerCut,  # noqa: F811
    purpose: str,
) -> None:
    keys = desk.home.keys
    with Database.open(desk.home.database) as database, database.write() as connection:
        rotate(desk.home, connection, purpose)
        content = (keys / f"{purpose}.next.jwk").read_bytes()
        assert power_cut.leaves(keys / f"{purpose}.next.jwk") == content, "before the document is committed"
    old = desk.home.key(purpose)["kid"]
    activate(desk.home)
    assert power_cut.leaves(keys / f"{purpose}.jwk") == content
    aside = keys / f"{purpose}-{old}.jwk"
    assert aside.exists()
    assert power_cut.leaves_name(aside)


def test_a_key_that_was_destroyed_does_not_come_back_with_a_power_cut(desk: Desk, power_cut: PowerCut) -> None:  # noqa: F811
    keys, old = desk.home.keys, desk.home.key("document")["kid"]
    with Database.open(desk.home.database) as database, database.write() as connection:
        rotate(desk.home, connection, "document")
        activate(desk.home)
        assert retire(desk.home, connection, "document") == [old]
    assert not (keys / f"document-{old}.jwk").exists()
    assert power_cut.leaves_name(keys / f"document-{old}.jwk")
