"""The front of the station while somebody stands there: what the panel shows, what is pressed, which card is in.

It waits for a card, a press or a removal, never for more than a moment at a time: ``keep_waiting`` is asked in between,
and once it says no, ``is_ended`` is true and every wait returns.
"""

import time
from collections.abc import Callable, Sequence

from appliance.cards.record import Record
from appliance.checks.result import Check
from appliance.inquiry import Inquiry
from appliance.panel.menu import pages
from appliance.panel.screens import NO_CARD_IS_IN, Button, Label, Screen, State
from appliance.ports import Insertion, World
from appliance.services.profile import Profile
from appliance.services.vocabulary import Default

WAIT_S = 0.5
PRESS_WAIT_S = 0.1  # a press is answered by then
ANSWER_POLL_S = 0.05
REMIND_AFTER_S = 6.0
ANSWER_WITHIN_S = 60.0


class Front:
    """What one person, or one officer, sees and presses.

    Args:
        world: the joints.
        profile: the active service.
        keep_waiting: see ``flow.serve``.
    """

    def __init__(self, world: World, profile: Profile, keep_waiting: Callable[[], bool]) -> None:
        self.world, self._profile, self._keep_waiting = world, profile, keep_waiting
        self._offered = profile.choices.offered()
        self._labels = tuple(Label(one.word, one.th, one.en) for one in self._offered.values())
        self.chosen: str | None = None
        self._chosen_s = 0.0
        self.is_ended = False

    def show(self, state: State) -> None:
        """Show ``state`` and what was chosen."""
        is_asking = self._profile.choices.default is Default.ASK
        title = self._profile.title
        self.world.panel.show(
            Screen(
                state,
                choice=self.chosen,
                labels=self._labels,
                title=Label(self._profile.id, title.th, title.en) if is_asking and state in NO_CARD_IS_IN else None,
            )
        )

    def look_while_reading(self, so_far: Record | None) -> None:
        """Take presses while a card is read (``ports.Tell``)."""
        self._look(State.READING)

    def wait_for_card(self) -> Insertion | None:
        """Return the next insertion; None where the wait was ended."""
        insertion = self.world.reader.wait_card(0)  # where there is no reader, nobody must be invited
        shown = State.STARTING
        while insertion is None:
            if shown is not self._idle():
                shown = self._idle()
                self.show(shown)
            self._look(shown)
            if not self._goes_on():
                break
            if self.world.panel.held() is Button.C:
                insertion, shown = self._menu(), State.MENU
                continue
            insertion = self.world.reader.wait_card(WAIT_S)
        return insertion

    def _menu(self) -> Insertion | None:
        """Show how the station stands, page by page; a card that goes in ends it, and is returned."""
        self._forget_presses()
        shown, at, end_s = pages(self.world.outbox.status(), self.world.writer.origin.station), 0, None
        while self._goes_on() and (end_s is None or self._now_s() < end_s):
            if end_s is None:
                self.world.panel.show(Screen(State.MENU, choice=f"{at + 1}/{len(shown)}", labels=shown[at]))
                end_s = self._now_s() + ANSWER_WITHIN_S
            button = self.world.panel.pressed()
            if button is Button.C:
                return None
            if button is not None:
                at, end_s = (at + (1 if button is Button.A else -1)) % len(shown), None
            elif (insertion := self.world.reader.wait_card(PRESS_WAIT_S)) is not None:
                return insertion
        return None

    def choose(self) -> str | None:
        """Ask with the service's choices; return the word, or None where the card left or nobody answered."""
        return self.ask(self._labels)

    def ask(self, labels: Sequence[Label], screen: Screen | None = None) -> str | None:
        """Show what each button stands for and return the word of the one that is pressed.

        Args:
            labels: of the buttons A, B, C.
            screen: what is shown meanwhile; None for the choices alone.

        Returns:
            None where the card left, a button that stands for nothing was pressed, or nobody answered in time.
        """
        self._forget_presses()  # a finger that bounced answers one question, not two
        words = {button: label.word for button, label in zip(Button, labels, strict=False)}
        end_s = self._now_s() + ANSWER_WITHIN_S
        self.world.panel.show(screen or Screen(State.CHOOSE, labels=tuple(labels)))
        while self._goes_on() and self._now_s() < end_s:
            button = self.world.panel.pressed()
            if button is not None:
                return words.get(button)
            if self.world.reader.wait_removed(PRESS_WAIT_S):
                break
        return None

    def await_answer(self, inquiry: Inquiry) -> Check:
        """Say that the agency is being asked, and return what is known when it answered, or its time is over."""
        self.world.panel.show(Screen(State.ASKING))
        while (found := inquiry.look(self._now_s())) is None:
            self._goes_on()  # whoever asked has to know what came of it, even where the station is to stop
            time.sleep(ANSWER_POLL_S)  # whatever becomes of the card meanwhile
        self._forget_presses()
        return found

    def change_cards(self, role: str) -> Insertion | None:
        """Ask for the card of ``role`` in place of the one that is in; None where it does not come, or C is pressed."""
        end_s, is_out = self._now_s() + ANSWER_WITHIN_S, False
        self.world.panel.show(Screen(State.SECOND_CARD, choice=role))
        while self._goes_on() and self._now_s() < end_s and self.world.panel.pressed() is not Button.C:
            is_out = is_out or self.world.reader.wait_removed(PRESS_WAIT_S)
            insertion = self.world.reader.wait_card(PRESS_WAIT_S) if is_out else None
            if insertion is not None:
                self.world.panel.show(Screen(State.READING))
                return insertion
        return None

    def wait_for_removal(self, from_s: float | None = None) -> None:
        """Wait until the card is out; remind once of it."""
        since_s = self._now_s() if from_s is None else from_s
        is_reminded = False
        while not self.world.reader.wait_removed(WAIT_S) and self._goes_on():
            if not is_reminded and self._now_s() - since_s > REMIND_AFTER_S:
                is_reminded = True
                self.world.panel.show(Screen(State.REMOVE_CARD))
        self._forget_presses()  # they were this person's, not the next one's

    def _forget_presses(self) -> None:
        while self.world.panel.pressed() is not None or self.world.panel.held() is not None:
            pass

    def _idle(self) -> State:
        if self._profile.approve is not None and self.world.session.handle is None:
            return State.OFFICER_FIRST
        inquiry = self.world.inquiry if self._profile.online is not None else None
        return State.IDLE_UNANSWERED if inquiry is not None and inquiry.is_down(self._now_s()) else State.IDLE

    def _look(self, state: State) -> None:
        """Take the presses; show ``state`` anew where they changed what is chosen. C takes a choice back.

        A choice that no card follows is forgotten: it would answer for the next person.
        """
        before = self.chosen
        if state is not State.READING and self._now_s() - self._chosen_s > ANSWER_WITHIN_S:
            self.chosen = None
        while (button := self.world.panel.pressed()) is not None:
            offered = self._offered.get(button.value)
            self.chosen = offered.word if offered else None if button is Button.C else self.chosen
            self._chosen_s = self._now_s()
        if self.chosen != before:
            self.show(state)

    def _goes_on(self) -> bool:
        self.is_ended = self.is_ended or not self._keep_waiting()
        return not self.is_ended

    def _now_s(self) -> float:
        return self.world.clock.now().monotonic_s
