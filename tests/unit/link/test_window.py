"""What is published next: in order, within the window, again until a receipt covers it."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.link.window import FIRST_PATIENCE_S, LONGEST_PATIENCE_S, Window


def connected(through: int = 0, in_flight: int = 20) -> Window:
    window = Window(through=through)
    window.connected(in_flight)
    return window


def test_nothing_is_sent_without_a_connection() -> None:
    assert Window().next_after(head=5, now_s=0) is None


def test_it_begins_after_the_last_receipt() -> None:
    assert connected(through=7).next_after(head=10, now_s=0) == (7, 3)


def test_a_puback_clears_nothing() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.acknowledged(1, is_taken=True, now_s=0)
    assert window.next_after(head=3, now_s=1) is None
    assert window.next_after(head=3, now_s=2 * FIRST_PATIENCE_S) == (0, 3)


def test_a_receipt_ends_the_resending() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.received(through=3, size=100, min_gap_ms=0, now_s=0)
    assert window.next_after(head=3, now_s=10 * FIRST_PATIENCE_S) is None


def test_a_new_connection_starts_from_the_first_uncovered_event() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.received(through=1, size=100, min_gap_ms=0, now_s=0)
    window.disconnected()
    window.connected(20)
    assert window.next_after(head=3, now_s=0.1) == (1, 2)


def test_the_window_bounds_what_is_on_its_way() -> None:
    window = connected()
    window.received(through=0, size=10, min_gap_ms=0, now_s=0)
    assert window.next_after(head=1000, now_s=0) == (0, 10)
    window.published(last=10, mid=1, now_s=0)
    assert window.next_after(head=1000, now_s=0.1) is None


def test_messages_in_flight_are_bounded() -> None:
    window = connected(in_flight=2)
    for mid in (1, 2):
        assert window.next_after(head=100, now_s=0) is not None
        window.published(last=mid, mid=mid, now_s=0)
    assert window.next_after(head=100, now_s=0) is None
    window.acknowledged(1, is_taken=True, now_s=0)
    assert window.next_after(head=100, now_s=0) == (2, 98)


def test_pubacks_that_a_dead_connection_owes_keep_no_place_in_the_next() -> None:
    window = connected(in_flight=2)
    for mid in (1, 2):
        window.published(last=mid, mid=mid, now_s=0)
    window.disconnected()
    window.connected(2)
    assert window.next_after(head=100, now_s=1) == (0, 100)


def test_the_agency_slows_us_down() -> None:
    window = connected()
    window.received(through=0, size=100, min_gap_ms=1500, now_s=0)
    window.published(last=1, mid=1, now_s=10)
    assert window.next_after(head=5, now_s=11.4) is None
    assert window.next_after(head=5, now_s=11.6) == (1, 4)


def test_a_message_that_nobody_took_is_sent_again() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.acknowledged(1, is_taken=False, now_s=1)
    assert window.next_after(head=3, now_s=1 + FIRST_PATIENCE_S) == (0, 3)


def test_what_nobody_took_waits_its_pause_from_the_refusal_and_not_longer() -> None:
    window = connected()
    for at_s, mid in ((0, 1), (3, 2)):
        window.published(last=3 * mid, mid=mid, now_s=at_s)
    window.acknowledged(2, is_taken=False, now_s=4)
    assert window.next_after(head=6, now_s=4 + FIRST_PATIENCE_S - 0.1) is None
    assert window.next_after(head=6, now_s=4 + FIRST_PATIENCE_S) == (0, 6)


def test_what_goes_out_later_puts_off_no_resending() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.published(last=6, mid=2, now_s=0.9 * FIRST_PATIENCE_S)
    assert window.next_after(head=6, now_s=1.26 * FIRST_PATIENCE_S) == (0, 6)


def test_what_is_answered_leaves_nothing_to_send_again() -> None:
    window = connected()
    window.published(last=3, mid=1, now_s=0)
    window.received(through=3, size=100, min_gap_ms=0, now_s=1)
    window.published(last=6, mid=2, now_s=2)
    assert window.next_after(head=6, now_s=2 + FIRST_PATIENCE_S - 0.1) is None


def test_patience_doubles_up_to_its_bound() -> None:
    window, now_s, pauses = connected(), 0.0, []
    for mid in range(8):
        window.published(last=3, mid=mid, now_s=now_s)
        window.acknowledged(mid, is_taken=True, now_s=now_s)
        sent_s = now_s
        while window.next_after(head=3, now_s=now_s) is None:
            now_s += 0.5
        pauses.append(now_s - sent_s)
    assert pauses[0] < 2 * FIRST_PATIENCE_S
    assert max(pauses) <= LONGEST_PATIENCE_S * 1.25 + 0.5
    assert pauses[-1] > 3 * pauses[0]


def test_a_restored_backup_is_sent_everything_again() -> None:
    window = connected(through=50)
    window.received(through=20, size=100, min_gap_ms=0, now_s=0)
    assert window.next_after(head=50, now_s=0) == (20, 30)


def test_missing_events_are_sent_again_at_once() -> None:
    window = connected()
    window.published(last=9, mid=1, now_s=0)
    window.resend_from(4)
    assert window.next_after(head=9, now_s=0.1) == (3, 6)


@given(st.lists(st.tuples(st.sampled_from("pardc"), st.integers(0, 30)), max_size=60))
def test_it_never_offers_what_is_covered_or_beyond_the_window(steps: list[tuple[str, int]]) -> None:
    window, mid, head = connected(), 0, 30
    for now_s, (step, number) in enumerate(steps):
        span = window.next_after(head, float(now_s))
        if span is not None:
            after, limit = span
            assert window.through <= after
            assert after + limit <= min(head, window.through + window.size)
        if step == "p" and span is not None:
            mid += 1
            window.published(min(span[0] + 1 + number, span[0] + span[1]), mid, float(now_s))
        elif step == "a":
            window.acknowledged(number, number % 3 > 0, float(now_s))
        elif step == "r":
            window.received(number, 1 + number, 0, float(now_s))
        elif step == "d":
            window.disconnected()
        elif step == "c":
            window.connected(5)
        assert window.wait_s(head, float(now_s)) >= 0
