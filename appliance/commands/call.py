"""One use of the command line, as the commands see it."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.config import Settings
    from appliance.outbox.store import Outbox
    from appliance.services.profile import Profile


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

    def log_if_verbose(self, process: str) -> bool:
        """Log as ``process`` where ``--verbose`` asks for it, else nothing; say which."""
        if getattr(self.options, "verbose", False):
            self.log(process)
            return True
        import logging

        logging.getLogger("appliance").addHandler(logging.NullHandler())  # else warnings go to standard error
        return False

    def settings(self) -> "Settings":
        """Read the settings. Raises ConfigError."""
        from appliance.config import load

        return load(self.config_path)

    def outbox(self) -> "Outbox":
        """Open the outbox for looking only. Raises StoreError."""
        from appliance.outbox.store import DATABASE_NAME, Outbox

        return Outbox.open(self.state / DATABASE_NAME, read_only=True)

    def services(self) -> "list[Profile]":
        """Return the service profiles by id; of the software alone where this machine is no enrolled station."""
        from appliance.errors import ConfigError
        from appliance.run.documents import services_here

        station = ""
        with suppress(ConfigError):
            station = self.settings().station.id
        profiles = services_here(station, self.state).profiles
        return [profiles[id_] for id_ in sorted(profiles)]

    def show(self, value: Any, lines: Iterable[str]) -> None:
        """Print ``value`` as JSON where that is asked for, else ``lines``."""
        if self.is_json:
            is_unicode = sys.stdout.encoding.lower().startswith("utf")
            lines = [json.dumps(value, ensure_ascii=not is_unicode, indent=2)]
        with suppress(BrokenPipeError):  # who read it has seen enough; the exit code still counts
            sys.stdout.writelines(f"{line}\n" for line in lines)


def words(value: Any) -> str:
    """Return a value as a person reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
