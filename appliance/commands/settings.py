"""Commands about the settings."""

from contextlib import suppress

from appliance.commands.call import Call
from appliance.errors import ConfigError


def check(call: Call) -> int:
    """Check the settings file."""
    try:
        _check_service(call, call.settings().service.id)
    except ConfigError as error:
        if call.is_json:
            with suppress(OSError):  # the problems are said all the same
                call.show({"file": str(call.config_path), "problems": error.problems}, ())
        raise
    call.show({"file": str(call.config_path), "problems": []}, [f"{call.config_path}: good"])
    return 0


def _check_service(call: Call, service_id: str) -> None:
    """Refuse a service that does not exist; the demonstrations' are known only to a station that runs one."""
    from appliance.settings_file import Problem, read_text, with_lines

    path, known = call.config_path, [profile.id for profile in call.services() if profile.vouch is None]
    if service_id not in known and not service_id.startswith("demo."):
        problem = Problem(("service", "id"), f"no service {service_id!r}; there is {', '.join(known)}")
        raise ConfigError(with_lines([problem], read_text(path), path.name))


def show(call: Call) -> int:
    """Show the effective settings, or the page of defaults."""
    import tomllib

    from appliance import config

    if call.options.defaults:
        page = config.commented_defaults()
        call.show({"toml": page}, page.splitlines())
        return 0
    shown = config.show(call.config_path)
    call.show(
        [{**vars(row), "value": tomllib.loads(f"value = {row.value}")["value"]} for row in shown],
        (f"{f'{row.table}.{row.key}':24} = {row.value:32} # {row.source}" for row in shown),
    )
    return 0
