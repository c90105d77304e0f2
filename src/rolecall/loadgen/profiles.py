"""Load profiles: names for the shapes of load tests, each of which stands for a schedule.

The names and shapes are those of k6 and Grafana (https://grafana.com/docs/k6/latest/testing-guides/
test-types/). A profile is written ``NAME``, ``NAME:TIME``, ``NAME:Nx`` or ``NAME:NxTIME``: N times
the usual rate, for so long. It is turned into a text for ``--rate``, which a person may change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from rolecall.errors import UsageError, suggest
from rolecall.loadgen.schedule import duration

_WHERE = "--profile"
_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)x)?(\d.*[a-z])?")
#: No profile asks for more than so many times the usual rate; a mistyped figure would.
_MOST_TIMES = 1000.0
#: Seconds that a ramp to or from the main part takes at most, as in k6's examples.
_LONGEST_RAMP = 300.0

#: A rate in a shape: none, the usual one, or so many times that.
_Level = Literal["none", "usual", "peak"]


@dataclass(frozen=True)
class _Phase:
    """The rate goes from ``low`` to ``high``; ``share`` is of the main part's length, if less than
    1 that of a ramp.
    """

    low: _Level
    high: _Level
    share: float = 1.0


@dataclass(frozen=True)
class ProfileShape:
    """A kind of load test: what it asks, and its schedule.

    Attributes:
        times: of the usual rate, unless a person says otherwise.
        seconds: of the main part, likewise.
        rises: whether ``times`` has to be more than 1.
    """

    question: str
    times: float
    seconds: float
    phases: tuple[_Phase, ...]
    rises: bool = False


_UP, _HOLD, _DOWN = (
    _Phase("none", "peak", 1 / 6),
    _Phase("peak", "peak"),
    _Phase("peak", "none", 1 / 6),
)
_USUAL = _Phase("usual", "usual")

SHAPES: Mapping[str, ProfileShape] = {
    "smoke": ProfileShape("does it work at all?", 0.1, 30, (_HOLD,)),
    "average": ProfileShape("is it good on a usual day?", 1, 300, (_UP, _HOLD, _DOWN)),
    "stress": ProfileShape(
        "is it good on a busy day?",
        2,
        300,
        (_Phase("none", "peak", 1 / 3), _HOLD, _DOWN),
        rises=True,
    ),
    "soak": ProfileShape("does it stay good for hours?", 1, 3600, (_UP, _HOLD, _DOWN)),
    "spike": ProfileShape(
        "does it survive a rush, and recover?", 10, 30, (_USUAL, _HOLD, _USUAL), rises=True
    ),
    "breakpoint": ProfileShape(
        "where does it break?", 10, 600, (_Phase("usual", "peak"),), rises=True
    ),
}
#: The one that ends where an objective can no longer be met.
BREAKPOINT = "breakpoint"


@dataclass(frozen=True)
class Profile:
    """A shape by its name, with how many times the usual rate it asks for, and for how long."""

    name: str
    times: float
    seconds: float

    @classmethod
    def parse(cls, text: str, main_part: str | None = None) -> Self:
        """The profile that a person wrote.

        Args:
            main_part: how long the main part is (``--duration``); None where only the text, or the
                shape, says so.

        Raises:
            UsageError: it cannot be read, its name is unknown, or its length is said twice.
        """
        name, _, rest = text.replace(" ", "").partition(":")
        if name not in SHAPES:
            raise UsageError(
                _WHERE, f"unknown profile {name!r}", f"{_hint(name)}Known: {', '.join(SHAPES)}."
            )
        shape, match = SHAPES[name], _FORM.fullmatch(rest)
        if match is None:
            usual = cls(name, shape.times, shape.seconds)
            raise UsageError(_WHERE, f"{text!r} is not a profile", f"Write it as {usual}.")
        times, length = match.groups()
        if length and main_part:
            raise UsageError("--duration", f"--profile {text} says how long", "Give one of them.")
        said = length or main_part
        chosen = cls(
            name,
            float(times) if times else shape.times,
            duration(said, _WHERE) if said else shape.seconds,
        )
        least = 1 if shape.rises else 0
        if not least < chosen.times <= _MOST_TIMES:
            raise UsageError(
                _WHERE,
                f"{text!r}: a {name} has more than {least} and at most {_MOST_TIMES:g} times the "
                "usual rate",
                f"Write it as {cls(name, shape.times, chosen.seconds)}.",
            )
        return chosen

    @property
    def length(self) -> str:
        """How long the main part is, as one writes it: ``2h``."""
        return _length(self.seconds)

    def __str__(self) -> str:
        return f"{self.name}:{_digits(self.times)}x{self.length}"

    def schedule(self, rate: str) -> str:
        """The text for ``--rate`` that the profile stands for, such as ``100:30s,1000:30s``.

        Args:
            rate: the usual rate, in arrivals a second.

        Raises:
            UsageError: the rate is not one number.
        """
        try:
            usual = float(rate)
        except ValueError:
            usual = math.nan
        if not 0 < usual < math.inf:
            raise UsageError(
                "--rate",
                f"{rate!r} is not the usual rate, which --profile needs",
                "Give one number above 0, such as --rate 100.",
            )
        rates = {"none": 0.0, "usual": usual, "peak": usual * self.times}
        return ",".join(self._part(phase, rates) for phase in SHAPES[self.name].phases)

    def _part(self, phase: _Phase, rates: Mapping[str, float]) -> str:
        low, high = (_digits(rates[level]) for level in (phase.low, phase.high))
        is_ramp = phase.share < 1
        seconds = min(phase.share * self.seconds, _LONGEST_RAMP) if is_ramp else self.seconds
        return f"{low if low == high else f'{low}..{high}'}:{_length(seconds)}"


def _hint(name: str) -> str:
    """A nearer name, where there is one."""
    said = suggest(name, SHAPES)
    return "" if said.startswith("Known") else f"{said} "


def _length(seconds: float) -> str:
    """A length as one writes it: ``2h``, ``5m``, ``90s``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{_digits(seconds / size)}{unit}"
    return f"{_digits(seconds)}s"


def _digits(value: float) -> str:
    """A figure to a thousandth, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
