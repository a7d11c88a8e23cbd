"""No core dumps: one would hold what a card said. And what is freed is overwritten, should there be one after all."""

import resource
from collections.abc import Mapping

#: For a process that handles cards: Python asks the C library for every object, and that overwrites what it gets back
#: (glibc; its small lists of pieces to hand out again would be left out of that). Must stand before the process starts.
OVERWRITES_WHAT_IT_FREES: Mapping[str, str] = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=85",
}


def forbid_core_dumps() -> None:
    """Make this process and its children leave none, however they end."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
