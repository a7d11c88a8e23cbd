"""Property: whatever comes in whatever order, the outbox verifies clean and nothing uncovered is ever erased."""

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from appliance.outbox.delivery import Delivery
from appliance.outbox.store import Outbox
from tests.unit.outbox.test_retention import COMMITTED, Kept

CONTENT_DAYS, ROW_DAYS = 7, 30


class Retention(RuleBasedStateMachine):
    """The outbox beside a model: which events were made, and which the agency confirmed when."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.station = Kept(Path(self.folder.name), events=1)
        self.hashes = [self.station.signer.kid, *(row.hash for row in self.station.outbox.rows())]
        self.now = COMMITTED
        self.confirmed: dict[int, object] = {}
        self.through, self.epoch, self.most_confirmed = 0, 1, 0

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        for _ in range(count):
            sequence = self.station.append()
            row = self.station.outbox.row(sequence)
            assert row is not None
            assert sequence == len(self.hashes)
            self.hashes.append(row.hash)

    @rule(days=st.sampled_from([0, 1, 3, 8, 40]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @precondition(lambda self: self.through < len(self.hashes) - 1)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        through = data.draw(st.integers(self.through + 1, len(self.hashes) - 1))
        assert self.station.receive(through, self.epoch, self.now, self.hashes[through])
        for sequence in range(self.through + 1, through + 1):
            self.confirmed[sequence] = self.now
        self.through = through
        self.most_confirmed = max(self.most_confirmed, through)

    @precondition(lambda self: self.through > 0)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        through = data.draw(st.integers(0, self.through - 1))
        self.epoch += 1
        assert self.station.receive(through, self.epoch, self.now, self.hashes[through])
        self.through = through

    @precondition(lambda self: self.through > 0)
    @rule()
    def old_receipt(self) -> None:
        assert not self.station.receive(self.through, self.epoch, self.now, self.hashes[self.through])

    @rule()
    def sweep(self) -> None:
        before = {row.sequence: row.jws for row in self.station.outbox.rows()}
        self.station.outbox.sweep(self.now, CONTENT_DAYS, ROW_DAYS)
        after = {row.sequence: row.jws for row in self.station.outbox.rows()}
        for sequence, jws in before.items():
            if after.get(sequence) != jws:
                assert sequence <= self.through, "only what the agency holds now may go"
                at = self.confirmed[sequence]
                assert self.now - at >= timedelta(days=CONTENT_DAYS)  # type: ignore[operator]

    @rule()
    def reopen(self) -> None:
        self.station.outbox.close()
        self.station.delivery.close()
        self.station.outbox = Outbox.open(self.station.path)
        self.station.delivery = Delivery.open(self.station.path)

    @invariant()
    def verifies(self) -> None:
        assert self.station.problems() == []

    @invariant()
    def holds_what_was_never_confirmed(self) -> None:
        whole = {row.sequence for row in self.station.outbox.rows() if not row.is_erased}
        assert set(range(self.most_confirmed + 1, len(self.hashes))) <= whole

    @invariant()
    def goes_on(self) -> None:
        assert self.station.outbox.head().sequence == len(self.hashes)
        assert self.station.outbox.head().previous == self.hashes[-1]
        standing = self.station.delivery.standing()
        assert (standing.frozen, standing.through) == (None, self.through)

    def teardown(self) -> None:
        self.station.outbox.close()
        self.station.delivery.close()
        self.folder.cleanup()


TestRetention = Retention.TestCase
TestRetention.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
