"""Runs mutations at their sights, and each sight once without a mutation as the control."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.selftest.cases import Case, spread
from rolecall.selftest.mutation import Mutation, Sight
from rolecall.selftest.mutations import catalogue, selects
from rolecall.selftest.running import run_trials
from rolecall.selftest.trials import Result


@dataclass(frozen=True)
class Killed:
    """What became of a mutation: the sights at which it shows, and those that are not as they
    should be without any mutation.
    """

    mutation: Mutation
    seen_at: tuple[str, ...]
    looked_at: tuple[str, ...]
    spoiled: tuple[str, ...]
    seconds: float

    @property
    def is_dead(self) -> bool:
        """Whether the mutation was seen, at servers that are as they should be without it."""
        return bool(self.seen_at) and not self.spoiled

    def document(self) -> dict[str, Any]:
        """The row of the table, for machines."""
        about = {
            "name": self.mutation.name,
            "breaks": self.mutation.breaks,
            "requirement": self.mutation.requirement,
        }
        lists = {
            "seen_at": list(self.seen_at),
            "looked_at": list(self.looked_at),
            "spoiled": list(self.spoiled),
        }
        return {**about, **lists, "killed": self.is_dead, "seconds": self.seconds}


def sights_of(mutation: Mutation, cases: Iterable[Case]) -> tuple[Sight, ...]:
    """Where a mutation shows; of one that breaks a requirement's tests, the first fault that the
    suite alone can see.
    """
    if not mutation.requirement:
        return mutation.sights
    planted = (
        case
        for case in cases
        if case.planted == mutation.requirement and case.kind in ("fault", "flip")
    )
    seen = next(case for case in planted if not case.load and not case.intrusive)
    return (Sight(seen.name, selects(mutation.requirement)),)


def sample(size: int) -> list[Mutation]:
    """An evenly spread choice of mutations; the same one every time."""
    return spread(list(catalogue().values()), size)


def run(
    chosen: Iterable[Mutation],
    cases: list[Case],
    on_result: Callable[[Killed], None] = lambda killed: None,
) -> list[Killed]:
    """Run each mutation at its sights, and each sight once unmutated, one a core at a time."""
    known = {case.name: case for case in cases}
    places = {mutation.name: sights_of(mutation, cases) for mutation in chosen}
    sights = list(dict.fromkeys(sight for found in places.values() for sight in found))
    controls = dict(zip(sights, run_trials([sight.trial(known) for sight in sights]), strict=True))
    killed: dict[str, Killed] = {}
    said: dict[str, list[Result]] = {name: [] for name in places}

    def collect(result: Result) -> None:
        name = result.mutation
        said[name].append(result)
        if len(said[name]) == len(places[name]):
            killed[name] = _judged(catalogue()[name], places[name], controls, said[name])
            on_result(killed[name])

    run_trials(
        [sight.trial(known, name) for name, found in places.items() for sight in found], collect
    )
    return [killed[name] for name in places]


def _judged(
    mutation: Mutation,
    sights: Iterable[Sight],
    controls: Mapping[Sight, Result],
    said: Iterable[Result],
) -> Killed:
    """What became of a mutation, from what was said of its sights with it and without; no two of
    them are the same server.
    """
    by_server = {result.case.name: result for result in said}
    looked_at = {controls[sight].case.name: sight for sight in sights}
    return Killed(
        mutation,
        tuple(
            name for name, sight in looked_at.items() if not sight.is_as_expected(by_server[name])
        ),
        tuple(looked_at),
        tuple(
            name for name, sight in looked_at.items() if not sight.is_as_expected(controls[sight])
        ),
        round(sum(result.seconds for result in by_server.values()), 2),
    )
