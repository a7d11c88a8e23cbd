"""``card-agency station``: the fleet, and enrolment by file."""

import argparse
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from agency.commands import accesses
from agency.commands.output import say, show_json, show_table
from agency.home import Home, jwks_text, write_private, write_public
from appliance.errors import ConfigError, VerificationError, WrongUse

if TYPE_CHECKING:
    from agency.desk.authority import Authority
    from agency.desk.enrolment import Surroundings
    from agency.store.chains import Fork, Quarantined

_MAX_REQUEST_BYTES = 65_536


def approve(home: Home, arguments: argparse.Namespace) -> int:
    """Check a request, show its fingerprint, register the station and write its grant."""
    from agency.desk.enrolment import enrol, grant, read_request, stations_jwks
    from agency.store.database import Database
    from agency.store.stations import event_keys

    around = _surroundings(home)
    request = read_request(_read_request_file(arguments.request), around.agency)
    say(f"station:     {request.station}")
    say(f"fingerprint: {_grouped(request.fingerprint)}")
    if arguments.fingerprint and "".join(arguments.fingerprint.split()) != request.fingerprint:
        raise VerificationError(
            "the fingerprint of this request is not the one you gave: where yours is what the station shows, somebody "
            "else made this request"
        )
    with Database.open(home.database) as database, database.write() as connection:
        known = {key.kid for key in event_keys(connection, request.station)}
        certificate = enrol(connection, request, _authority(home))
        granted = grant(connection, request.station, certificate, around)
        jwks = stations_jwks(connection)
    write_public(home.public / "stations.jwks", jwks_text(jwks))
    if request.fingerprint in known:
        say(f"{request.station} was approved with this key before; this is the same grant, with a new certificate")
    elif known:
        say(
            f"{request.station} had another key before; the receipt for it that the broker still holds is harmless: "
            "the station ignores receipts for other chains"
        )
    text = json.dumps(granted, indent=1) + "\n"
    if arguments.grant is None:
        print(text, end="")
        return 0
    try:
        write_private(arguments.grant, text)
    except OSError as error:
        raise WrongUse(f"approved, but cannot write {arguments.grant}: {error.strerror}; approve again") from None
    say(f"approved; take {arguments.grant} to the station")
    return 0


def _grouped(thumbprint: str) -> str:
    """Return a thumbprint as the station shows it: in groups of four."""
    return " ".join(thumbprint[at : at + 4] for at in range(0, len(thumbprint), 4))


def _surroundings(home: Home) -> "Surroundings":
    from agency.desk.enrolment import Surroundings
    from agency.store.database import Database

    with Database.open(home.database) as database:
        meta = database.meta()
    ca = home.ca().decode()
    return Surroundings(meta["agency"], ca, home.keys_in_force(), meta["host"], int(meta["port"]))


def _authority(home: Home) -> "Authority":
    from agency.desk.authority import Authority, KeyPair

    return Authority(KeyPair(_read(home.keys / "ca.key"), home.ca()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}; bring it back for this command"]) from None


def _read_request_file(path: Path) -> dict[str, object]:
    from appliance.events import strict_json

    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_REQUEST_BYTES:
        raise WrongUse(f"{path} is too large for an enrolment request")
    try:
        return strict_json.decode_object(content)
    except VerificationError as error:
        raise WrongUse(f"{path} is no enrolment request: {error}") from None


def list_(home: Home, arguments: argparse.Namespace) -> int:
    """List the fleet."""
    from agency.store.database import Database
    from agency.store.stations import Station, list_stations

    with Database.open(home.database) as database, database.read() as connection:
        stations = [asdict(station) for station in list_stations(connection)]
    if arguments.json:
        show_json(stations)
    else:
        show_table([column.name for column in fields(Station) if column.name != "kid"], stations)
    return 0


def show(home: Home, arguments: argparse.Namespace) -> int:
    """Show one station: keys, chains, what stands apart."""
    from agency.store import chains
    from agency.store.database import Database
    from agency.store.stations import event_keys, find_station

    with Database.open(home.database) as database, database.read() as connection:
        station = find_station(connection, arguments.station)
        if station is None:
            raise WrongUse(f"no station {arguments.station}; 'card-agency station list' shows all")
        keys = [asdict(key) for key in event_keys(connection, station.id)]
        owned = [asdict(chain) for chain in chains.list_chains(connection, station.id)]
        poison = [_apart(kept, kept.code) for kept in chains.list_quarantined(connection, station.id)]
        forks = [_apart(fork, fork.reason) for fork in chains.list_forks(connection, station.id)]
    whole = {**asdict(station), "keys": keys, "chains": owned, "quarantined": poison, "forks": forks}
    if arguments.json:
        show_json(whole)
        return 0
    for name, value in whole.items():
        print(f"{name}: {len(value) if isinstance(value, list) else value if value is not None else '-'}")
    return 0


def _apart(kept: "Quarantined | Fork", code: str) -> dict[str, object]:
    return {"chain": kept.chain, "sequence": kept.sequence, "hash": kept.hash, "code": code}


def clear(home: Home, arguments: argparse.Namespace) -> int:
    """Take a station's flag away: somebody has looked. What raised it stays in the store and in the audit."""
    from agency.store.database import Database
    from agency.store.stations import clear_flag, find_station

    with Database.open(home.database) as database, database.write() as connection:
        if find_station(connection, arguments.station) is None:
            raise WrongUse(f"no station {arguments.station}; 'card-agency station list' shows all")
        reason = clear_flag(connection, arguments.station)
        if reason:
            accesses.put(connection, arguments, "station clear", f"{arguments.station} {reason}")
    say(f"{arguments.station}: the flag {reason} is cleared" if reason else f"{arguments.station} has no flag")
    return 0


def revoke(home: Home, arguments: argparse.Namespace) -> int:
    """Revoke a station's keys: what it sends from now on is quarantined."""
    from agency.clock import now_text
    from agency.desk.enrolment import stations_jwks
    from agency.store.database import Database
    from agency.store.stations import find_station, revoke_station

    with Database.open(home.database) as database, database.write() as connection:
        if find_station(connection, arguments.station) is None:
            raise WrongUse(f"no station {arguments.station}; 'card-agency station list' shows all")
        count = revoke_station(connection, arguments.station, now_text())
        jwks = stations_jwks(connection)
    write_public(home.public / "stations.jwks", jwks_text(jwks))
    say(f"{arguments.station} is revoked" if count else f"{arguments.station} was revoked already")
    return 0


def excuse(home: Home, arguments: argparse.Namespace) -> int:
    """Give up the events of a station that are missing and will never come, so that those after them are covered."""
    from agency.clock import now_text
    from agency.ingest.receipts import gaps
    from agency.store.chains import list_chains
    from agency.store.database import Database
    from agency.store.gaps import OPERATOR, Excuse, put_excuses
    from agency.store.stations import find_station

    with Database.open(home.database) as database, database.write() as connection:
        if find_station(connection, arguments.station) is None:
            raise WrongUse(f"no station {arguments.station}; 'card-agency station list' shows all")
        given_up = []
        for chain in list_chains(connection, arguments.station):
            here = [Excuse(*chain.key, first, last, OPERATOR, now_text()) for first, last in gaps(connection, chain)]
            put_excuses(connection, chain.key, here)
            given_up += here
        for one in given_up:
            accesses.put(connection, arguments, "station excuse", one.named)
    for one in given_up:
        say(f"{one.chain}: {one.first} to {one.last} are given up; 'card-agency audit' goes on naming them")
    say("receipts follow when the station sends next" if given_up else f"nothing of {arguments.station} is missing")
    return 0
