"""Every shipped service once through the real flow: the cards, the presses, the event and what is sealed in it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.cards.thai_id import Field
from appliance.events.roster import roster_body
from appliance.panel.screens import Button, State
from appliance.services.loading import shipped
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import Person, person, synthetic_number
from tests.flow.actor import Deed, change_to, play, press
from tests.flow.stage import MEMBERS, OFFICERS, SERVICES, Stage, signed_roster

GROWN = person(2)  # a man of 32
STUDENT = replace(person(2), birth="25500115")
CHILD = replace(person(7), birth="25610520")
STRANGER_BODY = roster_body("stopped", "2026-11-20", [person(99).citizen_id])


@dataclass
class Walk:
    """One service, as people walk through it.

    Args:
        service: id.
        person: who puts the first card in.
        deeds: what they do at which screen.
        state: the last screen.
        verdict: of the event, with its level.
        choice: of the event.
        checks: results other than a pass.
        sealed: fields in the seal.
    """

    service: str
    person: Person
    deeds: dict[State, list[Deed]]
    state: State
    verdict: tuple[str, str]
    choice: str | None
    checks: dict[str, str] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=lambda: {"citizen_id"})
    is_approved: bool = False


def chosen(button: Button) -> dict[State, list[Deed]]:
    return {State.CHOOSE: [press(button)]}


A, B, C = Button.A, Button.B, Button.C
OFFLINE = {"online": "offline"}
AMBER = ("could_not_check", "L1")
REGISTRY = {"citizen_id", "request_number", "chip_number"}
WALKS = [
    Walk("school.attendance", GROWN, {}, State.ACCEPTED, ("accepted", "L2"), "in"),
    Walk(
        "school.enrol", person(60), {**chosen(A), State.SECOND_CARD: [change_to(ThaiCard(CHILD))]},
        State.RECORDED, ("accepted", "L1"), "enrol", sealed={"citizen_id", "child"},
    ),
    Walk("school.qualification", GROWN, chosen(B), State.COULD_NOT_CHECK, AMBER, "send_to_agency", OFFLINE),
    Walk(
        "nhso.unit_register", GROWN, chosen(B), State.COULD_NOT_CHECK, AMBER, "change", OFFLINE,
        REGISTRY | {"birth_date"},
    ),
    Walk("moph.visit_open", GROWN, chosen(C), State.COULD_NOT_CHECK, AMBER, "follow_up", OFFLINE, REGISTRY),
    Walk("moph.visit_close", GROWN, chosen(B), State.COULD_NOT_CHECK, AMBER, "dispute", OFFLINE),
    Walk(
        "police.lost_document", GROWN, chosen(A), State.RECORDED, ("accepted", "L1"), "bank_book", OFFLINE,
        REGISTRY | {"name_th", "address"}, is_approved=True,
    ),
    Walk(
        "opec.licence_applicant", GROWN, chosen(C), State.COULD_NOT_CHECK, AMBER, "teacher", OFFLINE,
        REGISTRY | {"name_th", "birth_date"}, is_approved=True,
    ),
    Walk(
        "dcy.grant_check", GROWN, chosen(A), State.COULD_NOT_CHECK, AMBER, "living_with_child", OFFLINE,
        is_approved=True,
    ),
    Walk(
        "dlt.licence", GROWN, chosen(A), State.RECORDED, ("accepted", "L1"), "renew", OFFLINE,
        {"citizen_id", "name_th", "birth_date"},
    ),
    Walk("dlt.vehicle_tax", GROWN, chosen(B), State.RECORDED, ("accepted", "L1"), "pay_for_other", OFFLINE),
    Walk(
        "tdc.register", GROWN, chosen(B), State.RECORDED, ("accepted", "L1"), "report", OFFLINE,
        REGISTRY | {"birth_date"},
    ),
    Walk(
        "tdc.student_enrol", STUDENT, chosen(B), State.ACCEPTED, ("accepted", "L2"), "report",
        sealed={"citizen_id", "birth_date"},
    ),
    Walk("rd.tax_payment", GROWN, chosen(A), State.RECORDED, ("accepted", "L1"), "pay_own", OFFLINE),
    Walk(
        "sso.register", GROWN, chosen(B), State.COULD_NOT_CHECK, AMBER, "choose_hospital", OFFLINE,
        {"citizen_id", "birth_date"},
    ),
]  # fmt: skip


def test_every_service_is_walked() -> None:
    assert {walk.service for walk in WALKS} | {"common.vouch"} == {profile.id for profile in shipped()}


def bytes_of(names: tuple[str, ...]) -> set[int]:
    return {at for name in names for at in Field.named(name).stretch}


def bytes_read(card: ThaiCard) -> set[int]:
    reads = [(int.from_bytes(one[2:4], "big"), one[6]) for one in card.log if one[:2] == b"\x80\xb0"]
    return {at for start, size_bytes in reads for at in range(start, start + size_bytes)}


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.service)
def test_a_service_is_walked_through(tmp_path: Path, walk: Walk) -> None:
    profile = SERVICES[walk.service]
    stage = Stage(tmp_path, profile=profile, denylist=signed_roster(body=STRANGER_BODY, kind="denylist"))
    if walk.is_approved:
        play(stage, ThaiCard(person(51)))
    card = ThaiCard(walk.person)
    screen = play(stage, card, walk.deeds)
    event = stage.events()[-1]
    data = event["data"]
    assert screen.state is walk.state
    assert (data["verdict"], data["level"], data["choice"]) == (*walk.verdict, walk.choice)
    assert {name: check["why"] for name, check in data["checks"].items() if check["result"] != "pass"} == walk.checks
    assert set(data["checks"]) == {*profile.asked, *(["officer"] if walk.is_approved else [])}
    assert data["officer"] == ("o1" if walk.is_approved else None)
    assert (event["type"], data["service"]["sha256"]) == (profile.event_type, profile.sha256)
    sealed = stage.opened(event)
    assert (set(sealed), sealed["citizen_id"]) == (walk.sealed, walk.person.citizen_id)
    assert bytes_read(card) == bytes_of(tuple(n for n in profile.card.read if n != "chip_number"))
    assert stage.problems() == []


def test_the_child_is_the_subject_of_an_enrolment(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["school.enrol"])
    child = ThaiCard(CHILD)
    play(stage, ThaiCard(person(60)), {**chosen(A), State.SECOND_CARD: [change_to(child)]})
    sealed = stage.opened(stage.events()[-1])
    birth = {"value": "2018-05-20", "precision": "day"}
    assert sealed["child"] == {"citizen_id": CHILD.citizen_id, "birth_date": birth}
    assert bytes_read(child) == bytes_of(("citizen_id", "birth_date", "issue_date", "expiry_date"))
    assert stage.panel.states == [State.READING, State.CHOOSE, State.SECOND_CARD, State.READING, State.RECORDED]


WRONG = [
    ("nhso.unit_register", {"birth": "25600101"}, State.CONDITIONS_NOT_MET, {"age": "too_young"}),
    ("sso.register", {"birth": "24900101"}, State.CONDITIONS_NOT_MET, {"age": "too_old"}),
    ("tdc.register", {"sex": "2"}, State.CONDITIONS_NOT_MET, {"sex": "not_for_this_sex"}),
    (
        "tdc.register", {"citizen_id": synthetic_number(2, 6)}, State.CONDITIONS_NOT_MET,
        {"number_kind": "not_for_this_kind_of_number"},
    ),
    ("dlt.licence", {"expiry": "25680101"}, State.EXPIRED, {"expiry": "expired"}),
    ("dlt.licence", {"birth": "25680101", "issued": "25650101"}, State.DATA_DISAGREE, {}),
    ("sso.register", {"birth": "25351399"}, State.DATA_DISAGREE, {"dates": "bad_date"}),
    ("dcy.grant_check", {"expiry": "25691399"}, State.DATA_DISAGREE, {"dates": "bad_date"}),
    ("school.qualification", {"expiry": "25691399"}, State.DATA_DISAGREE, {"dates": "bad_date"}),
    ("police.lost_document", {"expiry": "25691399"}, State.DATA_DISAGREE, {"dates": "bad_date"}),
    ("opec.licence_applicant", {"citizen_id": person(99).citizen_id}, State.ON_DENYLIST, {"denylist": "on_denylist"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "changes", "state", "whys"), WRONG, ids=[f"{r[0]}-{r[2].value}-{n}" for n, r in enumerate(WRONG)]
)
def test_who_does_not_fit_is_refused_before_anything_is_asked(
    tmp_path: Path, service: str, changes: dict[str, Any], state: State, whys: dict[str, str]
) -> None:
    stage = Stage(tmp_path, profile=SERVICES[service])
    stage.denylist = signed_roster(body=STRANGER_BODY, kind="denylist")
    screen = play(stage, ThaiCard(replace(GROWN, **changes)))
    data = stage.events()[-1]["data"]
    assert (screen.state, data["verdict"], data["choice"]) == (state, "refused", None)
    assert whys.items() <= {name: check.get("why") for name, check in data["checks"].items()}.items()
    assert State.CHOOSE not in stage.panel.states


def test_a_deny_list_that_is_missing_or_stale_is_never_not_on_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, profile=SERVICES["opec.licence_applicant"])
    play(stage, ThaiCard(person(51)))
    found: list[Any] = []
    stale = replace(signed_roster(body=STRANGER_BODY, kind="denylist"))
    for denylist in (None, replace(stale, expires_at=stale.issued_at)):
        stage.denylist = denylist
        play(stage, ThaiCard(GROWN), chosen(A))
        found.append(stage.events()[-1]["data"]["checks"]["denylist"])
    assert [check["result"] for check in found] == ["could_not_check"] * 2
    assert [check["why"] for check in found] == ["no_denylist", "stale_roster"]


def test_members_and_officers_of_the_stage_are_different_people() -> None:
    assert not set(MEMBERS) & set(OFFICERS)
