"""Commands about the settings and the service profiles."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.commands.call import Call, words
from appliance.errors import ConfigError, WrongUse


def check(call: Call) -> int:
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


def show(call: Call) -> int:
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


def list_services(call: Call) -> int:
    """List the service profiles."""
    from appliance.services.profile import shipped

    profiles = shipped()
    lines = (f"{one.id:24} {one.version:>3}  {one.title['th']} / {one.title['en']}" for one in profiles)
    call.show([_profile(one) for one in profiles], lines)
    return 0


def show_service(call: Call) -> int:
    """Show one profile and exactly which bytes of the card it may read."""
    from appliance.services.profile import shipped

    found = [profile for profile in shipped() if profile.id == call.options.id]
    if not found:
        raise WrongUse(f"there is no service {call.options.id!r}; see 'card-station service list'")
    whole = {**_profile(found[0]), "card_bytes": _card_bytes(found[0].card_read)}
    call.show(whole, (f"{name}: {words(value)}" for name, value in whole.items()))
    return 0


def _profile(profile: Any) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(profile).items()}


def _card_bytes(names: Iterable[str]) -> list[dict[str, Any]]:
    from appliance.cards.thai_id import Field

    fields = [Field.named(name) for name in names]
    return [
        {"field": one.symbol, "applet": one.applet.value.hex(), "offset": one.offset, "size_bytes": one.size_bytes}
        for one in fields
    ]
