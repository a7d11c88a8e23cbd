"""``python -m agency`` is ``card-agency``."""

from agency.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
