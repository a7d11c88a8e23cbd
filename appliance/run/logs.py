"""Logging for systemd: one line an entry on standard error, with the priority prefix of sd-daemon(3)."""

import logging
import sys

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, 7)
        return f"<{priority}>{super().format(record)}".replace("\n", f"\n<{priority}>")


def set_up_logging(process: str, *, is_verbose: bool = False) -> None:
    """Log to standard error as ``process``; DEBUG too where ``is_verbose``. A terminal gets no priorities."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter if sys.stderr.isatty() else _Formatter
    handler.setFormatter(formatter(f"{process}: %(message)s"))
    level = logging.DEBUG if is_verbose else logging.INFO
    logging.basicConfig(handlers=[handler], level=level, force=True)
