"""``card-agency service``: what the stations may read, check and keep, as signed files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from agency.commands.output import counted, say, show_json, show_table
from agency.commands.publishing import chosen_stations, publish_to_all
from agency.home import Home
from appliance.errors import ConfigError, DeliveryError, VerificationError, WrongUse

if TYPE_CHECKING:
    from agency.store.database import Database
    from agency.store.documents import StoredDocument
    from appliance.services.profile import Profile

_COLUMNS = ("service", "version", "from", "title", "sha256")


def list_(home: Home, arguments: argparse.Namespace) -> int:
    """List the services: the shipped ones, and above them what was pushed to every station."""
    from agency.desk.documents import services_in_force
    from agency.store.database import Database
    from appliance.services.loading import shipped

    with Database.open(home.database) as database, database.read() as connection:
        pushed = services_in_force(connection, "*")
    newest = {profile.id: profile for profile in sorted((*shipped(), *pushed.values()), key=lambda one: one.version)}
    lines = [
        dict(zip(_COLUMNS, (one.id, one.version, _origin(one, pushed), one.title.en, one.sha256), strict=True))
        for _, one in sorted(newest.items())
    ]
    if arguments.json:
        show_json(lines)
    else:
        show_table(list(_COLUMNS), lines)
    return 0


def _origin(profile: "Profile", pushed: "dict[str, Profile]") -> str:
    return "pushed" if pushed.get(profile.id) == profile else "shipped"


def push(home: Home, arguments: argparse.Namespace) -> int:
    """Sign service profiles and have the broker keep them for the stations.

    What was pushed before stays in force, except where a file here is a newer version of it. A profile whose content
    changed needs a higher version: a station takes no lower one, and no other content under the same one. Stations that
    have different services keep them so: each such group gets a document of its own.
    """
    profiles = _read(arguments.file)
    from agency.desk.documents import sign_services
    from agency.store.database import Database
    from appliance.events.sign import Signer

    with Database.open(home.database) as database:
        with database.write() as connection:
            audience, stations = chosen_stations(connection, arguments.station)
            try:
                signer = Signer(home.key("document"))
                signed = sign_services(connection, profiles, audience, arguments.days, signer)
            except VerificationError as error:
                raise VerificationError(f"nothing pushed: {error}; give it a higher version") from None
        if not stations:
            say("no station is enrolled yet; a station gets these services with its grant")
            return 0
        for document, receivers in signed:
            if receivers:
                _publish(home, database, arguments, document, receivers)
    return 0


def _publish(
    home: Home, database: "Database", arguments: argparse.Namespace, document: "StoredDocument", stations: list[str]
) -> None:
    try:
        publish_to_all(home, database, arguments, document, stations)
    except DeliveryError as error:
        words = f"services document {document.version} is kept; push again to send it"
        raise DeliveryError(f"{error}; {words}") from error
    reach = counted(len(stations), "station")
    say(f"pushed services document {document.version} to {reach}; good until {document.expires_at}")


def _read(paths: list[Path]) -> "list[Profile]":
    """Return the profiles in ``paths``. Raises VerificationError where any is not good, which was said."""
    from appliance.services.loading import MAX_FILE_BYTES, parse

    profiles, is_good = [], True
    for path in paths:
        try:
            with path.open("rb") as file:
                profiles.append(parse(file.read(MAX_FILE_BYTES + 1), path.name))
        except OSError as error:
            raise WrongUse(f"cannot read {path}: {error.strerror}") from None
        except ConfigError as error:
            is_good = False
            for problem in error.problems:
                say(problem)
    ids = [profile.id for profile in profiles]
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        say(f"two files are of the service {twice}")
        is_good = False
    if not is_good:
        raise VerificationError("nothing pushed: mend the files and push again")
    return profiles
