"""What each ``card-station`` command does, once the command line is understood.

A command takes a ``Call``, prints data to standard output (as JSON where ``--json`` asks for it), and
returns the exit code; what goes wrong it raises. Its heavy imports are inside the function."""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import ConfigError, VerificationError, WrongUse

if TYPE_CHECKING:
    from appliance.config import Settings
    from appliance.outbox.store import Outbox, Row


@dataclass(frozen=True)
class Call:
    """One use of the command line.

    Args:
        options: as parsed.
        environ: the environment.
    """

    options: Namespace
    environ: Mapping[str, str]

    @property
    def config_path(self) -> Path:
        """Return the settings file that counts."""
        from appliance.config import find

        return find(getattr(self.options, "config", None), self.environ)

    @property
    def state(self) -> Path:
        """Return the state directory."""
        from appliance.config import state_directory

        return state_directory(self.environ)

    @property
    def runtime(self) -> Path:
        """Return the runtime directory."""
        from appliance.config import runtime_directory

        return runtime_directory(self.environ)

    @property
    def is_json(self) -> bool:
        """Say whether data is printed as JSON."""
        return getattr(self.options, "json", False)

    def log(self, process: str) -> None:
        """Log to standard error as ``process``."""
        from appliance.run.logs import set_up_logging

        set_up_logging(process, is_verbose=getattr(self.options, "verbose", False))

    def settings(self) -> "Settings":
        """Read the settings. Raises ConfigError."""
        from appliance.config import load

        return load(self.config_path)

    def outbox(self) -> "Outbox":
        """Open the outbox for looking only. Raises StoreError."""
        from appliance.outbox.store import DATABASE_NAME, Outbox

        return Outbox.open(self.state / DATABASE_NAME, read_only=True)

    def show(self, value: Any, lines: Iterable[str]) -> None:
        """Print ``value`` as JSON where that is asked for, else ``lines``."""
        if self.is_json:
            is_unicode = sys.stdout.encoding.lower().startswith("utf")
            lines = [json.dumps(value, ensure_ascii=not is_unicode, indent=2)]
        sys.stdout.writelines(f"{line}\n" for line in lines)


def station(call: Call) -> int:
    """Run the card process."""
    from appliance.run import station as process

    call.log("station")
    try:
        settings = call.settings()
    except ConfigError:
        process.show_bad_config(call.runtime)
        raise
    return process.main(settings, call.state, call.runtime)


def link(call: Call) -> int:
    """Run the network process."""
    call.log("link")
    settings = call.settings()
    from appliance.run import link as process

    return process.main(settings, call.state, call.runtime)


def run(call: Call) -> int:
    """Run both processes under one supervisor."""
    call.settings()
    from appliance.run import both

    call.runtime.mkdir(mode=0o750, parents=True, exist_ok=True)
    return both.main(call.config_path)


def status(call: Call) -> int:
    """Show how the station stands, as the state database tells."""
    with closing(call.outbox()) as outbox:
        found = _standing(outbox.status(), time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))
    call.show(found, (f"{name}: {_words(value)}" for name, value in found.items()))
    return 0


def _standing(found: dict[str, Any], boot_s: float, now: datetime) -> dict[str, Any]:
    """Return how things stand now: the station's last word counts as long as it counts for the agency."""
    from appliance.link.status import STALE_S

    said_s, oldest = found.pop("monotonic_s", None), found["backlog"]["oldest"]
    if said_s is None or not 0 <= boot_s - said_s <= STALE_S:
        found = {**found, "state": "not running"}
    age_s = max(0, int((now - datetime.fromisoformat(oldest)).total_seconds())) if oldest else None
    return {**found, "backlog": {"count": found["backlog"]["count"], "oldest_s": age_s}}


def outbox_list(call: Call) -> int:
    """List the stored events, oldest first."""
    with closing(call.outbox()) as outbox:
        rows = [_summary(row) for row in outbox.rows()]
    words = {True: "covered", False: "waiting"}
    lines = (f"{row['sequence']:>10}  {row['time']}  {words[row['covered']]}  {row['type']}" for row in rows)
    call.show(rows, lines)
    return 0


def outbox_show(call: Call) -> int:
    """Show one event as it was signed. What is sealed stays sealed."""
    from appliance.events.sign import unverified_payload

    with closing(call.outbox()) as outbox:
        row = outbox.row(call.options.sequence)
    if row is None:
        raise WrongUse(f"there is no event {call.options.sequence} on this station")
    event = unverified_payload(row.jws)
    whole = {**_summary(row), "event": event, "jws": row.jws}
    call.show(whole, [json.dumps({**_summary(row), "event": event}, ensure_ascii=False, indent=2)])
    return 0


def outbox_export(call: Call) -> int:
    """Print every event as a compact JWS."""
    with closing(call.outbox()) as outbox:
        events = (row.jws for row in outbox.rows())
        call.show(list(events) if call.is_json else None, events)
    return 0


def outbox_verify(call: Call) -> int:
    """Check the chain: every hash, signature and place."""
    from appliance.outbox.verify import verify
    from appliance.papers import event_key

    keys, thumbprint = event_key(call.state)
    with closing(call.outbox()) as outbox:
        rows = list(outbox.rows())
    count, problems = len(rows), verify(rows, keys, thumbprint)
    call.show({"events": count, "problems": problems}, problems or [f"{count} events, chain unbroken"])
    if problems:
        raise VerificationError(f"{len(problems)} problems in the chain of {count} events")
    return 0


def config_check(call: Call) -> int:
    """Check the settings file."""
    try:
        _check_service(call.settings().service.id, call.config_path)
    except ConfigError as error:
        if call.is_json:
            with suppress(OSError):  # the problems are said all the same
                call.show({"file": str(call.config_path), "problems": error.problems}, ())
        raise
    call.show({"file": str(call.config_path), "problems": []}, [f"{call.config_path}: good"])
    return 0


def _check_service(service_id: str, path: Path) -> None:
    """Refuse a service that does not exist; the demonstrations' are known only to a station that runs one."""
    from appliance.services.profile import shipped
    from appliance.settings_file import Problem, read_text, with_lines

    known = [profile.id for profile in shipped()]
    if service_id not in known and not service_id.startswith("demo."):
        problem = Problem(("service", "id"), f"no service {service_id!r}; there is {', '.join(known)}")
        raise ConfigError(with_lines([problem], read_text(path), path.name))


def config_show(call: Call) -> int:
    """Show the effective settings, or the page of defaults."""
    from appliance import config

    if call.options.defaults:
        page = config.commented_defaults()
        call.show({"toml": page}, page.splitlines())
        return 0
    shown = config.show(call.config_path)
    call.show(
        [vars(row) for row in shown],
        (f"{f'{row.table}.{row.key}':24} = {row.value:32} # {row.source}" for row in shown),
    )
    return 0


def service_list(call: Call) -> int:
    """List the service profiles."""
    from appliance.services.profile import shipped

    profiles = shipped()
    lines = (f"{one.id:24} {one.version:>3}  {one.title['th']} / {one.title['en']}" for one in profiles)
    call.show([_profile(one) for one in profiles], lines)
    return 0


def service_show(call: Call) -> int:
    """Show one profile and exactly which bytes of the card it may read."""
    from appliance.services.profile import shipped

    found = [profile for profile in shipped() if profile.id == call.options.id]
    if not found:
        raise WrongUse(f"there is no service {call.options.id!r}; see 'card-station service list'")
    whole = {**_profile(found[0]), "card_bytes": _card_bytes(found[0].card_read)}
    call.show(whole, (f"{name}: {_words(value)}" for name, value in whole.items()))
    return 0


def enrol(call: Call) -> int:
    """Make the station's keys and a request, or take up a grant."""
    settings = call.settings()
    from appliance.run import enrol as enrolment

    if call.options.request is not None:
        return enrolment.request(settings, call.state, Path(call.options.request))
    return enrolment.take_grant(settings, call.state, Path(call.options.grant))


def simulate_card(call: Call) -> int:
    """Put a virtual card into the virtual reader."""
    from appliance.simulate.card import main

    return main(call.options.name, call.options.port)


def simulate_panel(call: Call) -> int:
    """Show the virtual panel in the terminal."""
    from appliance.simulate.panel import view

    return view(call.runtime)


def _summary(row: "Row") -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "chain": row.chain,
        "type": row.type,
        "time": row.time,
        "hash": row.hash,
        "covered": row.covered,
    }


def _profile(profile: Any) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(profile).items()}


def _card_bytes(names: Iterable[str]) -> list[dict[str, Any]]:
    from appliance.cards.thai_id import AID, Field

    fields = [Field.named(name) for name in names]
    return [
        {"field": one.symbol, "applet": AID.hex(), "offset": one.offset, "size_bytes": one.size_bytes} for one in fields
    ]


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
