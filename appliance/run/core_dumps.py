"""No core dumps: one would hold what a card said."""

import resource


def forbid_core_dumps() -> None:
    """Make this process and its children leave none, however they end."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
