"""What must never stand in the repository: real people, private keys, one machine's paths, promises for later.

Every text file that git knows or would add is looked at. Each rule is shown to be able to fail; its bad samples are put
together at run time, so that this file keeps the rules itself.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THIRTEEN_DIGITS = re.compile(r"(?<![\w.])[1-8]\d{12}(?![\w.])")

#: Rule -> what it forbids in every file.
EVERYWHERE = {
    "private key in PEM": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "private key in JWK": re.compile(r"""["']d["']\s*:\s*["'][A-Za-z0-9_-]{16,}["']"""),
    "path of one machine": re.compile(r"(?<![\w.~])/(?:work|root|home/[a-z]\w*|Users/\w+)/"),
    "host of a package registry": re.compile(
        r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|crates\.io|proxy\.golang\.org|deb\.debian\.org)\b"
    ),
}
#: Rule -> what it forbids in code.
IN_CODE = {
    "promise for later": re.compile(r"\b(?:TO" "DO|FIX" "ME|XX" "X|NotImpl" r"ementedError)\b"),
    "sets the machine's clock": re.compile(
        r"\bdate (?:-s|--set)\b|\b(?:clock_set" r"time|set" r"timeofday|set" r"-time)\b|Timex\(modes=[^0]"
    ),
}
#: What the panel must never claim below L4 (contract 5).
CLAIMS = re.compile(r"ยืนยันแล้ว|ยืนยันตัวตน|บัตรจริง|บัตรแท้|มีสิทธิ|\b(?:verified|genuine|authentic)\b", re.IGNORECASE)
CODE_SUFFIXES = {".py", ".sh", ".toml", ".json", ""}
WORDS = ("appliance/panel/", "appliance/services/")


def check_digit(twelve: str) -> str:
    """Return the thirteenth digit of a citizen number."""
    return str((11 - sum(int(digit) * (13 - at) for at, digit in enumerate(twelve)) % 11) % 10)


def is_real_looking(number: str) -> bool:
    """Say whether a number could be a person's: the check digit holds, and it is not of the synthetic set."""
    return number[12] == check_digit(number[:12]) and number[1:5] != "0000"


def text_faults(name: str, text: str) -> Iterator[str]:
    """Return every place of a file that breaks a rule; a number is not repeated."""
    rules = {**EVERYWHERE, **(IN_CODE if Path(name).suffix in CODE_SUFFIXES else {})}
    for number, line in enumerate(text.splitlines(), 1):
        for rule, pattern in rules.items():
            if pattern.search(line):
                yield f"{name}:{number}: {rule}"
        if any(is_real_looking(found[0]) for found in THIRTEEN_DIGITS.finditer(line)):
            yield f"{name}:{number}: citizen number that could be a person's"
    if name.startswith(WORDS):
        yield from (f"{name}: claims {claim!r}" for claim in _claims(name, text))


def _claims(name: str, text: str) -> list[str]:
    shown = _shown_words(text) if name.endswith(".py") else [text]
    return [found for words in shown for found in CLAIMS.findall(words)]


def _shown_words(text: str) -> Iterator[str]:
    """Return the strings of a module that are not prose about it."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.Assign) and _names(node) == ["FORBIDDEN"])]
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def _names(node: ast.Assign) -> list[str]:
    return [ast.unparse(target) for target in node.targets]


def text_files() -> list[str]:
    """Return every file that git knows or would add, as a path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = sorted({name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()})
    return [name for name in names if b"\0" not in (ROOT / name).read_bytes()[:8192]]


def test_the_repository_keeps_the_rules() -> None:
    faults = [
        fault
        for name in text_files()
        for fault in text_faults(name, (ROOT / name).read_text("utf-8", errors="replace"))
    ]
    assert not faults, "\n".join(faults)


def test_the_files_that_matter_are_looked_at() -> None:
    assert {"appliance/errors.py", "README.md", "scripts/setup.sh", "tests/test_hygiene.py"} <= set(text_files())


def test_scripts_begin_with_care() -> None:
    for name in ("scripts/demo", "scripts/test", "scripts/private", ".ci/run"):
        text = (ROOT / name).read_text()
        assert text.startswith("#!/usr/bin/env bash\n")
        assert "\nset -euo pipefail\n" in text
        assert (ROOT / name).stat().st_mode & 0o111


def number(twelve: str) -> str:
    return twelve + check_digit(twelve)


BAD = [
    ("a.md", number("1" + "2345" + "6789012"), "citizen number"),
    ("a.json", f'{{"cid": "{number("3" + "1002" + "0034567")}"}}', "citizen number"),
    ("a.md", "-----BEGIN " + "PRIVATE KEY-----", "PEM"),
    ("a.md", "-----BEGIN EC " + "PRIVATE KEY-----", "PEM"),
    ("a.json", '{"d"' + ': "' + "A" * 43 + '"}', "JWK"),
    ("a.py", "x = {'d'" + ": '" + "A" * 43 + "'}", "JWK"),
    ("a.md", "see /wo" + "rk/main", "path of one machine"),
    ("a.sh", "cd /ro" + "ot/x", "path of one machine"),
    ("a.sh", "cd /ho" + "me/somebody/x", "path of one machine"),
    ("a.toml", "index = 'https://py" + "pi.org/simple'", "registry"),
    ("a.py", "# TO" + "DO: later", "promise"),
    ("scripts/a", "# FIX" + "ME", "promise"),
    ("scripts/a", "sudo date " + "-s 1970-01-01", "clock"),
    ("a.py", "time.clock_set" + "time(0, 0)", "clock"),
    ("a.sh", "timedatectl set" + "-time 12:00", "clock"),
    ("a.py", "_Timex" + "(modes=1)", "clock"),
    ("a.py", "raise Not" + "ImplementedError", "promise"),
    ("appliance/panel/words.py", "X = 'ยืนยัน" + "แล้ว'", "claims"),
    ("appliance/panel/words.py", "X = ('ok', f'{1} VERI" + "FIED')", "claims"),
    ("appliance/services/a.toml", "th = 'บัตร" + "จริง'", "claims"),
]


@pytest.mark.parametrize(("name", "text", "rule"), BAD)
def test_every_rule_can_fail(name: str, text: str, rule: str) -> None:
    (fault,) = text_faults(name, f"good line\n{text}\n" if name.endswith(".md") else f"{text}\n")
    assert rule in fault


GOOD = [
    ("a.md", number("1" + "0000" + "0203457")),
    ("a.md", "1234567890123"),
    ("a.md", "x" + number("1" + "2345" + "6789012")),
    ("a.md", "A word on what is TO" + "DO."),
    ("a.py", "network/root/x"),
    ("a.py", "{'d': 'short'}"),
    ("appliance/panel/words.py", '"""Never says ' + 'verified."""\nX = "อ่านบัตรได้"'),
    ("appliance/panel/words.py", "FORBIDDEN = ('veri" + "fied',)"),
    ("appliance/cards/words.py", "X = 'veri" + "fied'"),
]


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_what_is_fine_passes(name: str, text: str) -> None:
    assert list(text_faults(name, text)) == []


def test_the_check_digit_is_the_published_one() -> None:
    assert check_digit("100000020345") == "7"
