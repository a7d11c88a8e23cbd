"""The online question on the whole product: from a card to the registry, back to the panel, and to the agency's row."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agency.linkage.simulator import Simulator, serving
from appliance.simulate.persons import person
from appliance.simulate.product import Product
from tests.system.search import clear_text_of, find_in_tree
from tests.system.test_services import all_arrived, received, whole_event

PEOPLE = {person(1).citizen_id: "normal", person(2).citizen_id: "not_normal"}


@contextmanager
def running(folder: Path, service: str, simulator: Simulator) -> Iterator[Product]:
    with serving(simulator) as url:
        linkage = (
            f'[card_status]\nurl = "{url}/CheckCardService.asmx"\n[records]\nurl = "{url}/records"\n'
            f'[claims]\nurl = "{url}/claims"\nunit = "10670"\nclaim_type = "PG0060001"\n'
        )
        with Product(folder, service=service, linkage=linkage) as product:
            product.set_up()
            product.start("ingest", "linkage", "station", "link")
            product.wait_until_ready()
            log = folder / "log" / "linkage.log"
            product.wait_for(lambda: "connected to the broker" in log.read_text(), "the linkage worker")
            yield product


def serve(product: Product, name: str, button: str) -> dict[str, Any]:
    """Serve one person; return the verdict's screen. The card is out again then."""
    before = len(product.screens())
    product.insert(name)
    product.wait_for_screen("choose", before)
    chosen = len(product.screens())
    product.press(button)
    screen: dict[str, Any] = product.wait_for(
        lambda: next((s for s in product.screens()[chosen:] if s["reference"]), None), f"a verdict on {name}"
    )
    product.remove()
    return screen


def visits(product: Product, event_type: str) -> list[dict[str, Any]]:
    found = received(product, event_type)
    return [whole_event(product, one)["data"] for one in sorted(found, key=lambda one: int(one["sequence"]))]


def test_the_registry_s_word_reaches_the_panel_and_the_agency_s_row(tmp_path: Path) -> None:
    simulator = Simulator(PEOPLE)
    with running(tmp_path, "school.qualification", simulator) as product:
        assert serve(product, "person-1", "A")["state"] == "registry_normal"
        assert serve(product, "person-2", "A")["state"] == "registry_not_normal"
        simulator.fault = "html"
        assert serve(product, "person-3", "A")["state"] == "could_not_check"
        all_arrived(product)
        yes, no, unknown = visits(product, "school.qualification.v1")
        assert (yes["level"], yes["verdict"], yes["checks"]["online"]["source"]) == ("L3", "accepted", "records")
        assert (no["verdict"], no["checks"]["online"]["result"]) == ("refused", "fail")
        assert (unknown["verdict"], unknown["checks"]["online"]["why"]) == ("could_not_check", "bad_answer")
        assert len({one["query"] for one in (yes, no, unknown)}) == 3
        for name in ("station", "link", "linkage", "ingest", "broker"):
            product.kill(name, signal.SIGTERM)
        for serial in (1, 2, 3):
            assert find_in_tree(product.folder, clear_text_of(person(serial))) == []


def test_a_visit_is_opened_by_the_card_and_its_claim_is_known_once(tmp_path: Path) -> None:
    simulator = Simulator(PEOPLE)
    with running(tmp_path, "moph.visit_open", simulator) as product:
        assert serve(product, "person-1", "B")["state"] == "registry_normal"
        (claim,) = simulator.claims.values()
        assert claim["pid"] == person(1).citizen_id
        (row,) = json.loads(product.agency("--json", "visits"))
        assert (row["state"], row["choice"]) == ("open", "dental")
        product.kill("linkage")
        assert serve(product, "person-2", "B")["state"] == "outcome_unknown"
        assert len(simulator.claims) == 1
        all_arrived(product)
        _, lost = visits(product, "moph.visit_open.v1")
        assert (lost["verdict"], lost["checks"]["online"]["why"]) == ("outcome_unknown", "outcome_unknown")


@pytest.mark.parametrize("button", ["A", "B"])
def test_a_visit_is_confirmed_or_disputed_at_its_close(tmp_path: Path, button: str) -> None:
    simulator = Simulator(PEOPLE)
    with running(tmp_path, "moph.visit_close", simulator) as product:
        assert serve(product, "person-1", button)["state"] == "registry_not_normal", "nothing was opened"
        all_arrived(product)
        (refused,) = visits(product, "moph.visit_close.v1")
        assert (refused["choice"], refused["verdict"]) == ({"A": "confirm", "B": "dispute"}[button], "refused")
