"""Runs a program of the product with the fault points of one process put in: it dies where a file says.

    python -m tests.system.faulty FILE station -- --config station.toml station

While FILE holds the name of a point, the process that gets there removes FILE and kills itself with SIGKILL; without
the file the program runs as ever. Waiting times that only cost the tests time are shortened here.
"""

import sys
from pathlib import Path

from tests.faults.install import die_now, install
from tests.faults.points import Point, of


def main(armed: Path, process: str, arguments: list[str]) -> int:
    """Run the program of ``process`` and return its exit code."""

    def reach(point: Point) -> None:
        try:
            is_armed = armed.read_text() == point.name
        except FileNotFoundError:
            return
        if is_armed:
            armed.unlink()
            die_now(point)

    install(of(process), reach)
    _hurry(process)
    if process == "ingest":
        from agency.cli import main as agency

        return agency(arguments)
    from appliance.cli import main as station

    return station(arguments)


def _hurry(process: str) -> None:
    """Send again and answer after a second instead of many."""
    if process == "link":
        from appliance.link import window

        assert window.FIRST_PATIENCE_S > 1
        window.FIRST_PATIENCE_S = 1.0
    if process == "ingest":
        from agency.ingest.receipts import Urgency

        assert Urgency.NEW.value > 0.5
        Urgency.NEW._value_ = 0.5


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[split + 1 :]))
