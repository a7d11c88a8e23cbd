"""Wiring: which roster is in force, which service, and what a station that cannot start says."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance import config
from appliance.cards.thai_id import Field
from appliance.errors import CardStationError, ConfigError, NotEnrolled, SigningError
from appliance.events.document import Document
from appliance.events.roster import roster_body
from appliance.events.sign import KeySet, Signer
from appliance.flow import serve
from appliance.link import enrolment
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.panel import fonts
from appliance.panel.screens import Screen, State
from appliance.papers import AGENCY_KEYS, EVENT_KEY
from appliance.run import enrol, wiring
from appliance.run.documents import RosterSource
from appliance.run.nudge import Ear
from appliance.run.panel import PanelThread
from appliance.run.slot_reader import SlotReader
from appliance.run.timekeeper import released
from appliance.run.wiring import SIMULATED_CLOCK, build, build_panel
from appliance.services.loading import shipped
from appliance.simulate.card import ThaiCard
from appliance.simulate.panel import TRACE_VARIABLE
from appliance.simulate.panel_view import SOCKET_NAME
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot
from tests.unit.hardware.test_steady_clock import Played
from tests.unit.run.test_timekeeper import EPOCH
from tests.unit.small_agency import Agency

STATION = "bkk-001"
TEXT = f'[station]\nid = "{STATION}"\nagency = "obec"\n[panel]\ndisplay = "none"\n[link]\nhost = "broker.example"\n'
BODY = roster_body("school-1", "2026-11-22", [person(1).citizen_id])


def settings(more: str = "") -> config.Settings:
    return config.parse(TEXT + more, "station.toml")


def roster_document(signer: Signer, version: int, audience: str = "*", kind: str = "roster") -> str:
    now = datetime.now(UTC)
    return Document(kind, version, now, now + timedelta(days=30), (audience,), BODY).sign(signer)


class Counted(KeySet):
    """Keys that count how often they are asked."""

    asked = 0

    def verify(self, *arguments: object) -> dict[str, object]:
        self.asked += 1
        return super().verify(*arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    store = Outbox.open(tmp_path / DATABASE_NAME, create=True)
    yield store
    store.close()


@pytest.fixture
def panel() -> Iterator[PanelThread]:
    thread = PanelThread(None, None, lambda: datetime.now(UTC))
    yield thread
    thread.close()


@pytest.fixture
def state(tmp_path: Path, agency: Agency) -> Path:
    """The state directory of an enrolled station."""
    folder = tmp_path / "state"
    folder.mkdir()
    grant = tmp_path / "grant.json"
    grant.write_text(json.dumps(agency.grant(enrolment.make_request(settings(), folder))))
    enrol.take_grant(settings(), folder, grant)
    return folder


@pytest.fixture
def source(outbox: Outbox, agency: Agency) -> RosterSource:
    keys = Counted([agency.signers["document"].public("document")])
    return RosterSource(outbox, lambda: keys, STATION)


def verifications(source: RosterSource) -> int:
    keys = source._keys()
    assert isinstance(keys, Counted)
    return keys.asked


def test_without_a_document_there_is_no_roster(source: RosterSource) -> None:
    assert source() is None
    assert verifications(source) == 0


def test_a_roster_is_verified_once_and_kept(source: RosterSource, outbox: Outbox, agency: Agency) -> None:
    outbox.take_document("roster", 1, roster_document(agency.signers["document"], 1))
    found = {source() for _ in range(20)}
    assert verifications(source) == 1
    (signed,) = found
    assert signed is not None
    assert (signed.roster.version, signed.roster.set) == (1, "school-1")
    assert signed.roster.contains(signed.roster.kdf.digest(person(1).citizen_id))
    assert signed.expires_at > datetime.now(UTC)


def test_a_newer_roster_is_taken_up_by_the_next_visit(source: RosterSource, outbox: Outbox, agency: Agency) -> None:
    for version in (1, 2, 7):
        outbox.take_document("roster", version, roster_document(agency.signers["document"], version))
        signed = source()
        assert signed is not None
        assert signed.roster.source == f"roster:{version}"


def bad_documents(agency: Agency) -> dict[str, str]:
    own = agency.signers["document"]
    header, payload, signature = roster_document(own, 2).split(".")
    return {
        "forged": roster_document(Signer.generate(), 2),
        "receipt-key": roster_document(agency.signers["receipt"], 2),
        "other-station": roster_document(own, 2, "bkk-002"),
        "other-kind": roster_document(own, 2, kind="denylist"),
        "changed": ".".join([header, payload[:-4] + "AAAA", signature]),
        "no-jws": "no document",
    }


@pytest.mark.parametrize("which", ["forged", "receipt-key", "other-station", "other-kind", "changed", "no-jws"])
def test_a_document_that_does_not_hold_is_no_roster_and_logged_once(
    source: RosterSource, outbox: Outbox, agency: Agency, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    outbox.take_document("roster", 1, roster_document(agency.signers["document"], 1))
    assert source() is not None
    outbox.take_document("roster", 2, bad_documents(agency)[which])
    with caplog.at_level(logging.ERROR):
        assert [source() for _ in range(5)] == [None] * 5
    (record,) = caplog.records
    assert "V00: the stored roster is not used" in record.getMessage()
    outbox.take_document("roster", 3, roster_document(agency.signers["document"], 3))
    assert source() is not None, "the next good one is in force at once"


def test_documents_of_other_kinds_are_not_looked_at(source: RosterSource, outbox: Outbox, agency: Agency) -> None:
    outbox.take_document("settings", 9, agency.document())
    assert source() is None
    assert verifications(source) == 0


def test_an_enrolled_station_is_built_with_its_service(state: Path, tmp_path: Path, panel: PanelThread) -> None:
    parts = build(settings(), state, tmp_path, panel)
    assert parts.services.active.id == "school.attendance"
    assert parts.outbox.head().sequence == 2, "the enrolment is the first event"
    assert parts.world.clock.now().quality in ("synchronised", "unsure")
    assert parts.reader._worker is None, "the worker starts with the first question"
    assert parts.reader._may_read == "citizen_id", "and is told what the service may read"
    said = parts.state("ok", "none")
    assert (said["state"], said["panel"], said["service"]["sha256"]) == ("ready", "none", parts.services.active.sha256)
    assert parts.state("NoReader", "unknown")["state"] == "degraded"
    parts.close()


def test_an_event_nudges_the_link(state: Path, tmp_path: Path, panel: PanelThread) -> None:
    ear = Ear(tmp_path)
    parts = build(settings(), state, tmp_path, panel)
    slot = InMemorySlot()
    slot.insert(ThaiCard(person(1)))
    serve(replace(parts.world, reader=SlotReader(slot, list(Field))), parts.services.active, lambda: False)
    heard = socket.socket(fileno=ear.filenos()[0])
    assert heard.recv(16) == b"\n"
    heard.detach()
    parts.close()


def test_the_simulated_clock_is_for_those_who_ask_and_says_so(
    state: Path, tmp_path: Path, panel: PanelThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIMULATED_CLOCK, "1")
    parts = build(settings(), state, tmp_path, panel)
    assert parts.world.clock.now().quality == "simulated"
    assert parts.state("ok", "none")["clock"] == {"quality": "simulated"}
    parts.close()


@pytest.mark.parametrize("service", ["school.canteen", "attendance.school", "common.vouch"])
def test_an_unknown_service_is_named_with_those_that_are_known(
    state: Path, tmp_path: Path, panel: PanelThread, service: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        build(settings(f'[service]\nid = "{service}"\n'), state, tmp_path, panel)
    (problem,) = raised.value.problems
    assert problem.startswith(f"[service] id: no service {service!r}; there is ")
    assert all((profile.id in problem.partition("there is")[2]) == (profile.vouch is None) for profile in shipped())
    assert "demo." not in problem


def test_a_demonstration_is_had_only_by_its_whole_id(state: Path, tmp_path: Path, panel: PanelThread) -> None:
    demo = settings('[service]\nid = "demo.attendance_with_expiry"\n')
    parts = build(demo, state, tmp_path, panel)
    assert parts.services.active.id == "demo.attendance_with_expiry"
    assert "expiry_date" in parts.services.active.card.read
    parts.close()
    with pytest.raises(ConfigError, match=re.escape("demo.attendance_with_expiry, dlt.licence")):
        build(settings('[service]\nid = "demo.nothing"\n'), state, tmp_path, panel)
    assert not any(profile.id.startswith("demo.") for profile in shipped())


@pytest.mark.parametrize("missing", [AGENCY_KEYS, EVENT_KEY, Path(DATABASE_NAME)], ids=str)
def test_a_station_that_lacks_a_paper_is_not_enrolled(
    state: Path, tmp_path: Path, panel: PanelThread, missing: Path
) -> None:
    (state / missing).unlink()
    with pytest.raises(NotEnrolled, match="card-station enrol") as raised:
        build(settings(), state, tmp_path, panel)
    assert raised.value.code == "F01"


def test_an_empty_state_directory_is_not_enrolled_and_stays_empty(tmp_path: Path, panel: PanelThread) -> None:
    with pytest.raises(NotEnrolled):
        build(settings(), tmp_path / "state", tmp_path, panel)
    assert not (tmp_path / "state").exists()


def test_a_database_without_a_chain_is_not_enrolled(state: Path, tmp_path: Path, panel: PanelThread) -> None:
    for file in state.glob(f"{DATABASE_NAME}*"):
        file.unlink()
    Outbox.open(state / DATABASE_NAME, create=True).close()
    with pytest.raises(NotEnrolled, match="no chain"):
        build(settings(), state, tmp_path, panel)


@pytest.mark.parametrize(
    ("paper", "content", "error"),
    [
        (AGENCY_KEYS, b"no json", ConfigError),
        (AGENCY_KEYS, b"{}", ConfigError),
        (EVENT_KEY, b"no json", SigningError),
        (EVENT_KEY, b'{"kty": "OKP"}', SigningError),
    ],
)
def test_a_damaged_paper_is_said_by_its_family(
    state: Path, tmp_path: Path, panel: PanelThread, paper: Path, content: bytes, error: type[CardStationError]
) -> None:
    (state / paper).write_bytes(content)
    with pytest.raises(error):
        build(settings(), state, tmp_path, panel)


def test_a_database_that_is_none_is_set_aside_and_the_station_starts_all_the_same(
    state: Path, tmp_path: Path, panel: PanelThread
) -> None:
    (state / DATABASE_NAME).write_bytes(b"no database" * 1000)
    parts = build(settings(), state, tmp_path, panel)
    assert [row.type for row in parts.outbox.rows()] == ["chain.broken.v1"]
    parts.close()
    (folder,) = (state / "damaged").iterdir()
    assert (folder / DATABASE_NAME).read_bytes() == b"no database" * 1000


def test_what_a_station_signs_of_a_damaged_file_in_1970_bears_the_release_and_no_earlier_time(
    state: Path, tmp_path: Path, panel: PanelThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Played()
    machine.is_set(EPOCH, "unsure")
    monkeypatch.setattr("appliance.run.wiring._clock", lambda max_unsynced_s: machine)
    (state / DATABASE_NAME).write_bytes(b"no database" * 1000)
    parts = build(settings(), state, tmp_path, panel)
    (row,) = parts.outbox.rows()
    assert datetime.fromisoformat(row.time) == released() == parts.world.clock.now().time
    parts.close()


def test_the_settings_say_how_long_a_clock_is_trusted(
    state: Path, tmp_path: Path, panel: PanelThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    def clock(max_unsynced_s: float) -> Played:
        told.append(max_unsynced_s)
        return Played()

    monkeypatch.setattr("appliance.run.wiring._clock", clock)
    own = settings()
    build(replace(own, clock=replace(own.clock, max_unsynced_h=2)), state, tmp_path, panel).close()
    assert told == [7200]


@pytest.mark.parametrize("keys", [5, None, "keys", ["key"], [{"kty": "none"}], [{"use": "sig"}]])
def test_agency_keys_that_are_no_keys_are_a_bad_configuration(
    state: Path, tmp_path: Path, panel: PanelThread, keys: object
) -> None:
    (state / AGENCY_KEYS).write_text(json.dumps({"keys": keys}))
    with pytest.raises(ConfigError):
        build(settings(), state, tmp_path, panel)


@pytest.mark.parametrize("display", ["ssd1306", "virtual"])
def test_a_missing_font_refuses_the_start_of_a_station_with_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: str
) -> None:
    monkeypatch.setattr(fonts.check, "__defaults__", (tmp_path / "none.ttf",))
    chosen = config.parse(TEXT.replace('"none"', f'"{display}"'), "station.toml")
    with pytest.raises(ConfigError, match="fonts-thai-tlwg"):
        build_panel(chosen.panel, "th", tmp_path)
    build_panel(settings().panel, "th", tmp_path).close()


def test_missing_shaping_refuses_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: False)
    chosen = config.parse(TEXT.replace('"none"', '"virtual"'), "station.toml")
    with pytest.raises(ConfigError, match="libfribidi0"):
        build_panel(chosen.panel, "th", tmp_path)


def test_the_virtual_panel_listens_and_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACE_VARIABLE, str(tmp_path / "trace"))
    chosen = config.parse(TEXT.replace('"none"', '"virtual"'), "station.toml")
    panel = build_panel(chosen.panel, "th", tmp_path)
    panel.show(Screen(State.NO_READER, code="R01"))
    assert json.loads((tmp_path / "trace").read_text())["state"] == "no_reader"
    assert (tmp_path / SOCKET_NAME).is_socket()
    assert panel.state == "ok"
    panel.close()


def test_a_machine_without_pins_still_has_a_panel(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        panel = build_panel(settings().panel, "th", tmp_path)
    assert "P01: no buttons, lights or buzzer" in caplog.text
    panel.show(Screen(State.IDLE))
    assert (panel.state, panel.pressed()) == ("none", None)
    panel.close()
    assert wiring._signals((5, 6, 13), (17, 27, 22), 18) is None
