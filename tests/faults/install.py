"""Puts fault points into the real code: wraps functions by name, and the cursors of SQLite.

``install`` must run before the program opens its database; nothing of the product knows of it.
"""

import functools
import importlib
import inspect
import os
import signal
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from tests.faults.points import Point

Die = Callable[[Point], None]

_within = threading.local()


def die_now(point: Point) -> None:
    """End this process as a power cut would: no handler, no rollback, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def install(points: Iterable[Point], reach: Die) -> None:
    """Have ``reach`` called at each of ``points``.

    Raises:
        LookupError: the product has no such function.
    """
    by_target: defaultdict[str, list[Point]] = defaultdict(list)
    for point in points:
        by_target[point.target].append(point)
    for target, here in by_target.items():
        _wrap(target, here, reach)
    statements = [point for point in points if point.statement]
    if statements:
        _watch_statements(statements, reach)


def _wrap(target: str, points: list[Point], reach: Die) -> None:
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    try:
        owner = functools.reduce(getattr, owners, importlib.import_module(module))
        found = inspect.getattr_static(owner, name)
    except AttributeError:
        raise LookupError(f"the fault points name {target}, and there is none") from None
    of_function = [point for point in points if not point.statement]
    if isinstance(found, classmethod):
        setattr(owner, name, classmethod(_watched(found.__func__, target, of_function, reach)))
    else:
        setattr(owner, name, _watched(found, target, of_function, reach))


def _watched(function: Callable[..., Any], target: str, points: list[Point], reach: Die) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **options: Any) -> Any:
        for point in points:
            if not point.is_after and point.counts(args, None):
                reach(point)
        stack = _stack()
        stack.append(target)
        try:
            result = function(*args, **options)
        finally:
            stack.pop()
        for point in points:
            if point.is_after and point.counts(args, result):
                reach(point)
        return result

    return watched


def _stack() -> list[str]:
    if not hasattr(_within, "stack"):
        _within.stack = []
    stack: list[str] = _within.stack
    return stack


def _watch_statements(points: list[Point], reach: Die) -> None:
    def run(sql: str, act: Callable[[], Any]) -> Any:
        here = [point for point in points if sql.startswith(point.statement) and point.target in _stack()]
        for point in here:
            if not point.is_after:
                reach(point)
        result = act()
        for point in here:
            if point.is_after:
                reach(point)
        return result

    class WatchedCursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            return run(sql, lambda: sqlite3.Cursor.execute(self, sql, parameters))

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            return run(sql, lambda: sqlite3.Cursor.executemany(self, sql, parameters))

    class WatchedConnection(sqlite3.Connection):
        def cursor(self, factory: Any = WatchedCursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, parameters: Any = (), /) -> Any:  # or it would make a cursor of its own
            return self.cursor().execute(sql, parameters)

        def commit(self) -> None:  # what SQLAlchemy calls
            run("COMMIT", super().commit)

    _connect_with(WatchedConnection)


def _connect_with(factory: type[sqlite3.Connection]) -> None:
    original = sqlite3.connect

    def connect(*args: Any, **options: Any) -> Any:
        return original(*args, **{"factory": factory, **options})

    sqlite3.connect = connect
    sqlite3.dbapi2.connect = connect  # the name under which SQLAlchemy has it
