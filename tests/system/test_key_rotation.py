"""The agency's keys are rotated, with real processes: a station that is there, and one that was away for ten days."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.events.sign import unverified_payload
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import EVENT_KEY, agency_keys
from appliance.run.live_keys import LiveKeys, LiveRecipients
from tests.contract.line_bench import ID, bench_in
from tests.system.test_link_process import Box
from tests.unit.agency.fleet import DAY
from tests.unit.agency.site import Running, wait_until


class SealingBox(Box):
    """A station whose events are sealed to the keys in force, as the station process seals them."""

    def follow_keys(self) -> None:
        keys = LiveKeys(Outbox.open(self.state / DATABASE_NAME), agency_keys(self.state), ID)
        self.bench.station.recipients = LiveRecipients(keys)  # type: ignore[assignment]

    def rotate(self, purpose: str) -> None:
        ran = self.bench.site.desk.run("keys", "rotate", purpose)
        assert ran.code == 0, ran.err

    def wait_told(self) -> None:
        """Wait until every station was sent a receipt by the new key."""
        wait_until(lambda: self.bench.site.desk.run("epoch", "show", "--json").json()["told"], 20)

    def sealed_to(self, sequence: int) -> set[str]:
        row = self.outbox.row(sequence)
        assert row is not None
        recipients = unverified_payload(row.jws)["data"]["sealed"]["recipients"]
        return {recipient["header"]["kid"] for recipient in recipients}

    def in_force(self) -> set[str]:
        return {key["kid"] for key in self.bench.site.desk.home.keys_in_force() if key["use"] == "enc"}


@pytest.fixture
def box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[SealingBox]:
    with bench_in(tmp_path, capsys) as bench:
        made = SealingBox(bench)
        made.follow_keys()
        yield made
        made.outbox.close()
        made.systemd.close()


def took_up(link: Running, version: int) -> None:
    wait_until(lambda: link.said(f"took up keys version {version}"), 20)


def test_a_station_that_is_there_seals_to_the_new_keys_from_the_next_event(box: SealingBox) -> None:
    box.bench.site.start_ingest()
    box.append(3)
    link = box.start()
    box.wait_through(3)
    before = box.in_force()
    box.rotate("duty")
    took_up(link, 1)
    box.append(1)
    assert box.sealed_to(3) == before
    assert box.sealed_to(4) == box.in_force() != before
    box.wait_through(4)
    assert box.bench.site.desk.run("audit").code == 0


def test_receipts_of_the_new_key_are_believed_and_those_of_a_retired_one_are_not(box: SealingBox) -> None:
    box.bench.site.start_ingest()
    link = box.start()
    box.append(2)
    box.wait_through(2)
    box.rotate("receipt")
    took_up(link, 1)
    box.wait_told()
    assert box.bench.site.desk.run("keys", "retire", "receipt").code == 0
    took_up(link, 2)
    box.append(1)
    box.wait_through(3)
    assert not link.said("refused")
    state = {"STATE_DIRECTORY": str(box.state)}
    command = (sys.executable, "-m", "appliance.cli", "--config", str(box.config), "outbox", "verify")
    keys = box.state / EVENT_KEY
    keys.parent.mkdir()
    keys.write_text(json.dumps(box.bench.station.signer.private()))
    ran = subprocess.run(command, env={**os.environ, **state}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "3 events, chain unbroken\n")  # the first receipts are of the old key


def test_ten_days_away_through_every_rotation(box: SealingBox) -> None:
    """Old seals open with escrow once the old duty key is destroyed; the station's next seal is to the new keys."""
    desk = box.bench.site.desk
    box.append(4)  # on a station that nobody reaches
    away = box.in_force()
    for purpose in ("duty", "document", "receipt", "document", "escrow", "duty"):
        box.rotate(purpose)
    for purpose in ("duty", "document", "receipt"):
        assert desk.run("keys", "retire", purpose).code == 0
    box.bench.site.start_ingest()
    link = box.start()
    took_up(link, 8)
    box.wait_through(4, 40)
    box.append(1)
    box.wait_through(5, 40)
    assert box.sealed_to(4) == away
    assert box.sealed_to(5) == box.in_force()
    assert not box.in_force() & away
    assert desk.run("audit").code == 0
    report = desk.run("attendance", "--date", DAY)
    assert (report.code, len(report.out.splitlines())) == (0, 1 + 4)
    assert link.process.poll() is None
