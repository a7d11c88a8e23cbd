"""``card-agency linkage``: answers the stations' online questions; ``card-agency visits``: what became of visits."""

import argparse
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agency.commands.output import say, show_json, show_table
from agency.commands.serve import login, start_log, stop_on_signal
from agency.home import Home, write_secret
from agency.lock import held
from appliance.errors import ConfigError, SigningError, VerificationError

if TYPE_CHECKING:
    from agency.linkage.asking import Meter
    from agency.linkage.configuration import Linkage
    from agency.linkage.source import Source
    from agency.linkage.worker import Bureau
    from agency.store.database import Connection, Database

_LAST_ANSWERS_S = 5.0
_SUBJECT_KEY, _SUBJECT_BYTES = "subject.key", 32

_log = logging.getLogger(__name__)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Answer online questions until SIGTERM."""
    from agency.broker.client import BrokerClient
    from agency.broker.configuration import LINKAGE_USER
    from agency.linkage import configuration
    from agency.linkage.worker import LARGEST_MESSAGE, Worker, query_topics
    from agency.store.database import Database

    linkage = configuration.load(home.linkage)
    _load_keys(home)
    start_log(arguments.verbose)
    _say_if_missing(home)
    stop = stop_on_signal()
    with held(home.path / "linkage.lock"), Database.open(home.database) as database:
        meta = database.meta()
        agency = meta["agency"]
        where = login(home, meta, LINKAGE_USER, arguments.broker)
        client = BrokerClient(where, query_topics(agency), largest=LARGEST_MESSAGE)
        sources = _sources(home, database, linkage)
        bureau = _bureau_of(home, database, linkage)
        bureau()  # what cannot be used is said before anybody asks
        worker = Worker(database, client, agency, bureau, sources, _meter(database, linkage))
        client.start()
        try:
            worker.run(stop)
        finally:
            client.stop(_LAST_ANSWERS_S)
    return 0


def _load_keys(home: Home) -> None:
    """Make sure that every key can be used, before anybody asks.

    Raises:
        ConfigError: a key is not there, or is none.
    """
    from appliance.events.sign import Signer

    for purpose in ("query", "answer"):
        if not (home.keys / f"{purpose}.jwk").exists():
            raise ConfigError([f"there is no {purpose} key: 'card-agency keys rotate {purpose}' makes it"])
    if any(key.get("crv") != "X25519" for key in _query_keys(home).values()):
        raise ConfigError([f"a query key in {home.keys} opens no seals: put the right file back"])
    try:
        Signer(home.key("answer"))
    except SigningError as error:
        raise ConfigError([f"{home.keys / 'answer.jwk'}: {error}: put the right file back"]) from None
    if not _sealing_keys(home):
        raise ConfigError([f"{home.public / 'agency.jwks'} has no key to seal visits to: put the right file back"])


def _query_keys(home: Home) -> dict[str, dict[str, object]]:
    keys = home.private_keys("query")
    if not keys:
        raise ConfigError([f"there is no query key in {home.keys}"])
    return keys


def _sealing_keys(home: Home) -> list[dict[str, object]]:
    return [key for key in home.keys_in_force() if key["purpose"] in ("duty", "escrow")]


def _sources(home: Home, database: "Database", linkage: "Linkage") -> "Mapping[str, Source]":
    """Return who is asked what."""
    from agency.linkage.card_status import CardStatus
    from agency.linkage.claims import ClaimService, OwnClaims
    from agency.linkage.records import Records
    from agency.linkage.source import NotConnected, Source
    from agency.linkage.visits import Visits

    claims = ClaimService(linkage.claims, linkage.unit, linkage.claim_type) if linkage.claims else OwnClaims()
    visits = Visits(database, claims, _subject_key(home, database), lambda: _sealing_keys(home))
    records: Source = Records(linkage.records, linkage.max_age_days) if linkage.records else NotConnected()
    status: Source = CardStatus(linkage.card_status) if linkage.card_status else NotConnected()
    return {
        "registry_status": status,
        "entitlement": records,
        "agency_record": records,
        "visit_open": visits,
        "visit_close": visits,
    }


def _subject_key(home: Home, database: "Database", may_make: bool = True) -> bytes:
    """Return the key by which a person's visits are found again, empty where there is none yet. Raises ConfigError."""
    from agency.store.health_visits import list_visits

    path = home.keys / _SUBJECT_KEY
    if not os.path.lexists(path):  # a link to where nothing is now has it elsewhere
        with database.read() as connection:
            if list_visits(connection, None, None):
                lost = "where it is lost for good, 32 random bytes in its place begin anew, and open visits stay open"
                raise ConfigError([f"{path} is gone, by which visits are found again: put it back; {lost}"])
        if not may_make:
            return b""
        write_secret(path, secrets.token_bytes(_SUBJECT_BYTES))
    try:
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}; put the right file back"]) from None
    if len(key) != _SUBJECT_BYTES:
        raise ConfigError([f"{path} holds no key: put the right file back"])
    return key


def _meter(database: "Database", linkage: "Linkage") -> "Meter":
    """Return a meter that knows what was asked today before this process began."""
    from agency.clock import day_began, today
    from agency.linkage.asking import Meter
    from agency.store.questions import asked_since

    with database.read() as connection:
        asked = asked_since(connection, day_began())
    return Meter(linkage.per_minute, linkage.per_day, today(), asked)


def _bureau_of(home: Home, database: "Database", linkage: "Linkage") -> "Callable[[], Bureau]":
    """Return a function that returns the bureau as it is now; it reads anew only what was replaced.

    Where a file went away, or cannot be used any more, the bureau of before goes on, and the log says so once: what we
    hold is still right. Without one of before the function raises ConfigError or OSError.
    """
    from agency.store.documents import next_document_version

    known: tuple[object, Bureau] | None = None
    told = ""

    def now() -> "Bureau":
        nonlocal known, told
        with database.read() as connection:
            try:
                files = sorted((*home.keys.glob("query*.jwk"), home.keys / "answer.jwk", home.public / "agency.jwks"))
                seen = [(str(file), file.stat().st_ino, file.stat().st_mtime_ns) for file in files]
                seen.append(("services", next_document_version(connection, "services"), 0))
                if known is None or known[0] != seen:
                    known = seen, _bureau_now(home, connection, linkage)
                told = ""
            except (ConfigError, SigningError, VerificationError, OSError) as error:
                if known is None:
                    raise
                if told != str(error):
                    _log.error("goes on with the keys that it has: %s; put the right file back", error)
                told = str(error)
        return known[1]

    return now


def _bureau_now(home: Home, connection: "Connection", linkage: "Linkage") -> "Bureau":
    from agency.desk.documents import EVERY_STATION, given_services
    from agency.linkage.asking import Services
    from agency.linkage.worker import Bureau
    from appliance.events.sign import KeySet, Signer
    from appliance.services.loading import shipped

    pushed = given_services(connection, KeySet(home.public_keys()))
    given = (*((one, EVERY_STATION) for one in shipped()), *((one, document.audience) for document, one in pushed))
    return Bureau(Signer(home.key("answer")), _query_keys(home), Services(given, linkage.services))


def check(home: Home, arguments: argparse.Namespace) -> int:
    """Check linkage.toml and the keys, and say who is asked what."""
    from agency.linkage import configuration
    from agency.store.database import Database
    from appliance.settings_file import suggestion

    linkage = configuration.load(home.linkage)
    _load_keys(home)
    with Database.open(home.database) as database:
        _subject_key(home, database, may_make=False)
    _say_if_missing(home)
    with Database.open(home.database) as database:
        given = {profile.id for profile, _ in _bureau_of(home, database, linkage)().services.given}
    for station, service in ((station, one) for station, ids in linkage.services.items() for one in ids):
        if service not in given:
            say(f"[services] {station}: no service {service} is known{suggestion(service, given)}")
    asked = {
        "registry_status": linkage.card_status,
        "entitlement": linkage.records,
        "agency_record": linkage.records,
        "visit_open": linkage.claims,
        "visit_close": linkage.claims,
    }
    own = dict.fromkeys(("visit_open", "visit_close"), "the agency itself")
    rows = [
        {"question": question, "asks": where.url if where else own.get(question, "nobody")}
        for question, where in asked.items()
    ]
    if arguments.json:
        show_json(rows)
    else:
        show_table(["question", "asks"], rows)
    return 0


def _say_if_missing(home: Home) -> None:
    if not home.linkage.exists():
        say(f"{home.linkage} is missing, so nobody else is asked; docs/linkage.md has one to fill in")


def simulate(home: Home, arguments: argparse.Namespace) -> int:
    """Serve a card-status service, records and claim codes on this machine, for tests and demonstrations."""
    from agency import citizen_number
    from agency.linkage.simulator import FAULTS, Simulator, serving
    from appliance.errors import WrongUse

    if arguments.fault == "?":
        print("\n".join(FAULTS))
        return 0
    if arguments.fault not in FAULTS:
        raise WrongUse(f"there is no fault {arguments.fault!r}: --fault is one of {', '.join(FAULTS)}")
    for number in (*arguments.normal, *arguments.not_normal):
        if not citizen_number.is_valid(number):
            raise WrongUse("--normal and --not-normal take citizen numbers of 13 digits with their check digit")
    start_log(arguments.verbose)
    stop = stop_on_signal()
    people = {**dict.fromkeys(arguments.normal, "normal"), **dict.fromkeys(arguments.not_normal, "not_normal")}
    with ExitStack() as stack:
        try:
            url = stack.enter_context(serving(Simulator(people, arguments.fault), arguments.port))
        except OSError as error:
            raise WrongUse(f"port {arguments.port}: {error.strerror}; --port names another one") from None
        say(f"card status: {url}/CheckCardService.asmx")
        say(f"records:     {url}/records")
        say(f"claims:      {url}/claims")
        stop.wait()
    return 0


def visits(home: Home, arguments: argparse.Namespace) -> int:
    """List health visits, the oldest first: what is open too long, what was disputed."""
    from agency.store.database import Database
    from agency.store.health_visits import list_visits

    with Database.open(home.database) as database, database.read() as connection:
        found = list_visits(connection, arguments.state, arguments.station)
    now = datetime.now(UTC)
    rows = [
        {
            "visit": visit.opened_by,
            "station": visit.station,
            "choice": visit.choice,
            "state": visit.state,
            "opened_at": visit.opened_at,
            "age_h": round((now - datetime.fromisoformat(visit.opened_at)).total_seconds() / 3600, 1),
            "ended_at": visit.closed_at,
        }
        for visit in found
    ]
    if arguments.json:
        show_json(rows)
    else:
        show_table(["visit", "station", "choice", "state", "opened_at", "age_h", "ended_at"], rows)
    return 0
