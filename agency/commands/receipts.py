"""``card-agency receipt``: whether a visit is recorded, for whoever was there; by its number, never by a person."""

import argparse
import threading
from typing import TYPE_CHECKING

from agency.commands.output import say, show_json
from agency.commands.serve import start_log, stop_on_signal
from agency.home import Home
from appliance.errors import DeliveryError, WrongUse

if TYPE_CHECKING:
    from agency.public.visit_check import Shown
    from agency.store.database import Database


def check(home: Home, arguments: argparse.Namespace) -> int:
    """Say whether a visit is recorded: by station, number, day and minute, as the panel showed them."""
    from agency.public.visit_check import Shown
    from agency.store.database import Database

    shown = Shown.read(arguments.station, arguments.number, arguments.date, arguments.time)
    if shown is None:
        raise WrongUse(
            "give the station's id, the number, --date YYYY-MM-DD and --time HH:MM, as the panel showed them"
        )
    with Database.open(home.database) as database:
        service = _look(home, database, shown)
    if arguments.json:
        show_json({"recorded": service is not None, "service": service, "day": shown.day if service else None})
    else:
        print(f"recorded: {service}, {shown.day}" if service else "no such visit is recorded")
    return 0 if service else 1


def serve(home: Home, arguments: argparse.Namespace) -> int:
    """Serve the page on which anybody asks that, on this machine; a web server in front of it does TLS."""
    from agency.public.page import Page
    from agency.store.database import Database

    start_log(arguments.verbose)
    stop = stop_on_signal()
    with Database.open(home.database) as database:
        try:
            page = Page(arguments.port, lambda shown: _look(home, database, shown), arguments.behind_proxy)
        except OSError as error:
            raise DeliveryError(f"port {arguments.port} cannot be used: {error.strerror}; choose another") from None
        with page:
            threading.Thread(target=page.serve_forever, args=(0.2,), daemon=True).start()
            say(f"the page is at http://127.0.0.1:{page.server_port}/")
            stop.wait()
            page.shutdown()
    return 0


def _look(home: Home, database: "Database", shown: "Shown") -> str | None:
    from agency.desk.documents import every_service
    from agency.public.visit_check import recorded_service
    from appliance.events.sign import KeySet
    from appliance.services.loading import shipped

    with database.read() as connection:
        known = (*shipped(), *every_service(connection, KeySet(home.public_keys())))
        titles = {one.event_type: f"{one.title.th} / {one.title.en}" for one in known}
        return recorded_service(connection, shown, titles)
