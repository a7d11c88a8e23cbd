"""Who may import whom, how large a file may be, and that importing a module does nothing.

The rules are the tables at the top; every one of them is shown to be able to fail on a made-up module.
"""

import ast
import sys
from collections.abc import Iterable, Iterator

import pytest

from tests.source_tree import Source, sources

PURE = ("appliance.cards", "appliance.checks", "appliance.events", "appliance.panel", "appliance.services")
EDGE = (*PURE, "appliance.ports", "appliance.errors")
EVERYTHING = ("appliance",)

#: Module or folder -> what of this project it may import besides itself. The longest name that fits counts.
INTERNAL: dict[str, tuple[str, ...]] = {
    "appliance.errors": (),
    "appliance.cards": ("appliance.errors",),
    "appliance.checks": ("appliance.errors",),
    "appliance.events": ("appliance.errors",),
    "appliance.panel": ("appliance.errors",),
    "appliance.services": ("appliance.errors", "appliance.settings_file", "appliance.settings_schema"),
    "appliance.ports": (*PURE, "appliance.inquiry"),  # for its type alone
    "appliance.inquiry": EDGE,
    "appliance.visit": EDGE,
    "appliance.front": (*EDGE, "appliance.inquiry"),
    "appliance.officers": (*EDGE, "appliance.visit", "appliance.front"),
    "appliance.flow": (*EDGE, "appliance.visit", "appliance.front", "appliance.inquiry", "appliance.officers"),
    "appliance.papers": ("appliance.events", "appliance.errors"),
    "appliance.settings_schema": (),
    "appliance.settings_file": ("appliance.errors", "appliance.settings_schema"),
    "appliance.config": ("appliance.errors", "appliance.settings_schema", "appliance.settings_file"),
    "appliance.hardware": EDGE,
    "appliance.outbox": EDGE,
    "appliance.link": (*EDGE, "appliance.config", "appliance.outbox", "appliance.papers"),
    "appliance.simulate": (*EDGE, "appliance.hardware"),
    "appliance.run": EVERYTHING,
    "appliance.cli": EVERYTHING,
    "appliance.commands": EVERYTHING,
    "appliance.command_line": EVERYTHING,
    "agency": ("appliance.events", "appliance.services", "appliance.errors", "appliance.settings_file"),
}

#: Library -> the files or folders that may import it, also late.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "smartcard": ("appliance.hardware.pcsc",),
    "luma": ("appliance.hardware.oled",),
    "smbus2": ("appliance.hardware.oled",),
    "gpiozero": ("appliance.hardware.gpio",),
    "gpiozero.pins.mock": ("appliance.simulate.panel",),
    "PIL": ("appliance.panel", "appliance.hardware.oled", "appliance.run.panel", "appliance.simulate"),
    "paho": ("appliance.link.mqtt", "appliance.link.bounded_client", "agency.broker.client"),
    "joserfc": ("appliance.events",),
    "fastjsonschema": ("appliance.events.schema",),
    "jsonschema_rs": ("agency.ingest.shape",),
    "cryptography": ("appliance.link.certificates", "agency.desk"),
    "sqlalchemy": ("agency.store",),
}

#: The standard library's own doors to the world -> who may open them.
DOORS: dict[str, tuple[str, ...]] = {
    "sqlite3": ("appliance.outbox", "agency.store"),
    "socket": ("appliance.run", "appliance.simulate", "agency"),
    "subprocess": ("appliance.run", "appliance.simulate", "agency"),
    "ssl": ("appliance.link.address", "appliance.link.handshake", "agency.broker", "agency.linkage"),
    "http": ("agency.linkage", "agency.public"),
}

MAX_LINES = 300
#: File -> why it may be longer.
LONG_FILES: dict[str, str] = {}
MAX_TEST_LINES = 500

#: Calls that may stand at module or class level: they make values, and touch nothing outside.
QUIET_CALLS = {
    "re.compile", "logging.getLogger", "getLogger", "Path", "TypeVar", "ParamSpec", "NewType", "namedtuple",
    "dataclass", "field", "property", "cached_property", "frozenset", "tuple", "dict", "set", "list", "range", "len",
    "max", "min", "sum", "sorted", "zip", "enumerate", "bytes", "bytes.fromhex", "datetime", "timedelta", "timezone",
    "struct.Struct", "Struct", "cache", "lru_cache", "wraps", "contextmanager", "classmethod", "staticmethod",
    "overload", "final", "auto", "str.maketrans", "MappingProxyType", "runtime_checkable",
    "MetaData", "Table", "Column", "String", "Words", "ForeignKey", "ForeignKeyConstraint", "UniqueConstraint", "Index",
}  # fmt: skip


NOT_AT_IMPORT = ("TYPE_CHECKING", "__name__ == '__main__'")


def below(name: str, folders: Iterable[str]) -> bool:
    """Say whether a dotted name is one of ``folders`` or below one."""
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def longest(name: str, table: Iterable[str]) -> str | None:
    """Return the longest name of a table that ``name`` is or is below."""
    return max((entry for entry in table if below(name, [entry])), key=len, default=None)


def import_faults(source: Source) -> Iterator[str]:
    """Return every import that breaks a rule."""
    owner = longest(source.name, INTERNAL) or ""
    for imported, line in source.imports():
        place = f"{source.name}:{line} imports {imported}"
        top = imported.split(".")[0]
        if top in ("appliance", "agency"):
            if imported in ("appliance", "appliance.__version__", "appliance.RELEASED"):
                continue
            if not below(imported, (owner, *INTERNAL.get(owner, ()))):
                yield place
        elif top == "tests":
            yield place
        elif top in sys.stdlib_module_names:
            if top in DOORS and not below(source.name, DOORS[top]):
                yield place
        elif not below(source.name, LIBRARIES.get(longest(imported, LIBRARIES) or "", ())):
            yield place


def own_value_types(everything: Iterable[Source]) -> set[str]:
    """Return the classes of the project that are plain values: dataclasses, enumerations, named tuples, exceptions."""
    found = {"Schema"}  # compiles its JSON Schema when it is first used
    for source in everything:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(each) for each in (*node.decorator_list, *node.bases)]
                if any("dataclass" in name or "Enum" in name or "NamedTuple" in name for name in names):
                    found.add(node.name)
    return found


def import_time_calls(source: Source, quiet: set[str]) -> Iterator[str]:
    """Return every call that runs when the module is imported and is not known to be quiet."""
    for statement in _run_at_import(source.tree.body):
        for node in _calls(statement):
            name = ast.unparse(node.func)
            if name not in quiet and not name.startswith(("re.", "'", '"', "f'")):
                yield f"{source.name}:{node.lineno} calls {name} when imported"


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in NOT_AT_IMPORT:
            continue
        if isinstance(statement, ast.ClassDef):
            yield from statement.decorator_list
            yield from _run_at_import(statement.body)
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from statement.decorator_list
            yield from (value for value in (*statement.args.defaults, *statement.args.kw_defaults) if value)
        else:
            yield statement


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Return calls in ``node`` that run with it: not those inside a lambda or an annotation."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for name, child in ast.iter_fields(node):
        if name != "annotation":
            for each in child if isinstance(child, list) else [child]:
                if isinstance(each, ast.AST):
                    yield from _calls(each)


def too_long(source: Source) -> bool:
    """Say whether a file is longer than it may be."""
    limit = MAX_TEST_LINES if below(source.name, ["tests"]) else MAX_LINES
    return source.lines > limit and source.name not in LONG_FILES


PRODUCT = [*sources("appliance"), *sources("agency")]
QUIET = QUIET_CALLS | own_value_types(PRODUCT)


@pytest.mark.parametrize("source", PRODUCT, ids=lambda source: source.name)
def test_imports_stay_inside_the_boundaries(source: Source) -> None:
    assert not list(import_faults(source))


@pytest.mark.parametrize("source", PRODUCT, ids=lambda source: source.name)
def test_nothing_happens_at_import(source: Source) -> None:
    assert not list(import_time_calls(source, QUIET))


def test_files_are_short() -> None:
    assert [source.name for source in (*PRODUCT, *sources("tests"), *sources("scripts")) if too_long(source)] == []


def test_exceptions_to_the_rules_are_still_needed() -> None:
    names = {source.name for source in PRODUCT}
    allowed = {user for table in (LIBRARIES, DOORS) for users in table.values() for user in users}
    assert sorted(entry for entry in (allowed | set(INTERNAL)) if not any(below(name, [entry]) for name in names)) == []
    lengths = {source.name: source.lines for source in PRODUCT}
    assert all(lengths[name] > MAX_LINES for name in LONG_FILES)


def test_there_is_at_least_as_much_test_as_code() -> None:
    assert sum(source.code_lines for source in sources("tests")) >= sum(source.code_lines for source in PRODUCT)


@pytest.mark.parametrize("folder", ["appliance", "agency", "tests"])
def test_every_folder_of_modules_is_a_package(folder: str) -> None:
    names = {source.name for source in sources(folder)}
    assert {name.rpartition(".")[0] for name in names if "." in name} <= names


BROKEN_IMPORTS = [
    ("appliance.cards.apdu", "import socket"),
    ("appliance.cards.apdu", "from appliance.hardware import pcsc"),
    ("appliance.cards.apdu", "def late():\n    from appliance.outbox.store import Outbox"),
    ("appliance.checks.roster", "from appliance.ports import Clock"),
    ("appliance.panel.render", "import appliance.run.panel"),
    ("appliance.flow", "from appliance.run import wiring"),
    ("appliance.flow", "import sqlite3"),
    ("appliance.events.sign", "import cryptography"),
    ("appliance.run.station", "from smartcard import scard"),
    ("appliance.link.publisher", "import paho.mqtt.client"),
    ("appliance.run.worker", "import agency"),
    ("appliance.run.worker", "from agency.store import tables"),
    ("appliance.run.worker", "import requests"),
    ("appliance.run.worker", "from tests.unit import anything"),
    ("appliance.simulate.ssd1306", "from gpiozero import Button"),
    ("appliance.simulate.panel", "from gpiozero import Button"),
    ("agency.desk.rosters", "from appliance.cards import citizen_id"),
    ("agency.desk.rosters", "import sqlalchemy"),
    ("agency.ingest.worker", "import paho.mqtt.client"),
]


@pytest.mark.parametrize(("name", "text"), BROKEN_IMPORTS)
def test_the_import_rules_can_fail(name: str, text: str) -> None:
    assert len(list(import_faults(Source(name, text)))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("appliance.cards.apdu", "import enum\nfrom appliance.errors import CardError\nfrom appliance.cards import x"),
        ("appliance.hardware.pcsc", "from smartcard import scard\nfrom appliance.ports import Insertion"),
        ("appliance.simulate.panel", "from gpiozero.pins.mock import MockFactory"),
        ("appliance.run.wiring", "from appliance.hardware.oled import Oled\nfrom appliance import __version__"),
        ("agency.store.tables", "import sqlalchemy\nfrom appliance.events.sign import KeySet"),
    ],
)
def test_the_import_rules_let_good_modules_pass(name: str, text: str) -> None:
    assert list(import_faults(Source(name, text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "print('hello')",
        "x = open('/dev/null')",
        "class A:\n    x = connect()",
        "def f(x=now()): ...",
        "@register('a')\ndef f(): ...",
        "if True:\n    start()",
        "x = [load(y) for y in (1, 2)]",
    ],
)
def test_the_rule_about_import_time_can_fail(text: str) -> None:
    assert len(list(import_time_calls(Source("a", text), QUIET))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import re\nX = re.compile('a')",
        "def f():\n    print('later')",
        "x = lambda: connect()",
        "if __name__ == '__main__':\n    main()",
        "@dataclass(frozen=True)\nclass A:\n    x: Annotated[int, Anything()] = 1",
        "KEYS = frozenset({1})\nNAME = ', '.join(('a', 'b'))",
    ],
)
def test_the_rule_about_import_time_lets_values_pass(text: str) -> None:
    assert list(import_time_calls(Source("a", text), QUIET)) == []


def test_lines_of_code_are_counted_without_prose() -> None:
    text = '"""Module.\n\nProse.\n"""\n\n# comment\nx = (\n    1,  # one\n)\n\ndef f():\n    """Do."""\n    return x\n'
    assert Source("a", text).code_lines == 5


def test_the_rule_about_length_can_fail() -> None:
    assert too_long(Source("a", "x\n" * 301))
    assert not too_long(Source("a", "x\n" * 300))
    assert not too_long(Source("tests.a", "x\n" * 500))
    assert too_long(Source("tests.a", "x\n" * 501))
