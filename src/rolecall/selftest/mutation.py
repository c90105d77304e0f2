"""A mutation of the suite: what it breaks, where it must be noticed, and how it is applied.

A `Mutation` breaks a check, a comparison, an observation or a control in the process of one run. A
`Sight` is a server at which that shows: a fault that is not found any more, an innocent that is
blamed, or a probe, a server of which a requirement must stay undecided and now is not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rolecall.selftest.cases import Case
from rolecall.selftest.trials import Result, Trial


@dataclass(frozen=True)
class Sight:
    """A server, by the name of its self-test case or as a case of its own, and the part of the
    suite that is run against it.

    ``expects`` are outcomes by requirement or test, and perhaps the ``verdict``; a fault or an
    innocent needs none.
    """

    server: str | Case
    select: str = ""
    expects: tuple[tuple[str, str], ...] = ()
    target: str = ""
    without: str = ""
    options: tuple[str, ...] = ()

    def trial(self, known: Mapping[str, Case], mutation: str = "") -> Trial:
        """The run that shows it."""
        case = self.server if isinstance(self.server, Case) else known[self.server]
        select = ("-k", self.select) if self.select else ()
        return Trial(case, (*select, *self.options), self.target, self.without, mutation)

    def is_as_expected(self, said: Result) -> bool:
        """Whether the selected part of the suite reported of this server what it should."""
        if said.crash:
            return False
        if self.expects:
            seen = said.outcomes | {"verdict": said.verdict}
            return all(seen.get(name) == outcome for name, outcome in self.expects)
        if said.case.kind in ("fault", "flip"):
            return said.localised
        return not said.found and not said.undecided


@dataclass(frozen=True)
class Mutation:
    """One way in which the suite could be broken: ``breaks`` is the sentence, ``patch`` does it in
    the process that it is called in.

    One that breaks all tests of a ``requirement`` is seen at the first fault that is planted for
    it.
    """

    name: str
    breaks: str
    patch: Callable[[], None] = field(repr=False)
    sights: tuple[Sight, ...] = ()
    requirement: str = ""

    def apply(self) -> None:
        """Break the suite in this process."""
        self.patch()


def nothing(*arguments: Any, **options: Any) -> None:
    """A check that checks nothing."""


async def nothing_later(*arguments: Any, **options: Any) -> None:
    """The same, to be awaited."""


def constant(value: Any) -> Callable[..., Any]:
    """A function that always gives the same."""
    return lambda *arguments, **options: value


def constant_later(value: Any) -> Callable[..., Any]:
    """The same, to be awaited."""

    async def constant(*arguments: Any, **options: Any) -> Any:
        return value

    return constant


def member(owner: Any, name: str, new: Any) -> Callable[[], None]:
    """Put something else in the place of a class's or a module's member."""
    return lambda: setattr(owner, name, new)


def function(old: Callable[..., Any], new: Callable[..., Any]) -> Callable[[], None]:
    """Put another function in the place of one, wherever it was imported to. Test modules are not
    imported yet.
    """

    def patch() -> None:
        for module in [
            module for name, module in sys.modules.items() if name.startswith("rolecall.")
        ]:
            for name in [name for name, value in vars(module).items() if value is old]:
                setattr(module, name, new)

    return patch
