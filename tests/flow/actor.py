"""People in front of the station: who sees a screen of some state does what they came to do then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

from appliance.flow import serve
from appliance.panel.screens import Button, Screen, State
from appliance.ports import World
from appliance.simulate.card import VirtualCard
from tests.flow.stage import Stage

_MAX_TURNS = 40

Deed: TypeAlias = Callable[["Actor"], None]


@dataclass
class Actor:
    """Somebody with cards and fingers (``ports.Panel``).

    Args:
        stage: the station.
        deeds: what to do when a screen of a state shows; a list is done one by one, each time the state shows.
    """

    stage: Stage
    deeds: Mapping[State, list[Deed]]

    def show(self, screen: Screen) -> None:
        self.stage.panel.show(screen)
        waiting = self.deeds.get(screen.state, [])
        if waiting:
            waiting.pop(0)(self)
        elif screen.reference or screen.state is State.REMOVE_CARD:
            self.stage.slot.remove()

    def pressed(self) -> Button | None:
        return self.stage.panel.pressed()

    def held(self) -> Button | None:
        return self.stage.panel.held()


def press(button: Button) -> Deed:
    return lambda actor: actor.stage.panel.press(button)


def pull(actor: Actor) -> None:
    actor.stage.slot.remove()


def change_to(card: VirtualCard) -> Deed:
    """Take the card out that is in, and put another one in."""

    def change(actor: Actor) -> None:
        actor.stage.slot.remove()
        actor.stage.slot.insert(card)

    return change


def later(**time: float) -> Deed:
    return lambda actor: actor.stage.later(**time)


def play(stage: Stage, card: VirtualCard, deeds: Mapping[State, list[Deed]] | None = None) -> Screen:
    """Put a card in, and return the last screen with a verdict of that visit."""
    stage.slot.insert(card)
    before = len(stage.panel.screens)
    actor = Actor(stage, {state: list(todo) for state, todo in (deeds or {}).items()})
    world: World = replace(stage.world(), panel=actor)
    turns = count()
    serve(world, stage.profile, lambda: next(turns) < _MAX_TURNS)
    assert next(turns) < _MAX_TURNS, "nobody did what the station waits for"
    shown = [screen for screen in stage.panel.screens[before:] if screen.reference]
    return shown[-1] if shown else stage.panel.screens[-1]
