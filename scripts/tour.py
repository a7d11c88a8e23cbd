"""The demonstration: the whole product on this machine, and a tour of what a station does with six cards.

``scripts/demo`` sets the machine up and starts this inside ``scripts/private``. ``--once`` runs one attendance from
insertion to receipt, prints what the agency stored, and ends with 0. ``--hardware`` uses the machine's own reader,
OLED and buttons instead of virtual ones.
"""

import argparse
import base64
import json
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.errors import CardStationError
from appliance.events.sign import unverified_payload
from appliance.simulate.panel_view import SOCKET_NAME, paint
from appliance.simulate.product import PORT, Product
from appliance.simulate.proxy import FAIR, FaultProxy, Weather

TOUR = (
    ("person-1", "a pupil of the school comes in"),
    ("person-2", "another pupil"),
    ("person-1", "the first card again, within three minutes: already recorded, no second event"),
    ("person-9", "a card that is not on the roster"),
    ("bad-number", "a card whose number has a wrong check digit"),
    ("bank", "a card that is not Thai"),
    ("expired", "an expired card: attendance reads 13 bytes and never sees the date, so it claims nothing about it"),
)
HELP = (
    "card to insert (person-1 … person-9, expired, bad-number, bank, mute), a b c = buttons, Enter = take out, q = end"
)


class PanelEye:
    """Follows the virtual panel and holds what it shows now."""

    def __init__(self, runtime: Path) -> None:
        self.state: dict[str, Any] = {}
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.connect(str(runtime / SOCKET_NAME))
        threading.Thread(target=self._follow, name="panel-eye", daemon=True).start()

    def press(self, button: str) -> None:
        """Press a button."""
        self._line.sendall(json.dumps({"press": button.upper()}).encode() + b"\n")

    def picture(self) -> str:
        """Return the panel as text, without the line about keys."""
        return "\n".join(paint(self.state, sys.stdout.isatty()).splitlines()[:-1])

    def _follow(self) -> None:
        with self._line.makefile("rb") as lines, suppress(OSError):
            for line in lines:
                self.state = {**self.state, **json.loads(line)}


def say(words: str) -> None:
    """Say what goes on."""
    print(f"-- {words}", flush=True)


def start(product: Product) -> PanelEye:
    """Start everything and wait until the station is idle."""
    started_s = time.monotonic()
    product.set_up(say)
    say("ingest at the agency; the station's two processes: station and link")
    product.start("ingest", "station", "link")
    product.wait_until_ready()
    say(f"ready after {time.monotonic() - started_s:.1f} s")
    return PanelEye(product.runtime)


def wait_until_idle(product: Product) -> None:
    """Wait until the newest screen asks for a card."""
    product.wait_for(lambda: product.screens() and product.screens()[-1]["state"] == "idle", "an idle panel")


def show_card(product: Product, eye: PanelEye, card: str, words: str) -> dict[str, Any]:
    """Insert a card, print the verdict's picture, take the card out."""
    print(f"\n== {card}: {words}")
    screen = product.visit(card)
    time.sleep(0.4)  # the picture is pushed to the glass after the lights
    print(eye.picture(), flush=True)
    product.remove()
    wait_until_idle(product)
    return screen


def once(product: Product) -> int:
    """Run one attendance from insertion to receipt."""
    eye = start(product)
    screen = show_card(product, eye, *TOUR[0])
    receipt = product.wait_for(lambda: receipt_through(product, int(screen["reference"])), "a receipt")
    jws = next(line for line in export(product) if sequence_of(line) == int(screen["reference"]))
    event = unverified_payload(jws)
    print("\n== the verdict")
    print(f"{event['data']['verdict']} at level {event['data']['level']}")
    print("\n== the event as the agency stored it: protected header, then payload")
    print(json.dumps(header_of(jws), indent=2))
    print(json.dumps(event, indent=2, ensure_ascii=False))
    print("\n== the agency's signed receipt")
    print(json.dumps(receipt, indent=2))
    return 0


def export(product: Product) -> list[str]:
    """Return every event that the agency holds, as compact JWS."""
    return product.agency("events", "export").split()


def sequence_of(jws: str) -> int:
    """Return the sequence number of an event."""
    return int(unverified_payload(jws)["sequence"])


def header_of(jws: str) -> dict[str, Any]:
    """Return the protected header of a compact JWS."""
    part = jws.partition(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def receipt_through(product: Product, sequence: int) -> dict[str, Any] | None:
    """Return the last receipt that the station took, where it covers ``sequence``."""
    database = sqlite3.connect(f"{(product.state / 'station.db').as_uri()}?mode=ro", uri=True)
    try:
        row = database.execute("SELECT receipt FROM delivery WHERE through >= ?", (sequence,)).fetchone()
    finally:
        database.close()
    return unverified_payload(row[0]) if row and row[0] else None


def tour(product: Product) -> int:
    """Show every card of the tour, then what the agency knows; then take wishes from the terminal."""
    with FaultProxy("127.0.0.1", PORT) as network:
        product.link_port = network.port
        eye = start(product)
        for card, words in TOUR:
            show_card(product, eye, card, words)
        eye = with_expiry(product, eye)
        without_network(product, eye, network)
        show_results(product)
        if sys.stdin.isatty():
            take_wishes(product, eye)
    return 0


def with_expiry(product: Product, eye: PanelEye) -> PanelEye:
    """Show the expired card again under a service that may read the expiry date."""
    product.service = "demo.attendance_with_expiry"
    product.write_settings()
    restart_station(product)
    eye = PanelEye(product.runtime)
    show_card(product, eye, "expired", "the same card under a service that also asks for the expiry date")
    product.service = "school.attendance"
    product.write_settings()
    restart_station(product)
    return PanelEye(product.runtime)


def without_network(product: Product, eye: PanelEye, network: FaultProxy) -> None:
    """Show a card while the agency cannot be reached, and what becomes of its event when it can be."""
    network.weather = Weather(is_refusing=True)
    network.cut()
    screen = show_card(product, eye, "person-4", "a pupil while the network is gone: recorded and kept")
    backlog = json.loads(product.station("--json", "status"))["backlog"]["count"]
    say(f"the station keeps {backlog} {'event' if backlog == 1 else 'events'}; the network comes back")
    network.weather = FAIR
    since_s = time.monotonic()
    product.wait_for(lambda: receipt_through(product, int(screen["reference"])), "a receipt", 90.0)
    say(f"sent and receipted {time.monotonic() - since_s:.1f} s later")


def restart_station(product: Product) -> None:
    """Kill the station as a power cut does, and start it again."""
    product.kill("station")
    before = len(product.screens())
    product.start("station")
    product.wait_for(lambda: any(s["state"] == "idle" for s in product.screens()[before:]), "an idle panel")


def show_results(product: Product) -> None:
    """Print what the agency and the station know now."""
    newest = max(int(screen["reference"] or 0) for screen in product.screens())
    product.wait_for(lambda: receipt_through(product, newest), "the last receipt")
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 7 * 3600))
    print(f"\n== card-agency attendance --date {day}")
    print(product.agency("attendance", "--date", day), end="")
    print("== card-agency audit")
    print(product.agency("audit"), end="")
    print("== card-station outbox verify")
    print(product.station("outbox", "verify"), end="", flush=True)


def take_wishes(product: Product, eye: PanelEye) -> None:
    """Insert what the terminal asks for, until q or the end of input."""
    print(f"\n== your turn: {HELP}")
    with suppress(EOFError, KeyboardInterrupt):
        while (wish := input("> ").strip().lower()) != "q":
            if wish in ("a", "b", "c"):
                eye.press(wish)
                time.sleep(0.3)
            elif wish:
                insert_wish(product, wish)
            else:
                product.remove()
            time.sleep(0.3)
            print(eye.picture(), flush=True)


def insert_wish(product: Product, wish: str) -> None:
    """Insert a card by name; a name that does not exist is said and nothing more."""
    product.remove()
    try:
        product.visit(wish)
    except CardStationError as error:
        print(error)


def hardware(product: Product) -> int:
    """Run with this machine's own reader, OLED and buttons, and say each event, until Ctrl-C."""
    product.set_up(say)
    product.start("ingest", "station", "link")
    say(f"put a Thai ID card in; logs are in {product.folder / 'log'}; Ctrl-C ends")
    told = 0
    with suppress(KeyboardInterrupt):
        while True:
            events = export(product)
            for jws in events[told:]:
                event = unverified_payload(jws)
                print(event["time"], event["type"], event["data"].get("verdict", ""), flush=True)
            told = len(events)
            time.sleep(1)
    return 0


def main() -> int:
    """Run the demonstration; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="The whole product on this machine.")
    parser.add_argument("--once", action="store_true", help="one attendance from insertion to receipt, then end")
    parser.add_argument("--hardware", action="store_true", help="this machine's own reader, OLED and buttons")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="card-station-demo-") as folder:
        try:
            with Product(Path(folder), members=(1, 2, 3, 4), is_virtual=not options.hardware) as product:
                return hardware(product) if options.hardware else once(product) if options.once else tour(product)
        except CardStationError as error:
            print(f"demo: {error}", file=sys.stderr)
            for log in sorted((Path(folder) / "log").glob("*.log")):
                print(f"---- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:  # who read our output has seen enough
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
            return 0


if __name__ == "__main__":
    sys.exit(main())
