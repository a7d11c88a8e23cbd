"""An agency in a temporary directory, with one station."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agency.home import Home
from agency.ingest.batch import Bundle, Tally, take
from agency.ingest.verification import Rules
from agency.store.database import Database
from tests.unit.agency.fleet import AGENCY, Desk, Station
from tests.unit.agency.site import Site, running


@dataclass(frozen=True)
class Office:
    """An agency with its database open."""

    desk: Desk
    database: Database
    station: Station
    folder: Path

    @property
    def rules(self) -> Rules:
        return Rules.of(AGENCY, self.station.recipients)

    def take(self, *lines: str, station: str | None = None) -> Tally:
        """Ingest one bundle as it would come over the station's topic."""
        return self.take_raw("\n".join(lines).encode(), station)

    def take_together(self, bundles: Iterable[Sequence[str]]) -> Tally:
        """Ingest bundles of the station in one batch."""
        payloads = ["\n".join(lines).encode() for lines in bundles]
        return take(self.database, self.rules, [Bundle(self.station.id, payload) for payload in payloads])

    def take_raw(self, payload: bytes, station: str | None = None) -> Tally:
        return take(self.database, self.rules, [Bundle(station or self.station.id, payload)])


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    made = Desk(Home(tmp_path / "home"), capsys)
    assert made.run("init", "--agency", AGENCY, "--host", "broker.example").code == 0
    return made


@pytest.fixture
def office(desk: Desk, tmp_path: Path) -> Iterator[Office]:
    station = Station("bkk-001")
    desk.enrol(station, tmp_path)
    with Database.open(desk.home.database) as database:
        yield Office(desk, database, station, tmp_path)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running(tmp_path, capsys) as made:
        yield made
