"""The settings file, and what stands in its place where it cannot be used."""

from pathlib import Path

from appliance.config import Clock, Link, Outbox, Panel, Reader, Service, Settings, Station, load
from appliance.errors import ConfigError
from appliance.run.doctor.part import Finding, bad, good, unknown
from appliance.run.documents import services_here
from appliance.services.catalogue import Catalogue

_CHECK = "'card-station config check' names every mistake"
_MAKE = "'card-station config show --defaults' prints one to fill in; --config or CARD_STATION_CONFIG names another one"


def settings(path: Path, state: Path) -> tuple[Settings, Finding]:
    """Return the settings to look at the machine with, and what was found of their file.

    Which services there are, the state directory knows, too.

    Where the file cannot be used, every key has its default; a station id and a broker then have none.
    """
    try:
        read = load(path)
    except ConfigError as error:
        return defaults(), _fault(path, error.problems)
    known = _served(Catalogue.of_software())
    if read.service.id not in known:  # the database is opened only where it must be: that leaves files beside it
        known = _served(services_here(read.station.id, state))
    if read.service.id not in known and not read.service.id.startswith("demo."):
        return read, bad(f"[service] id: there is no service {read.service.id}", f"take one of {', '.join(known)}")
    return read, good(f"{path}: station {read.station.id} of {read.station.agency}")


def _served(catalogue: Catalogue) -> list[str]:
    return [profile.id for _, profile in sorted(catalogue.profiles.items()) if profile.vouch is None]


def defaults() -> Settings:
    """Return every key's default; what has none is empty."""
    return Settings(
        station=Station(id="", agency=""),
        reader=Reader(),
        service=Service(),
        panel=Panel(),
        link=Link(host=""),
        outbox=Outbox(),
        clock=Clock(),
    )


def _fault(path: Path, problems: list[str]) -> Finding:
    instead = "the other parts are looked at with the defaults"
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return bad(f"there is no file {path}; {instead}", _MAKE)
    except PermissionError:
        return unknown(f"this user may not read {path}; {instead}", "run it as the station's user, or as root")
    except OSError as error:
        return bad(f"{path} cannot be read: {error.strerror}; {instead}", _MAKE)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return bad(f"{problems[0]}{more}; {instead}", f"correct the file; {_CHECK}")
