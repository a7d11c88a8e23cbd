"""The whole product on one machine, as real processes: pcscd with a virtual reader, broker, agency, one station.

For the demonstration and the system tests. Nothing here is imported from the programs: they are started by their
commands, as on real machines, and can be killed and started again one by one. Runs only inside ``scripts/private``.

Example::

    with Product(folder) as product:
        product.set_up(print)
        product.start("broker", "ingest", "station", "link")
        product.insert("person-1")
"""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.errors import CardStationError, WrongUse
from appliance.simulate.deck import deck
from appliance.simulate.panel_view import SOCKET_NAME
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard

AGENCY = "obec"
SET = "school-1"
PORT = 8883
MEMBERS = (1, 2, 3)
POLL_S = 0.5  # pcscd looks at the virtual reader every 0.4 s

_ORDER = ("broker", "ingest", "linkage", "station", "link")
_STATION = [sys.executable, "-m", "appliance.cli"]
_AGENCY = [sys.executable, "-m", "agency"]


class Product:
    """One agency and one station.

    Args:
        folder: an empty folder of the caller; everything is written there.
        station: station id.
        service: id of the active service.
        members: serial numbers of the invented people on the roster.
        officers: likewise, of its officers.
        linkage: content of ``linkage.toml``; None for an agency that answers no online questions.
        is_virtual: use a private pcscd and a virtual panel; else the machine's own reader, OLED and buttons.
    """

    def __init__(
        self,
        folder: Path,
        station: str = "bkk-001",
        service: str = "school.attendance",
        members: tuple[int, ...] = MEMBERS,
        *,
        is_virtual: bool = True,
        officers: tuple[int, ...] = (),
        linkage: str | None = None,
    ) -> None:
        self.folder = folder
        self.station_id = station
        self.service = service
        self.members, self.officers = members, officers
        self.is_virtual = is_virtual
        self.linkage = linkage
        self.home, self.state, self.runtime = folder / "agency", folder / "state", folder / "run"
        self.pcscd = PrivatePcscd(folder)
        self.link_port = PORT  # of the broker, or of a proxy before it
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._card: VpcdCard | None = None

    @property
    def trace(self) -> Path:
        """Return the file to which the virtual panel writes a line for each screen."""
        return self.folder / "panel.jsonl"

    def set_up(self, say: Callable[[str], None] = lambda words: None) -> None:
        """Make the agency, enrol the station, import the roster; start pcscd and the broker on the way."""
        for folder in (self.state, self.runtime, self.folder / "log"):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if self.is_virtual:
            say("pcscd with a virtual reader")
            self.pcscd.start()
        say("the agency: keys, CA, broker configuration, database")
        self.agency("init", "--agency", AGENCY, "--host", "127.0.0.1", "--port", str(PORT))
        if self.linkage is not None:
            say("the online question: its keys, and whom the agency asks")
            self.agency("keys", "rotate", "query")
            self.agency("keys", "rotate", "answer")
            (self.home / "linkage.toml").write_text(self.linkage, "utf-8")
        say("the roster: one memory-hard digest for each member")
        roster = self.roster_file()
        self.agency("roster", "import", str(roster), "--set", SET, "--as-of", "2026-11-22")
        roster.unlink()  # numbers and names in clear; nothing of the product may hold them
        say("the broker, with mutual TLS")
        self.start("broker")
        say("the station: its own keys, a request, the agency's grant")
        self.write_settings()
        self.enrol()
        self.agency("roster", "push", "--set", SET)

    def enrol(self) -> None:
        """Enrol the station by file."""
        request, grant = self.folder / "request.json", self.folder / "grant.json"
        self.station("enrol", "--request", str(request))
        self.agency("station", "approve", str(request), "--grant", str(grant))
        self.station("enrol", "--grant", str(grant))

    def write_settings(self) -> None:
        """Write the station's settings file."""
        (self.folder / "station.toml").write_text(
            f'[station]\nid = "{self.station_id}"\nagency = "{AGENCY}"\n\n'
            f'[reader]\nname = "{"Virtual PCD" if self.is_virtual else ""}"\n\n[service]\nid = "{self.service}"\n\n'
            f'[panel]\ndisplay = "{"virtual" if self.is_virtual else "ssd1306"}"\n\n'
            f'[link]\nhost = "127.0.0.1"\nport = {self.link_port}\n'
        )

    def roster_file(self) -> Path:
        """Write the members as the list that a school has, numbers and names in clear; return its path."""
        path = self.folder / "roster.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["citizen_id", "member", "name", "role"])
            for serial in (*self.members, *self.officers):
                role = "member" if serial in self.members else "officer"
                rows.writerow([person(serial).citizen_id, f"P{serial:04d}", person(serial).full_name_th, role])
        return path

    def station(self, *arguments: str) -> str:
        """Run ``card-station`` and return its standard output. Raises WrongUse with its words where it fails."""
        return self._run([*_STATION, "--config", str(self.folder / "station.toml"), *arguments])

    def agency(self, *arguments: str) -> str:
        """Run ``card-agency`` and return its standard output. Raises WrongUse with its words where it fails."""
        return self._run([*_AGENCY, "--home", str(self.home), *arguments])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise WrongUse(f"{' '.join(command[2:])} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        directories = {"STATE_DIRECTORY": str(self.state), "RUNTIME_DIRECTORY": str(self.runtime)}
        virtual = {"CARD_STATION_PANEL_TRACE": str(self.trace), "CARD_STATION_SIMULATED_CLOCK": "1"}
        return {**os.environ, **directories, **(virtual if self.is_virtual else {})}

    def command(self, name: str) -> list[str]:
        """Return the command of ``broker``, ``ingest``, ``linkage``, ``station`` or ``link``."""
        return {
            "broker": ["mosquitto", "-c", str(self.home / "broker" / "mosquitto.conf")],
            "ingest": [*_AGENCY, "--home", str(self.home), "ingest"],
            "linkage": [*_AGENCY, "--home", str(self.home), "linkage", "run"],
            "station": [*_STATION, "--config", str(self.folder / "station.toml"), "station"],
            "link": [*_STATION, "--config", str(self.folder / "station.toml"), "link"],
        }[name]

    def start(self, *names: str) -> None:
        """Start processes by the names that ``command`` knows; each writes to ``log/NAME.log``."""
        environment = {**self._environment(), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        for name in names:
            with (self.folder / "log" / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(self.command(name), env=environment, stdout=log, stderr=log)

    def wait_until_ready(self, since: int = 0) -> None:
        """Wait until the panel asks for a card (on a screen after number ``since``) and the roster was taken up."""
        idle = ("idle", "officer_first")
        self.wait_for(lambda: any(s["state"] in idle for s in self.screens()[since:]), "an idle panel")
        log = self.folder / "log" / "link.log"
        self.wait_for(lambda: "took up roster" in log.read_text(), "a roster")

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a process a signal and wait for its end."""
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait()

    def insert(self, name: str) -> None:
        """Put a card of the deck into the virtual reader."""
        self._card = VpcdCard(deck(name))
        self._card.insert()

    def remove(self) -> None:
        """Take the card out, and wait until pcscd has seen it."""
        if self._card is not None:
            self._card.remove()
            self._card = None
            time.sleep(POLL_S)

    def press(self, button: str, act: str = "press") -> None:
        """Press a button of the virtual panel, ``A``, ``B`` or ``C``, or ``hold`` it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(str(self.runtime / SOCKET_NAME))
            line.sendall(json.dumps({act: button}).encode() + b"\n")
            time.sleep(0.2)  # who hangs up at once may not be heard

    def wait_for_screen(self, state: str, since: int = 0) -> dict[str, Any]:
        """Wait until the panel shows ``state`` on a screen after number ``since``; return that screen."""
        screen: dict[str, Any] = self.wait_for(
            lambda: next((s for s in self.screens()[since:] if s["state"] == state), None), f"the screen {state}"
        )
        return screen

    def screens(self) -> list[dict[str, Any]]:
        """Return what the panel showed so far, oldest first."""
        if not self.trace.exists():
            return []
        return [json.loads(line) for line in self.trace.read_text().splitlines() if line.endswith("}")]

    def wait_for(self, is_done: Callable[[], Any], what: str, patience_s: float = 20.0) -> Any:
        """Wait until ``is_done`` returns something true and return it.

        Raises:
            CardStationError: it did not happen in time.
        """
        end_s = time.monotonic() + patience_s
        while time.monotonic() < end_s:
            if result := is_done():
                return result
            time.sleep(0.05)
        raise CardStationError(f"{what} did not happen within {patience_s:.0f} s; see {self.folder / 'log'}")

    def visit(self, name: str, states: tuple[str, ...] = ()) -> dict[str, Any]:
        """Insert a card, wait for its verdict, and return that screen; the card stays in."""
        before = len(self.screens())
        self.insert(name)
        screen: dict[str, Any] = self.wait_for(
            lambda: next((s for s in self.screens()[before:] if s["reference"] or s["state"] in states), None),
            f"a verdict on {name}",
        )
        return screen

    def events(self) -> list[dict[str, Any]]:
        """Return the events that the agency holds."""
        found: list[dict[str, Any]] = json.loads(self.agency("--json", "events", "list", "--limit", "100000"))
        return found

    def __enter__(self) -> Self:
        """Return the product, not set up yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.remove()
        for name in reversed(_ORDER):
            if name in self.processes:
                self.kill(name, signal.SIGTERM)
        self.pcscd.stop()
