"""Only what the service names is ever asked of a card: proved from what the cards heard."""

from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.cards.thai_id import ALL, CID, PHOTO_LENGTH, Applet, Field, select
from appliance.errors import CardError
from appliance.flow import serve
from appliance.run.slot_reader import SlotReader
from appliance.services.loading import parse, shipped
from appliance.services.profile import Profile
from appliance.simulate.card import ThaiCard
from appliance.simulate.deck import deck, samples
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot
from tests.flow.stage import Stage

SELECT = bytes(select(Applet.MOI))
ATTENDANCE_LOG = {SELECT, bytes.fromhex("80B0000402000D"), bytes.fromhex("00C000000D")}


def profiles() -> list[Profile]:
    demonstrations = [one for one in files("appliance.simulate").iterdir() if one.name.endswith(".toml")]
    return [*shipped(), *(parse(one.read_bytes(), one.name) for one in demonstrations)]


def fields_of(profile: Profile) -> list[Field]:
    return [Field.named(name) for name in profile.card.read]


def bytes_read(log: list[bytes]) -> set[int]:
    reads = [(int.from_bytes(one[2:4], "big"), one[6]) for one in log if one[:2] == b"\x80\xb0"]
    return {at for start, size_bytes in reads for at in range(start, start + size_bytes)}


def test_a_thousand_pupils_are_asked_for_thirteen_bytes() -> None:
    attendance = next(profile for profile in shipped() if profile.id == "school.attendance")
    slot = InMemorySlot()
    reader = SlotReader(slot, fields_of(attendance))
    for serial in range(1000):
        card = ThaiCard(person(serial))
        slot.insert(card)
        assert reader.read(fields_of(attendance)).citizen_id == person(serial).citizen_id
        assert set(card.log) == ATTENDANCE_LOG
        assert len(card.log) == 3


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.id)
@pytest.mark.parametrize("name", ["person-1", "nid6", "3b67", "apdu-level", "reset-at-3", "version-0002"])
def test_no_card_hears_more_than_the_profile_names(profile: Profile, name: str) -> None:
    card, slot = deck(name), InMemorySlot()
    slot.insert(card)
    SlotReader(slot, fields_of(profile)).read(fields_of(profile))
    named = {at for field in fields_of(profile) for at in field.stretch}
    assert bytes_read(card.log) <= named | (set(PHOTO_LENGTH) if "photo" in profile.card.read else set())
    allowed = [select(applet).without_le() for applet in {field.applet for field in fields_of(profile)}]
    asked = [one for one in card.log if one[1] == 0xA4]
    assert all(any(one in (form, form + one[len(form) :][:1]) for form in allowed) for one in asked)


@pytest.mark.parametrize("asked", [[Field.NAME_TH], [Field.PHOTO], [Field.HEALTH], [Field.LASER_NUMBER], list(ALL)])
def test_what_the_service_does_not_name_becomes_an_event_and_no_byte(tmp_path: Path, asked: list[Field]) -> None:
    """As if the station's own process were not what it should be: the refusal stands beside the card."""
    stage = Stage(tmp_path)
    card_table = replace(stage.profile.card, read=tuple(field.symbol for field in asked))
    greedy = replace(stage.profile, card=card_table)
    card = ThaiCard(person(1))
    stage.slot.insert(card)
    world = replace(stage.world(), reader=SlotReader(stage.slot, CID))
    serve(world, greedy, lambda: False)
    event = stage.events()[-1]
    assert event["data"]["verdict"] == "could_not_check"
    assert event["data"]["checks"] == {"applet": {"result": "could_not_check", "why": "forbidden"}}
    assert (stage.panel.screens[-1].code, stage.panel.screens[-1].reference) == ("C12", str(int(event["sequence"])))
    assert bytes_read(card.log) == set()
    assert set(card.log) <= {SELECT}


@pytest.mark.parametrize("name", [name for name in samples() if not name.startswith(("very-slow", "slow"))])
def test_no_card_talks_the_reader_into_more(name: str) -> None:
    """Whatever a card answers: status words, lengths, resets."""
    card, slot = deck(name), InMemorySlot()
    slot.insert(card)

    with suppress(CardError):
        SlotReader(slot, CID).read(CID)
    assert bytes_read(card.log) <= set(Field.CITIZEN_ID.stretch)
    assert all(one == SELECT or one[:2] in (b"\x80\xb0", b"\x00\xc0") for one in card.log)
