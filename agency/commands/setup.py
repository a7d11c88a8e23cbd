"""``card-agency init``."""

import argparse
import re

from agency.broker.topics import is_id
from agency.commands.output import say
from agency.home import Home
from agency.values import is_host
from appliance.errors import WrongUse


def init(home: Home, arguments: argparse.Namespace) -> int:
    """Make the agency."""
    from agency.desk.founding import Founding, found

    if not is_id(arguments.agency):
        raise WrongUse("--agency must be 1 to 63 of a-z, 0-9 and '-', and not start with '-'")
    if not all(map(is_host, arguments.host)):
        raise WrongUse("--host must be a DNS name or an IP address")
    if re.search(r"\s", str(home.path)):
        raise WrongUse(f"{home.path} has a space in it, which mosquitto's configuration cannot hold")
    if home.path.exists() and not home.path.is_dir():
        raise WrongUse(f"{home.path} is a file: name a directory with --home; it is made where there is none")
    if home.is_taken():
        raise WrongUse(
            f"{home.path} holds an agency or a part of one: choose another --home; its keys may be the only ones"
        )
    try:
        found(home, Founding(arguments.agency, tuple(arguments.host), arguments.port))
    except OSError as error:
        raise WrongUse(f"cannot write {error.filename or home.path}: {error.strerror}") from error
    say(f"made agency {arguments.agency} in {home.path}")
    say(f"move {home.keys}/escrow.jwk and {home.keys}/ca.key off this machine: the first opens every seal ever")
    say("made, the second makes stations; daily work needs the first never, the second for 'station approve' only")
    return 0
