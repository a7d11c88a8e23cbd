"""Services on the whole product: a pushed profile takes force, officers and two cards, from the card to the agency."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from appliance.services.loading import shipped
from appliance.simulate.persons import person
from appliance.simulate.product import Product
from tests.system.search import clear_text_of, find_in_tree
from tests.unit.services.test_catalogue import changed

ALL = ("ingest", "station", "link")


@contextmanager
def running(folder: Path, service: str, **how: Any) -> Iterator[Product]:
    with Product(folder, service=service, **how) as whole:
        whole.set_up()
        whole.start(*ALL)
        whole.wait_until_ready()
        yield whole


def received(product: Product, event_type: str) -> list[dict[str, Any]]:
    return [event for event in product.events() if event["type"] == event_type]


def whole_event(product: Product, event: dict[str, Any]) -> dict[str, Any]:
    shown = json.loads(product.agency("--json", "events", "show", event["chain"], str(event["sequence"])))
    found: dict[str, Any] = shown["event"]
    return found


def status(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(product.station("--json", "status"))
    return found


def _says(product: Product, served: dict[str, Any]) -> bool:
    return bool(status(product)["service"] == served)


def all_arrived(product: Product) -> None:
    product.wait_for(lambda: status(product)["backlog"]["count"] == 0, "receipts", 40.0)
    product.agency("audit")
    product.station("outbox", "verify")


def test_a_pushed_profile_is_taken_up_between_two_people_and_is_an_event(tmp_path: Path) -> None:
    with running(tmp_path, "school.attendance") as product:
        assert product.visit("person-1")["state"] == "accepted"
        product.remove()
        path = tmp_path / "newer.toml"
        path.write_bytes(changed(9, "duplicate_window_s = 180", "duplicate_window_s = 0").text)
        product.agency("service", "push", str(path))
        log = tmp_path / "log" / "station.log"
        product.wait_for(lambda: "serving school.attendance version 9" in log.read_text(), "the new profile")
        assert product.visit("person-1")["state"] == "accepted", "the new profile knows no duplicates"
        all_arrived(product)
        (event,) = received(product, "station.service_changed.v1")
        assert whole_event(product, event)["data"]["service"]["version"] == 9
        visits = [whole_event(product, one)["data"] for one in received(product, "school.attendance.v1")]
        assert sorted(one["service"]["version"] for one in visits) == [2, 9]
        assert status(product)["service"]["version"] == 9


def test_an_officer_approves_and_vouches(tmp_path: Path) -> None:
    with running(tmp_path, "dcy.grant_check", officers=(51,)) as product:
        assert product.screens()[-1]["state"] == "officer_first"
        assert product.visit("person-51")["state"] == "signed_on"
        product.press("B")
        before = len(product.screens())
        product.wait_for_screen("choose")
        product.press("C")
        vouched = product.wait_for_screen("vouched", before)
        product.remove()
        before = len(product.screens())
        product.insert("person-2")
        product.wait_for_screen("choose", before)
        product.press("A")
        product.wait_for_screen("could_not_check", before)  # nobody answers questions yet
        product.remove()
        all_arrived(product)
        (vouch,) = received(product, "common.vouch.v1")
        data = whole_event(product, vouch)["data"]
        assert (data["choice"], data["officer"], data["vouched_for"]) == ("no_card", "o1", "dcy.grant_check")
        assert vouch["sequence"] == int(vouched["reference"])
        (visit,) = received(product, "dcy.grant_check.v1")
        assert whole_event(product, visit)["data"]["officer"] == "o1"
        assert len(received(product, "officer.signed_on.v1")) == 1
        product.kill("station")
        for serial in (51, 2):
            assert find_in_tree(product.state, clear_text_of(person(serial))) == []


def test_two_cards_of_one_enrolment(tmp_path: Path) -> None:
    with running(tmp_path, "school.enrol") as product:
        product.press("A")  # before the card
        time.sleep(0.7)
        product.insert("person-60")
        product.wait_for_screen("second_card")
        product.remove()
        before = len(product.screens())
        product.insert("person-7")
        screen = product.wait_for(
            lambda: next((s for s in product.screens()[before:] if s["reference"]), None), "a verdict"
        )
        assert screen["state"] == "conditions_not_met", "person-7 is grown up"
        all_arrived(product)
        (event,) = received(product, "school.enrol.v1")
        data = whole_event(product, event)["data"]
        assert (data["verdict"], data["checks"]["age"]["why"]) == ("refused", "too_old")
        assert data["checks"]["two_persons"] == {"result": "pass"}


def test_every_service_starts_as_a_real_station(tmp_path: Path) -> None:
    """Each shipped profile by its id in the settings: the station starts, invites and says what it serves."""
    with running(tmp_path, "school.attendance") as product:
        for profile in shipped():
            if profile.id == "school.attendance" or profile.vouch is not None:
                continue
            product.kill("station")
            product.service, before = profile.id, len(product.screens())
            product.write_settings()
            product.start("station")
            product.wait_until_ready(before)
            served = {"id": profile.id, "version": profile.version, "sha256": profile.sha256}
            product.wait_for(partial(_says, product, served), f"the word that it is {profile.id}")
        all_arrived(product)
        assert len(received(product, "station.service_changed.v1")) == len(shipped()) - 2
