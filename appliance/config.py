"""The settings of one station: every key, its meaning and its default (contract 3).

The file is TOML. It is read once, at the start; whatever is wrong in it is reported at once, each problem
with its line, and the program stops with exit code 78. Nothing is silently reset. A key that is not in the
file has the default written here; ``card-station config show --defaults`` prints this page as a file.

Paths in ``[link]`` start at the state directory: ``state / settings.link.ca`` is the file, absolute or not.

Example::

    settings = load(find(None, os.environ))
    settings.station.id                     # "bkk-001"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from appliance.errors import ConfigError
from appliance.settings_file import (
    Problem,
    commented,
    line_numbers,
    masked,
    read_table,
    read_text,
    read_toml,
    suggestion,
    with_lines,
)
from appliance.settings_schema import Choice, FilePath, Key, Numbers, OneOf, Text, Texts, Whole, declared

DEFAULT_PATH = Path("/etc/card-station/station.toml")
I2C_PINS = (2, 3)

ID = Text("[a-z0-9][a-z0-9-]{0,62}", "1 to 63 of a-z, 0-9 and '-', not first '-'")
SERVICE_ID = Text(r"(?!.{65})[a-z][a-z_]*(\.[a-z][a-z_]*)+", "at most 64 of a-z and '_', words joined by dots")
_DNS_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = Text(
    rf"(?=.{{1,253}}\Z)({_DNS_LABEL}(\.{_DNS_LABEL})*|[0-9A-Fa-f]*(:[0-9A-Fa-f]*){{2,7}})",
    "a host name or an IP address, without scheme or port",
)
LABEL = Text(r"[^\x00-\x1f\x7f]{0,64}", "at most 64 characters on one line")
READER_NAME = Text(r"[\x20-\x7e]{0,127}", "at most 127 ASCII characters")
PIN = Whole(2, 27)


class Language(StrEnum):
    """The language that the panel shows first."""

    TH = "th"
    EN = "en"


class Display(StrEnum):
    """What screen the station has."""

    SSD1306 = "ssd1306"
    VIRTUAL = "virtual"
    NONE = "none"


class Protocol(StrEnum):
    """The version of MQTT that the broker is spoken to in."""

    MQTT_5 = "5"
    MQTT_3_1_1 = "3.1.1"


@dataclass(frozen=True, kw_only=True)
class Station:
    """Who this station is."""

    id: Annotated[str, Key("Id of this station; also the common name of its certificate.", ID, example="bkk-001")]
    agency: Annotated[str, Key("Id of the agency it works for.", ID, example="obec")]
    site: Annotated[
        str, Key("Name of the place where it stands, for people. This version does not show it yet.", LABEL)
    ] = ""
    language: Annotated[Language, Key("Language that the panel shows first.", Choice(Language))] = Language.TH


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Which card reader is used."""

    name: Annotated[str, Key('Beginning of the reader\'s name; "" watches every reader.', READER_NAME)] = ""
    allow: Annotated[
        tuple[str, ...],
        Key(
            "Beginnings of the names of readers that may be used at all; [] allows every reader.",
            Texts(READER_NAME),
        ),
    ] = ()

    def accepts(self, reader: str) -> bool:
        """Say whether the reader with this full name may be used."""
        return reader.startswith(self.name) and (not self.allow or reader.startswith(self.allow))


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the station is used for."""

    id: Annotated[str, Key("Id of the active service profile.", SERVICE_ID)] = "school.attendance"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Screen, buttons, lights and buzzer. Pins are BCM numbers of the Raspberry Pi's header."""

    display: Annotated[Display, Key("The screen.", Choice(Display))] = Display.SSD1306
    address: Annotated[int, Key("I2C address of the screen: 60 is 0x3C, 61 is 0x3D.", OneOf((0x3C, 0x3D)))] = 0x3C
    rotate: Annotated[int, Key("How the screen is turned.", OneOf((0, 180)), unit="degrees")] = 0
    buttons: Annotated[tuple[int, ...], Key("Pins of the buttons A, B and C.", Numbers(PIN, 3))] = (5, 6, 13)
    leds: Annotated[tuple[int, ...], Key("Pins of the green, amber and red light.", Numbers(PIN, 3))] = (
        17,
        27,
        22,
    )
    buzzer: Annotated[int, Key("Pin of the buzzer; 0 means there is none.", Whole(2, 27, also=(0,)))] = 18


@dataclass(frozen=True, kw_only=True)
class Link:
    """The way to the agency."""

    host: Annotated[str, Key("Host name or address of the agency's broker.", HOST, example="broker.example.go.th")]
    port: Annotated[int, Key("TCP port of the broker.", Whole(1, 65535))] = 8883
    ca: Annotated[Path, Key("Certificate of the agency's CA, PEM.", FilePath())] = Path("tls/ca.pem")
    certificate: Annotated[Path, Key("Certificate of this station, PEM.", FilePath())] = Path("tls/station.pem")
    key: Annotated[Path, Key("Private key of that certificate, PEM.", FilePath())] = Path("tls/station.key")
    keepalive_s: Annotated[int, Key("Longest silence on the line.", Whole(5, 600), unit="seconds")] = 30
    protocol: Annotated[
        Protocol,
        Key("Version of MQTT. 3.1.1 is for brokers that know no 5; they give no reasons.", Choice(Protocol)),
    ] = Protocol.MQTT_5


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """The queue of events on the disk."""

    max_bytes: Annotated[
        int,
        Key(
            "Size of the state database at which the station stops accepting cards.",
            Whole(1 << 20, 1 << 36),
            unit="bytes",
        ),
    ] = 256 << 20
    max_age_days: Annotated[
        int,
        Key(
            "Time after which an event that the agency has confirmed leaves the station altogether. Its content "
            "goes earlier, when its service's retention is over. Events that are not confirmed are never erased.",
            Whole(1, 365),
            unit="days",
        ),
    ] = 30


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How far the clock is trusted."""

    max_unsynced_h: Annotated[
        int,
        Key(
            "Time without a time server after which the clock counts as unsure.",
            Whole(1, 720),
            unit="hours",
        ),
    ] = 24


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, each table by its name in the file."""

    station: Station
    reader: Reader
    service: Service
    panel: Panel
    link: Link
    outbox: Outbox
    clock: Clock


TABLES: dict[str, type] = {
    "station": Station,
    "reader": Reader,
    "service": Service,
    "panel": Panel,
    "link": Link,
    "outbox": Outbox,
    "clock": Clock,
}


@dataclass(frozen=True)
class Shown:
    """One effective setting.

    Args:
        table: its table.
        key: its key.
        value: as TOML, masked where it is secret.
        source: ``file name:line`` or ``default``.
    """

    table: str
    key: str
    value: str
    source: str


def find(option: str | None, environ: Mapping[str, str]) -> Path:
    """Return the path of the settings file: ``--config``, else CARD_STATION_CONFIG, else the one in /etc."""
    return Path(option or environ.get("CARD_STATION_CONFIG") or DEFAULT_PATH)


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return where state that must survive is kept."""
    return Path(environ.get("STATE_DIRECTORY") or "/var/lib/card-station")


def runtime_directory(environ: Mapping[str, str]) -> Path:
    """Return where sockets are kept."""
    return Path(environ.get("RUNTIME_DIRECTORY") or "/run/card-station")


def load(path: Path) -> Settings:
    """Read the settings file.

    Raises:
        ConfigError: with every problem of the file, each as ``file name:line: what``.
    """
    return parse(read_text(path), path.name)


def parse(text: str, name: str) -> Settings:
    """Read settings from text; ``name`` is the file's name in the problems. Raises ConfigError."""
    tables = read_toml(text, name)
    unknown = [table for table in tables if table not in TABLES]
    problems = [Problem((table,), f"unknown table{suggestion(table, TABLES)}") for table in unknown]
    read: dict[str, Any] = {
        table: read_table(kind, table, tables.get(table, {}), problems) for table, kind in TABLES.items()
    }
    if read["panel"]:
        problems.extend(_pin_problems(read["panel"]))
    if problems:
        raise ConfigError(with_lines(problems, text, name))
    return Settings(**read)


def show(path: Path) -> list[Shown]:
    """Return every effective setting with where it came from. Raises ConfigError."""
    text = read_text(path)
    settings = parse(text, path.name)
    lines = line_numbers(text)
    return [
        Shown(
            table,
            name,
            masked(known, getattr(getattr(settings, table), name)),
            f"{path.name}:{lines[table, name]}" if (table, name) in lines else "default",
        )
        for table, kind in TABLES.items()
        for name, (known, _) in declared(kind).items()
    ]


def commented_defaults() -> str:
    """Return a settings file with every key, what it means, its type, unit, range and default."""
    parts = ["# Settings of a Card Station. Fill in what says REQUIRED; every other key shows its default."]
    for table, kind in TABLES.items():
        parts.append(f"\n# {kind.__doc__}\n[{table}]")
        parts.extend(commented(name, known, one.default) for name, (known, one) in declared(kind).items())
    return "\n".join(parts) + "\n"


def _pin_problems(panel: Panel) -> list[Problem]:
    """Return where one pin has two jobs."""
    uses = [("buttons", pin) for pin in panel.buttons] + [("leds", pin) for pin in panel.leds]
    uses += [("buzzer", panel.buzzer)] if panel.buzzer else []
    taken: dict[int, str] = dict.fromkeys(I2C_PINS, "the screen") if panel.display is Display.SSD1306 else {}
    problems = []
    for job, pin in uses:
        if pin in taken:
            problems.append(Problem(("panel", job), f"pin {pin} is already used by {taken[pin]}"))
        taken.setdefault(pin, job)
    return problems
