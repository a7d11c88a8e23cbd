"""What the menu's pages say, whatever is known; and that each fits."""

from typing import Any

import pytest

from appliance.panel.fitting import SMALL_PX, width_px
from appliance.panel.menu import pages
from appliance.services.loading import shipped

FULL: dict[str, Any] = {
    "state": "degraded",
    "versions": {"software": "0.1.0"},
    "service": {"id": "dcy.grant_check", "version": 2, "sha256": "G0T5qATTYa4dggAMTGbJMrH8OMySH_URs-Xc31WCJlk"},
    "reader": "ReaderUnavailable",
    "panel": "none",
    "clock": {"quality": "unsure"},
    "backlog": {"count": 12031, "oldest": "2026-11-23T07:42:10.000+07:00"},
    "last_receipt": {"through": 104212, "epoch": 1, "received_at": "2026-11-23T07:40:10.000+07:00"},
    "frozen": None,
}


def said(status: dict[str, Any], language: str = "en") -> list[list[str]]:
    return [[label.text(language) for label in page] for page in pages(status, "bkk-001")]


def test_every_page_says_what_is_known() -> None:
    assert said(FULL) == [
        ["Status", "Degraded", "Reader failed"],
        ["Delivery", "Waiting 12031", "Since 23/11 07:42"],
        ["Last receipt", "#104212", "23/11 07:40"],
        ["Clock", "Not sure", "Panel none"],
        ["Service", "dcy.grant_check", "2 G0T5qATTYa"],
        ["This station", "bkk-001", "Version 0.1.0"],
    ]


def test_what_is_not_known_is_said_to_be_so() -> None:
    never = {"state": "never started", "backlog": {"count": 0, "oldest": None}, "last_receipt": None, "frozen": None}
    assert said(never) == [
        ["Status", "never started", "Reader failed"],
        ["Delivery", "Waiting 0", "Since -"],
        ["Last receipt", "-", "-"],
        ["Clock", "-", "Panel failed"],
        ["Service", "-", "- -"],
        ["This station", "bkk-001", "Version -"],
    ]
    assert len(said({})) == len(said(FULL))


def test_a_frozen_queue_comes_before_everything() -> None:
    assert said({**FULL, "state": "ready", "frozen": "a receipt names another hash"})[0][1] == "Queue is frozen"


@pytest.mark.parametrize("language", ["th", "en"])
def test_every_line_fits(language: str) -> None:
    """All but the longest names of services, which are cut; they stand on the agency's list beside their hash."""
    for profile in shipped():
        service = {"id": profile.id, "version": 12, "sha256": profile.sha256}
        for quality in ("synchronised", "unsure", "simulated"):
            status = {**FULL, "service": service, "clock": {"quality": quality}}
            lines = [line for page in said(status, language) for line in page if line != profile.id]
            assert [line for line in lines if width_px(line, SMALL_PX) > 127] == []
