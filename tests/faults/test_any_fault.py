"""Whatever order faults come in, nothing is lost, doubled or reordered, and "all sent" is never a lie (T-85).

Hypothesis chooses: cards, crashes of station, link and ingest before and after their commits, cut lines, a broker
that forgets or lies, messages lost, repeated and reordered, an agency put back from an older copy, a revoked station.
After every step the promises are held against the real databases; at the end everything is allowed to settle.
A few examples run every time; ``CARD_STATION_EXAMPLES=2000`` asks for more.
"""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agency.broker.client import Message
from appliance.link.reasons import NO_MATCHING_SUBSCRIBERS
from tests.faults.world import (
    Copy,
    World,
    crash_after_commit,
    crash_before_commit,
    crash_before_receipts,
)

MOST_EVENTS = 90  # fewer than the window: what a revoked station has goes out whole
EXAMPLES, STEPS = int(os.environ.get("CARD_STATION_EXAMPLES", "15")), 40
BOOL = st.booleans()


class AnyFault(RuleBasedStateMachine):
    """The rules are what can happen, the invariants what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="any-fault-"))
        self.world = World(self.folder)
        self.broker = self.world.broker
        self.signed: list[str] = []
        self.copies: list[Copy] = []
        self.reached = (0, 0)  # epoch and sequence number of the newest receipt

    def teardown(self) -> None:
        event(f"restored {bool(self.world.epoch() > 1)}, receipts {min(len(self.broker.told), 3)} or more")
        try:
            if self.world.was_put_back:  # maybe to before the chain began: then only its next event tells of it
                self.world.append()
                self._note_signed()
            self.world.settle()
            self.check_all_arrived()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.copies.append(self.world.copy())
        self.broker.connect()
        self.world.link.turn()

    # What people and the station do.

    @precondition(lambda self: len(self.signed) < MOST_EVENTS)
    @rule(count=st.integers(1, 6))
    def cards(self, count: int) -> None:
        for _ in range(count):
            self.world.append()
        self._note_signed()

    @precondition(lambda self: len(self.signed) < MOST_EVENTS)
    @rule(is_committed=BOOL)
    def station_dies(self, is_committed: bool) -> None:
        before = len(self.signed)
        self.world.crash_while_appending(is_committed)
        self._note_signed()
        assert len(self.signed) == before + is_committed

    def _note_signed(self) -> None:
        rows = self.world.rows()
        assert [row.jws for row in rows[: len(self.signed)]] == self.signed, "an event is gone or another"
        self.signed = [row.jws for row in rows]

    # The link and the line.

    @rule(seconds=st.sampled_from([0.0, 1.0, 12.0, 80.0]))
    def link_works(self, seconds: float) -> None:
        self.world.clock.now_s += seconds
        self.world.link.turn()

    @rule(is_committed=BOOL)
    def link_dies_on_a_receipt(self, is_committed: bool) -> None:
        self.world.crash_on_receipt(is_committed)

    @rule()
    def link_dies(self) -> None:
        self.world.restart_link()

    @rule()
    def line_comes_up(self) -> None:
        self.broker.connect()

    @rule(forgets=BOOL)
    def line_is_cut(self, forgets: bool) -> None:
        self.broker.disconnect(forgets)

    # The broker.

    @rule(count=st.integers(1, 8))
    def broker_passes_on(self, count: int) -> None:
        for _ in range(count):
            self.broker.take()

    @rule()
    def broker_takes_and_forgets(self) -> None:
        self.broker.take(passes_on=False)

    @rule()
    def broker_has_no_subscriber(self) -> None:
        self.broker.take(passes_on=False, reason=NO_MATCHING_SUBSCRIBERS)

    @rule()
    def puback_is_lost(self) -> None:
        self.broker.take(says_so=False)

    @rule()
    def broker_dies(self) -> None:
        self.broker.lose_everything()

    @rule(chance=st.randoms(use_true_random=False))
    def bundles_are_reordered(self, chance: Any) -> None:
        chance.shuffle(self.broker.events)

    @precondition(lambda self: self.broker.events)
    @rule(chosen=st.data(), is_kept=BOOL)
    def bundle_is_repeated_or_lost(self, chosen: st.DataObject, is_kept: bool) -> None:
        at = chosen.draw(st.integers(0, len(self.broker.events) - 1))
        if is_kept:
            self.broker.events.append(self.broker.events[at])
        else:
            del self.broker.events[at]

    # Receipts.

    @precondition(lambda self: self.broker.down)
    @rule(chosen=st.data(), is_lost=BOOL)
    def receipt_arrives_or_is_lost(self, chosen: st.DataObject, is_lost: bool) -> None:
        receipt = self.broker.down.pop(chosen.draw(st.integers(0, len(self.broker.down) - 1)))
        if not is_lost:
            self.broker.hand_down(receipt)

    @precondition(lambda self: self.broker.told)
    @rule(chosen=st.data(), is_retained=BOOL)
    def old_receipt_comes_again(self, chosen: st.DataObject, is_retained: bool) -> None:
        old = self.broker.told[chosen.draw(st.integers(0, len(self.broker.told) - 1))]
        self.broker.connect()
        self.broker.hand_down(Message(old.topic, old.payload, is_retained))
        self.world.link.turn()

    # The agency.

    @rule()
    def ingest_works(self) -> None:
        self.world.ingest()

    @rule(where=st.sampled_from([crash_before_commit, crash_after_commit, crash_before_receipts]))
    def ingest_dies(self, where: Any) -> None:
        self.world.ingest(where)

    @rule()
    def database_is_copied(self) -> None:
        self.copies.append(self.world.copy())

    @rule(chosen=st.data(), is_whole_machine=BOOL, broker_forgets=BOOL)
    def database_is_put_back(self, chosen: st.DataObject, is_whole_machine: bool, broker_forgets: bool) -> None:
        if broker_forgets:
            self.broker.lose_everything()
        self.world.put_back(self.copies[chosen.draw(st.integers(0, len(self.copies) - 1))], is_whole_machine)

    @rule(sure=st.integers(0, 4))
    def station_is_revoked(self, sure: int) -> None:
        if sure == 0:  # seldom: little can happen after that
            self.world.revoke()

    @rule(turns=st.integers(1, 3))
    def all_is_well_for_a_moment(self, turns: int) -> None:
        self.world.settle(turns)

    @rule(chosen=st.data())
    def database_is_put_back_and_all_is_well(self, chosen: st.DataObject) -> None:
        self.world.put_back(self.copies[chosen.draw(st.integers(0, len(self.copies) - 1))], is_whole_machine=False)
        self.world.settle(turns=2)

    # What must hold.

    @invariant()
    def nothing_is_gone_at_the_station(self) -> None:
        assert [row.jws for row in self.world.rows()] == self.signed

    @invariant()
    def the_agency_holds_only_what_was_signed_each_once_and_linked(self) -> None:
        held = self.world.held()
        sequences = [row.sequence for row in held]
        assert sequences == sorted(set(sequences))  # type: ignore[type-var]
        assert all(row.jws == self.signed[(row.sequence or 0) - 1] for row in held)
        mark = self.world.mark()
        assert sequences[:mark] == list(range(1, mark + 1))

    @invariant()
    def receipts_go_back_only_with_a_new_epoch(self) -> None:
        standing = self.world.delivery().standing()
        reached = (standing.epoch, standing.through)
        assert reached >= self.reached
        self.reached = reached

    @invariant()
    def all_sent_is_never_a_lie(self) -> None:
        standing = self.world.delivery().standing()
        if self.world.is_put_back or standing.epoch != self.world.epoch():
            return  # an agency put back, and nobody could have told the station yet
        held = {row.sequence for row in self.world.held()}
        assert set(range(1, standing.through + 1)) <= held
        if self.world.delivery().backlog()[0] == 0:
            assert len(held) == len(self.signed)

    @invariant()
    def nothing_freezes_and_nothing_forks(self) -> None:
        assert self.world.delivery().standing().frozen is None
        assert self.world.forks() == []

    def check_all_arrived(self) -> None:
        assert self.world.problems() == []
        held = [row.jws for row in self.world.held()]
        if self.world.is_revoked():  # it is owed no receipt, so nothing tells it that what it sent was lost again
            assert self.world.was_put_back or held == self.signed
            return
        assert held == self.signed, "the agency holds all of it, in order"
        assert self.world.delivery().backlog() == (0, None)
        assert {problem.code for problem in self.world.audit().problems} <= {"quarantine"}


TestAnyFault = AnyFault.TestCase
TestAnyFault.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to make a failure smaller takes minutes: by hand
)
