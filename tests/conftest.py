"""Options of the whole suite."""

import signal
from pathlib import Path

import pytest

IMAGE = Path(__file__).parent / "image"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("card station")
    group.addoption("--insertions", type=int, default=30, help="cards put in during the random kills (30)")
    group.addoption("--kills", type=int, default=6, help="random kills meanwhile (6)")
    group.addoption("--seed", type=int, default=0, help="of the random kills (0: another one each time)")
    group.addoption("--wrong-clock", action="store_true", help="also a station that starts in 1970 (needs libfaketime)")
    group.addoption("--minutes", type=float, default=0, help="of random kills, the database too (0: none)")
    group.addoption("--every-fault-point", action="store_true", help="kill -9 at all of them, not at a sample")
    group.addoption("--image", action="store_true", help="also what needs the emulated machine (scripts/test --image)")


def pytest_configure() -> None:
    """Undo what nohup or a shell's & told us to ignore: our children would inherit it, and tests send them these."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the emulated machine out where nobody asks for it."""
    return True if collection_path == IMAGE and not config.getoption("--image") else None
