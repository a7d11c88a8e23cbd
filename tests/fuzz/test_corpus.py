"""The corpus of the fuzzers, replayed on every machine; where atheris is, each fuzzer also runs for some seconds."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import record, session
from tests.fuzz.__main__ import TARGETS, main
from tests.test_hygiene import is_real_looking

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "data" / "fuzz"
RUNS = {"record": record.run, "session": session.run}
SEEDS = {"record": record.seeds, "session": session.seeds}
MAX_CORPUS_BYTES = 300_000
SECONDS = 10
NUMBERS = re.compile(rb"(?<![\w.])[1-8]\d{12}(?![\w.])")

needs_atheris = pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")


def fuzz(target: str, folder: Path, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a fuzzer in a process of its own, its finds in ``folder``; ``before`` is what to break first."""
    run = f"{before}\nimport sys\nfrom tests.fuzz.__main__ import main\nsys.exit(main(*sys.argv[1:]))"
    bounds = ["-timeout=5", "-rss_limit_mb=512", f"-artifact_prefix={folder}/", *options]
    command = [sys.executable, "-c", run, target, *bounds, str(folder), str(CORPUS / target)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=90, check=False)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:12]}")
def test_what_the_fuzzers_found_holds(path: Path) -> None:
    RUNS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_fuzzers_began_with_holds(target: str) -> None:
    for name, data in SEEDS[target]():
        try:
            RUNS[target](data)
        except AssertionError as error:
            error.add_note(name)
            raise


def numbers_in(content: bytes) -> list[str]:
    """Return what could be a citizen number, in a file that git takes for text or not, and in its fields."""
    pieces = (content, *(raw or b"" for raw in record.fields_of(content).values()))
    return [number.decode() for piece in pieces for number in NUMBERS.findall(piece)]


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_there_and_holds_nobody(target: str) -> None:
    contents = [path.read_bytes() for path in (CORPUS / target).iterdir()]
    assert len(contents) > 30
    assert sum(map(len, contents)) < MAX_CORPUS_BYTES / len(TARGETS)
    assert not any(is_real_looking(number) for content in contents for number in numbers_in(content))


def test_a_number_in_the_corpus_would_be_noticed() -> None:
    number = b"1" + b"2345" + b"6789012"
    assert any(map(is_real_looking, numbers_in(bytes(3) + b"0003" + number + b"1" + b"A")))


def test_seeds_can_be_written_for_a_new_corpus(tmp_path: Path) -> None:
    assert main("session", "--seeds", str(tmp_path)) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict(session.seeds())


def test_an_unknown_target_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("nothing") == 2
    assert "record|session" in capsys.readouterr().err


def test_a_machine_without_atheris_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert main("record") == 7
    assert "no atheris" in capsys.readouterr().err


@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(target: str, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path, f"-max_total_time={SECONDS}")
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(re.findall(r"Done (\d+) runs", done.stderr)[0]) > 100, "it ran, and did not only say so"


BROKEN = {
    "record": "from appliance.cards import text; text.decode = lambda raw: raw.decode('latin-1')",
    "session": "from appliance.cards import session; session.MAX_GET_RESPONSE = 10 ** 9",
}


@needs_atheris
@pytest.mark.parametrize("target", TARGETS)
def test_a_fault_in_the_product_is_found_and_kept(target: str, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path, "-max_total_time=30", before=BROKEN[target])
    assert done.returncode not in (0, 1, 2, 7), done.stderr[-4000:]
    (crash,) = tmp_path.glob("crash-*")
    RUNS[target](crash.read_bytes())  # the product as it is holds
