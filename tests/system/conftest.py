"""A station's box with its real link process, beside an agency that runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.line_bench import bench_in
from tests.system.test_link_process import Box


@pytest.fixture
def box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Box]:
    with bench_in(tmp_path, capsys) as bench:
        made = Box(bench)
        yield made
        made.outbox.close()
        made.systemd.close()
