"""A service goes forward only, and a document is taken whole or not at all (T-22, T-57)."""

import pytest

from appliance.errors import VerificationError
from appliance.services.catalogue import Catalogue, services_body
from appliance.services.loading import parse, shipped
from appliance.services.profile import Profile

SOFTWARE = Catalogue.of_software()
ATTENDANCE = SOFTWARE.profiles["school.attendance"]


def changed(version: int, old: str = "", new: str = "", profile: Profile = ATTENDANCE) -> Profile:
    text = profile.text.decode().replace(f"version = {profile.version}\n", f"version = {version}\n")
    assert old in text
    return parse(text.replace(old, new, 1).encode(), "x.toml")


def taken(*profiles: Profile, before: Catalogue = SOFTWARE) -> Catalogue:
    return SOFTWARE.with_document(services_body(profiles), before=before)


def test_a_newer_version_takes_the_place_of_the_shipped_one() -> None:
    newer = changed(9, "duplicate_window_s = 180", "duplicate_window_s = 60")
    found = taken(newer).profiles
    assert found["school.attendance"] == newer
    assert set(found) == set(SOFTWARE.profiles)


def test_a_service_that_the_software_does_not_know_is_added() -> None:
    text = ATTENDANCE.text.decode().replace("school.attendance", "library.visit")
    assert "library.visit" in taken(parse(text.encode(), "x.toml")).profiles


def test_the_body_carries_the_very_bytes_of_the_file() -> None:
    found = SOFTWARE.with_document(services_body(shipped()))
    assert {one.id: one.sha256 for one in found.profiles.values()} == {one.id: one.sha256 for one in shipped()}


@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ([changed(1)], "goes back from version 2 to 1"),
        ([changed(2, "duplicate_window_s = 180", "duplicate_window_s = 60")], "version 2 is known with other content"),
        ([changed(3), changed(4)], "stands twice"),
    ],
)
def test_a_document_that_goes_back_is_refused(profiles: list[Profile], said: str) -> None:
    with pytest.raises(VerificationError, match=said):
        taken(*profiles)


def test_nothing_goes_below_what_an_earlier_document_brought() -> None:
    before = taken(changed(9))
    with pytest.raises(VerificationError, match="goes back from version 9 to 8"):
        taken(changed(8), before=before)
    assert taken(changed(9), before=before).profiles["school.attendance"].version == 9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a = [",
        "\x00",
        ATTENDANCE.text.decode().replace('read = ["citizen_id"]', 'read = ["citizen_id", "photo"]'),
        ATTENDANCE.text.decode() + "\n[religion]\nread = true\n",
        ATTENDANCE.text.decode().replace("version = 2", "version = 3\nversion = 3"),
        "a = " + "[" * 9000,
    ],
    ids=["empty", "no-toml", "nul", "never-and-read", "unknown-table", "twice", "bomb"],
)
def test_one_profile_that_cannot_be_read_spoils_the_document(text: str) -> None:
    with pytest.raises(VerificationError, match="what is no profile"):
        SOFTWARE.with_document({"profiles": [changed(9).text.decode(), text]}, before=SOFTWARE)


def test_a_newer_profile_of_newer_software_is_not_undone_by_an_old_document() -> None:
    software = Catalogue({"school.attendance": changed(9)})
    assert software.with_document(services_body([changed(5)])).profiles["school.attendance"].version == 9


def test_what_a_service_swore_never_to_read_no_later_version_reads() -> None:
    """T-22: the promise outlives the file that made it."""
    kept = ", ".join(f'"{name}"' for name in ATTENDANCE.card.never)
    swears_less = changed(9, f"never = [{kept}]", "never = []")
    reads_it = parse(swears_less.text.replace(b'read = ["citizen_id"]', b'read = ["citizen_id", "photo"]'), "x.toml")
    for profile in (swears_less, reads_it):
        with pytest.raises(VerificationError, match=f"no longer forbids {ATTENDANCE.card.never[0]}"):
            taken(profile)


def test_what_an_earlier_document_brought_is_not_forgotten_by_one_that_leaves_it_out() -> None:
    """Else the version after that could be lower than what was in force (T-57)."""
    before = taken(changed(9))
    other = changed(5, profile=SOFTWARE.profiles["rd.tax_payment"])
    with pytest.raises(VerificationError, match="version 9 is left out"):
        taken(other, before=before)
    assert taken(changed(9), other, before=before).profiles["rd.tax_payment"].version == 5
