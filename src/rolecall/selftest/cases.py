"""The cases of the self-test: the reference server with each fault, variant and load."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

#: Trouble that is a finding of its own.
_OWN_FINDING = {
    "wrong-content-type": "RESPONSE-json",
    "truncated-json-now-and-then": "RESPONSE-json",
}
#: What finds the faults that only show under load: words of ``rolecall load``. Under the same load
#: nothing is held against the baseline.
LOADS: dict[str, tuple[str, ...]] = {
    "permissions-open-when-busy": ("guarded", "--users=60"),
    "expired-let-in-when-busy": ("guarded", "--users=60"),
    "expired-unknown-when-busy": ("guarded", "--users=60"),
    "verified-tokens-kept-when-busy": ("guarded", "--users=60"),
    "answers-kept-by-user-when-busy": ("guarded", "--users=60"),
    "answers-kept-by-path-when-busy": ("guarded", "--users=60"),
    "head-open-when-busy": ("guarded", "--users=60"),
    "spelled-paths-open-when-busy": ("guarded", "--users=60"),
    "short-lists-open-when-busy": ("guarded", "--users=60"),
    "overriding-methods-open-when-busy": ("guarded", "--users=60"),
    "things-mixed-up-when-busy": ("guarded", "--users=60"),
    "lists-empty-when-busy": ("guarded", "--users=60"),
    "lists-mixed-up-when-busy": ("guarded", "--users=60"),
    "denied-updates-done-when-busy": ("guarded", "--users=60"),
    "any-password-when-busy": ("guarded", "--users=60"),
    "passwords-remembered-when-busy": ("guarded", "--users=60"),
    "clocks-differ": ("refresh-get", "--rate=250"),
    "one-token-in-300-of-another-user": ("issuance", "--rate=150"),
    "refresh-tokens-run-out": ("refresh-get", "--rate=250"),
    "race-kills-both-winners": ("refresh-race", "--rate=20"),
    "race-gives-another-users-token": ("refresh-race", "--rate=50"),
}
#: A server that makes it hard to tell a fault from what it may do: nothing may be held against it
#: in any scenario, and the faults that only load shows are found there as well.
TRYING = ("lone-sessions", "refresh-revokes-access-tokens", "lost-answers", "short-lifetimes")
#: Those of them that are lawful servers for a run without load as well.
_LAWFUL = ("lone-sessions", "refresh-revokes-access-tokens")
_SCENARIOS = (
    "issuance",
    "refresh-get",
    "refresh-post",
    "refresh-race",
    "session",
    "guarded",
    "time-to-deny",
    "mixed",
)
_GENTLE = "--rate=40"
#: Those that let in for a while what was revoked.
_REMEMBERING = (
    *(f"remembers-credentials-{time}" for time in ("50ms", "1s", "60s")),
    "workers-remember-credentials",
)


@dataclass(frozen=True)
class Case:
    """One server to run the suite against: ``kind`` is baseline, fault, flip, legal, trouble or
    lint; loaded is an innocent one under load.

    A probe is any server, for mutations of the suite.

    ``load`` are the words of the load that it is put under in place of the suite; ``switches`` are
    the server's options where its name is not one of them. ``report`` is the public report that a
    fault is modelled on.
    """

    name: str
    kind: str
    planted: str = ""
    description: str = ""
    load: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    report: str = ""

    @property
    def intrusive(self) -> bool:
        """Whether it takes tests to see it that are opt-in."""
        return "intrusive" in self.needs

    @property
    def needs(self) -> frozenset[str]:
        """What a tester has to be given to see it, as the server's list says."""
        said = re.search(r"\(needs ([^)]+)\)$", self.description)
        return frozenset(said[1].split(", ")) if said else frozenset()

    @property
    def options(self) -> list[str]:
        """The switch of ``rolecall serve``, or several."""
        if self.switches or self.kind in ("baseline", "loaded", "probe"):
            return list(self.switches)
        return ["--fault" if self.kind in ("fault", "flip") else "--variant", self.name]


def cases() -> list[Case]:
    """Everything that the reference server can be, asked of its command line, but for what is there
    to be measured.
    """
    listed = [Case("baseline", "baseline", description="The reference server as it is.")]
    for option in ("--list-variants", "--list-faults"):
        command = [sys.executable, "-P", "-m", "rolecall", "serve", option]
        lines = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for name, second, description, report in (line.split("\t") for line in lines):
            if second == "load":
                continue
            if second == "under-load":
                scenario = "time-to-deny" if name in _REMEMBERING else "mixed"
                listed.append(_loaded(f"{name} under {scenario}", description, scenario, name))
                if name in _LAWFUL:
                    listed.append(Case(name, "legal", "", description))
                continue
            if option == "--list-faults":
                kind = "flip" if name.startswith("flip-") else "fault"
                listed.append(
                    Case(name, kind, second, description, LOADS.get(name, ()), report=report)
                )
            else:
                listed.append(Case(name, second, _OWN_FINDING.get(name, ""), description))
    description = "The reference server as it is, under load."
    loads = dict.fromkeys(LOADS.values())
    listed += [
        Case(f"baseline under {' '.join(load)}", "loaded", "", description, load) for load in loads
    ]
    return listed + list(_trying(listed))


def _trying(listed: list[Case]) -> Iterator[Case]:
    """A server with every `TRYING` variant, in every scenario; and with a fault for each load."""
    what = f"All of this: {', '.join(TRYING)}."
    for scenario in _SCENARIOS:
        yield _loaded(f"trying server under {scenario}", what, scenario, *TRYING)
    first = {case.load: case.name for case in reversed(listed) if case.kind == "fault"}
    for case in listed:
        if case.kind == "fault" and case.load and first[case.load] == case.name:
            switches = (*_variants(*TRYING), "--fault", case.name)
            description = f"{case.description} On a trying server."
            yield replace(
                case,
                name=f"{case.name} on a trying server",
                description=description,
                switches=switches,
            )


def _loaded(name: str, description: str, scenario: str, *variants: str) -> Case:
    """A lawful server under a light load."""
    return Case(name, "loaded", "", description, (scenario, _GENTLE), tuple(_variants(*variants)))


def _variants(*names: str) -> Iterator[str]:
    for name in names:
        yield from ("--variant", name)


def sample(everything: list[Case], size: int) -> list[Case]:
    """The baseline and an evenly spread choice of the others; the same one every time."""
    return everything[:1] + spread(everything[1:], size)


def spread(things: list[Any], size: int) -> list[Any]:
    """An evenly spread choice of so many things, or all there are; the same one every time."""
    size = min(size, len(things))
    return [things[index * len(things) // size] for index in range(size)]
