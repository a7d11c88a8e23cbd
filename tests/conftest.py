"""Options of the whole suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("card station")
    group.addoption("--insertions", type=int, default=30, help="cards put in during the random kills (30)")
    group.addoption("--kills", type=int, default=6, help="random kills meanwhile (6)")
    group.addoption("--seed", type=int, default=0, help="of the random kills (0: another one each time)")
