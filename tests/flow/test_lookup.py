"""The look-up runs while the card is still read, and its result is that of the number that the card ended with."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.events.roster import Scrypt
from appliance.panel.screens import State
from appliance.ports import Tell, silence
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from appliance.visit import examine
from tests.flow.stage import MEMBERS, SERVICES, Stage


class Watched(SlotReader):
    """A reader that waits, in the middle of the read, until the digests are under way."""

    begun = threading.Event()

    def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
        def hear(so_far: Record | None) -> None:
            tell(so_far)
            assert self.begun.wait(5.0), "nothing had begun when the number was known"

        return super().read(fields, hear)


def test_the_digests_begin_with_the_number_and_not_with_the_end_of_the_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watched.begun.clear()
    usual = Scrypt.digest

    def digest(kdf: Scrypt, number: str) -> bytes:
        Watched.begun.set()
        return usual(kdf, number)

    monkeypatch.setattr(Scrypt, "digest", digest)
    stage = Stage(tmp_path, profile=SERVICES["tdc.student_enrol"])
    stage.slot.insert(ThaiCard(person(2)))
    world = replace(stage.world(), reader=Watched(stage.slot, list(Field)))
    insertion = world.reader.wait_card(0)
    assert insertion is not None
    card = examine(world, stage.profile, insertion, False, silence)
    assert card.checks["roster"].result.value == "pass"


def test_a_number_that_changed_on_the_way_is_looked_up_anew(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["tdc.student_enrol"])
    stage.slot.insert(ThaiCard(person(9)))
    member = Record({Field.CITIZEN_ID: MEMBERS[0]}, (), 2)

    class Lying(SlotReader):
        def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
            tell(member)
            tell(None)
            return super().read(fields, tell)

    world: Any = replace(stage.world(), reader=Lying(stage.slot, list(Field)))
    card = examine(world, stage.profile, world.reader.wait_card(0), False, silence)
    assert card.checks["roster"].why == "not_on_roster"
    assert card.digest == Scrypt(stage.outbox.day_salt(card.at.time.date().isoformat())).digest(person(9).citizen_id)


def test_the_roster_may_be_taken_away_while_a_card_is_read(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.visit(ThaiCard(person(1))).state is State.ACCEPTED
    stage.roster = None
    assert stage.visit(ThaiCard(person(2))).state is State.COULD_NOT_CHECK
