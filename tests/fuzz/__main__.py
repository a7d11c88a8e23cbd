"""Runs a fuzzer: ``python -m tests.fuzz TARGET [OPTION OF LIBFUZZER...] [FOLDER...]``; needs atheris.

New inputs go to the first folder. The targets are ``record`` and ``session``; ``TARGET --seeds FOLDER`` writes the
inputs that its corpus began with. ``scripts/test --fuzz MINUTES`` runs both with the corpus and bounds.
"""

import sys
from importlib import import_module
from pathlib import Path

TARGETS = ("record", "session")


def main(target: str, *options: str) -> int:
    """Write the seeds of a target, or fuzz it; atheris ends the process by itself."""
    if target not in TARGETS:
        print(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [OPTION...] [FOLDER...]", file=sys.stderr)
        return 2
    if options[:1] == ("--seeds",):
        for name, data in import_module(f"tests.fuzz.{target}").seeds():
            Path(options[1], name).write_bytes(data)
        return 0
    try:
        import atheris
    except ImportError:
        print("tests.fuzz: there is no atheris here; it has wheels for Linux on x86_64 only", file=sys.stderr)
        return 7
    with atheris.instrument_imports(include=["appliance.cards"]):
        for name in ("guard", "reading"):  # and all that they import; not the virtual card, not the assertions
            import_module(f"appliance.cards.{name}")
    again = f"{sys.executable} -m tests.fuzz {target}"  # how libFuzzer starts more of itself, to merge a corpus
    atheris.Setup([again, *options], import_module(f"tests.fuzz.{target}").run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ("",)))
