"""The states in which a search found the server, in order, and what they mean together."""

from __future__ import annotations

import math

from rolecall.loadgen.capacity.state import SAME, State
from rolecall.loadgen.capacity.steps import StepJudgement

#: The unrest of a slump, in those of the quieter steps, and its least; the share of the step that
#: it lasts.
_RESTLESS, _LEAST, _LONG = 5.0, 0.01, 0.2
#: The rate, in that of a step, from which on others are as busy; and how many there have to be to
#: say what is usual.
_AS_BUSY, _FEW = 0.8, 3

#: The share of an answer above which the capacity is where the server did not always do as it was
#: believed to: it had an incident, broke down under an overload, or did not hold an answer that had
#: to be lowered.
_UNRULY = 0.955


class History:
    """All states; the last one is `now`."""

    def __init__(self) -> None:
        self._all = [State()]

    @property
    def now(self) -> State:
        """The present state."""
        return self._all[-1]

    @property
    def states(self) -> list[State]:
        """Those that were seen."""
        return [state for state in self._all if state.steps]

    @property
    def changes(self) -> int:
        """How often the server changed."""
        return len(self._all) - 1

    @property
    def incidents(self) -> int:
        """How many steps were at odds with all others of their time."""
        return sum(len(state.incidents) for state in self._all)

    def change(self, steps: list[StepJudgement]) -> None:
        """The server has changed: these steps are the first ones of another state."""
        self.now.end(steps)
        self._all.append(State(began=steps[0].second))
        for step in steps:
            self.now.learn(step)

    def carried_more(self, rate: float) -> bool:
        """Whether it carried clearly more than this in an earlier state."""
        return any(state.value > SAME * rate for state in self._all[:-1])

    def carried_less(self, rate: float) -> bool:
        """Whether it carried clearly less than this in an earlier state."""
        return any(SAME * state.value < rate for state in self._all[:-1])

    def is_slump(self, judged: StepJudgement) -> bool:
        """Whether the server carried less for a part of a step: the backlog rose and fell by far
        more than it does in others.

        Or its pace did, where it was busy throughout. A pause is another matter: the backlog rises
        at once, and is worked off.
        """
        steps = [
            step
            for state in self.states
            for step in state.steps
            if step.step.rate > _AS_BUSY * judged.step.rate
        ]
        usual = sorted(_unrest(step) for step in steps if step.saturated == judged.saturated)
        if (
            len(usual) < _FEW
            or judged.error < _LEAST
            or _unrest(judged) <= _RESTLESS * usual[len(usual) // 4]
        ):
            return False
        return (judged.dull if judged.saturated else judged.ascent) >= _LONG * len(
            judged.step.slices
        )

    @property
    def slumps(self) -> list[StepJudgement]:
        """All those steps."""
        return [judged for state in self.states for judged in state.steps if self.is_slump(judged)]

    def extremes(self) -> tuple[float, float]:
        """The least and the most that the server carried."""
        values = [value for state in self.states for value in state.values()]
        return min(values), max(values)

    def interval(self, rate: float | None) -> tuple[float, float, float]:
        """The capacity's interval over all like states; around ``rate`` where that is known."""
        now = self.now.value
        same = [state for state in self.states if state.value < SAME * now < SAME**2 * state.value]
        found = [state.interval() for state in same or [self.now]]
        answer = found[-1][1] if rate is None else rate
        low, high = min(low for low, _, _ in found), max(high for _, _, high in found)
        if (
            answer < low
            or self.changes
            or self.incidents
            or self.slumps
            or self.now.breaks_down(answer)
        ):
            low = min(low, _UNRULY * answer)
        return low, answer, max(answer, high)

    def sentence(self) -> str:
        """What the server carried, and when."""
        return "; ".join(state.sentence() for state in self.states)


def _unrest(judged: StepJudgement) -> float:
    """How unevenly the backlog changed, whatever the length of the step."""
    return judged.error * math.sqrt(judged.step.seconds)
