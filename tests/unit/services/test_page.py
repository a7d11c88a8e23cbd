"""``docs/services.md`` holds the table of today's files; each page for a data-protection officer says what is read."""

from pathlib import Path

import pytest

from appliance import cli
from appliance.services.loading import shipped
from appliance.services.profile import Profile

PAGE = Path(__file__).parents[3] / "docs" / "services.md"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["service", *words]) == 0
    return capsys.readouterr().out


def test_the_table_in_the_documentation_is_today_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "list", "--format", "markdown") in PAGE.read_text("utf-8")


@pytest.mark.parametrize("profile", shipped(), ids=lambda profile: profile.id)
def test_a_page_names_every_field_and_the_file(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "show", profile.id, "--format", "markdown")
    assert profile.sha256 in page
    assert profile.purpose.th in page
    assert all(f"| {name} |" in page for name in profile.card.read)
    assert all(name in page for name in (*profile.asked, *profile.record.sealed, *profile.card.never))
    assert f"until {profile.retention.station_after_receipt_days} days" in page
    assert ("sent to the agency" in page) == (profile.online is not None)


def test_an_unknown_service_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["service", "show", "school.enroll"]) == 2
    assert 'did you mean "school.enrol"?' in capsys.readouterr().err
