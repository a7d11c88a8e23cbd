"""``card-station enrol``: the files on one side, the enrolment in the middle, the outbox on the other.

The documents of a grant are stored and the chain is started last, because a running chain is what makes a station
enrolled: whatever fails before, the same grant can be taken up again.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from appliance import __version__
from appliance.config import Settings
from appliance.errors import WrongUse
from appliance.events import strict_json
from appliance.events.cloud_event import Origin
from appliance.events.writer import EventWriter
from appliance.hardware.clock import SystemClock
from appliance.hardware.steady_clock import SteadyClock
from appliance.link import enrolment
from appliance.link.durable_file import write
from appliance.outbox.store import DATABASE_NAME, Outbox
from appliance.papers import event_signer
from appliance.run.timekeeper import released

MAX_GRANT_BYTES = 8 << 20


def request(settings: Settings, state: Path, out: Path) -> None:
    """Make the keys where there are none, and write the request to ``out``. Raises SigningError, WrongUse."""
    _check_place(out)
    content = enrolment.make_request(settings, state)
    try:
        write(out, json.dumps(content, indent=1).encode() + b"\n")
    except OSError as error:
        raise WrongUse(f"the request cannot be written to {out}: {error.strerror}") from None
    _say(
        f"The request is in {out}: give it to the agency, which compares the key of this station:\n"
        f"{enrolment.grouped(content['event_key']['kid'])}\n"
    )


def take_grant(settings: Settings, state: Path, grant_path: Path) -> None:
    """Take up the grant in ``grant_path``. Raises VerificationError, SigningError, StoreError, WrongUse."""
    granted = enrolment.take_grant(settings, state, strict_json.decode_object(_content(grant_path)))
    _store(settings, state, granted)
    if (granted.host, granted.port) != (settings.link.host, settings.link.port):
        _say(
            f"The agency's broker is {granted.host}:{granted.port}, but [link] in the settings says "
            f"{settings.link.host}:{settings.link.port}\n"
        )
    _say(f"{settings.station.id} is enrolled with {settings.station.agency}\n")


def _store(settings: Settings, state: Path, granted: enrolment.Granted) -> None:
    """Put the documents into the outbox and start the chain, which begins with the event of this enrolment."""
    clock, signer = SteadyClock(SystemClock(), released), event_signer(state)
    writer = EventWriter(Origin(settings.station.agency, settings.station.id, __version__), signer, ())
    outbox = Outbox.open(state / DATABASE_NAME, create=True, max_bytes=settings.outbox.max_bytes)
    try:
        for document in granted.documents:
            outbox.take_document(document.kind, document.version, document.jws)
        at = clock.now()
        outbox.start_chain(signer.kid, at.time)
        if outbox.head().sequence == 1:
            data = {"clock": at.as_data(), "key": signer.kid}
            outbox.append(lambda position: writer.station(position, "station.enrolled.v1", at.time, data))
    finally:
        outbox.close()


def _check_place(out: Path) -> None:
    """Refuse, before any key is made, a place where the request cannot be written."""
    try:
        if out.is_dir() or (out.exists() and not out.is_file()):
            raise WrongUse(f"{out} is not the name of a file for the request")
        if not out.parent.is_dir():
            raise WrongUse(f"there is no folder {out.parent} for the request")
        if not os.access(out.parent, os.W_OK | os.X_OK):
            raise WrongUse(f"this user cannot write into {out.parent}")
    except OSError as error:
        raise WrongUse(f"the request cannot be written to {out}: {error.strerror}") from None


def _say(words: str) -> None:
    """Tell the person; that nobody can be told changes nothing of what was done."""
    with suppress(OSError):
        sys.stderr.write(words)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_GRANT_BYTES + 1)
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_GRANT_BYTES:
        raise WrongUse(f"{path} is larger than a grant can be")
    return content
