"""A pcscd of our own, the reader on the table, and a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.cards.thai_id import Field
from appliance.run.reader import WorkerReader
from appliance.simulate.pcscd import PrivatePcscd
from tests.contract.card_table import Table


@pytest.fixture
def pcscd(tmp_path: Path) -> Iterator[PrivatePcscd]:
    with PrivatePcscd(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def table(pcscd: PrivatePcscd) -> Iterator[Table]:
    made = Table()
    yield made
    made.pull()
    made.slot.close()


@pytest.fixture
def worker() -> Iterator[WorkerReader]:
    reader = WorkerReader("Virtual PCD", may_read=list(Field), silence_s=1.0)
    yield reader
    reader.close()
