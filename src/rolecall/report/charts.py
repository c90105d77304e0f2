"""Draws charts as inline SVG: scales, ticks, a frame and marks, whatever the data mean.

What is drawn gets its colours from classes that the page's style sheet gives them, so that one
drawing fits day, night and paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

#: Where in the drawing the frame is; the rest holds the labels of the axes.
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960, 62, 14, 10, 26

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Scale:
    """From values to a length, evenly or by their logarithms."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Where a value is; what lies outside is at the nearer end."""
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + (self.end - self.begin) * min(max(share, 0.0), 1.0)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values along it: at most about ``most``."""
        return (
            _decades(self.low, self.high, most)
            if self.logarithmic
            else _even(self.low, self.high, most)
        )


def across(low: float, high: float) -> Scale:
    """An even scale over the width of a frame."""
    return Scale(low, high if high > low else low + 1, LEFT, WIDTH - RIGHT)


def upward(high: float, height: float) -> Scale:
    """An even scale from 0 over the height of a frame, to a little more than ``high``."""
    return Scale(0.0, high * 1.06 or 1.0, height - BOTTOM, TOP)


def upward_log(low: float, high: float, height: float) -> Scale:
    """A logarithmic scale of half a decade or more over a frame, with room at both ends."""
    low, high = max(low, 1e-3) / 1.15, max(high, 1e-3) * 1.15
    if high / low < 3:
        middle = math.sqrt(low * high)
        low, high = middle / 1.8, middle * 1.8
    return Scale(low, high, height - BOTTOM, TOP, logarithmic=True)


def frame(
    label: str,
    height: float,
    x: Scale,
    y: Scale,
    layers: Iterable[str],
    *,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    x_ticks: Sequence[float] | None = None,
    classes: str = "",
) -> str:
    """A chart: its layers over a grid with labelled axes; ``label`` says in words what it shows,
    for who cannot see it.
    """
    grid = [
        f'<line class="grid" x1="{x.begin}" x2="{x.end}" y1="{_n(y(value))}" y2="{_n(y(value))}"/>'
        f'<text class="tick" x="{x.begin - 8}" y="{_n(y(value) + 4)}" '
        f'text-anchor="end">{escape(y_text(value))}</text>'
        for value in y.ticks(max(3, int(height / 36)))
    ]
    floor = y.begin
    axis = [f'<line class="axis" x1="{x.begin}" x2="{x.end}" y1="{floor}" y2="{floor}"/>']
    for value in x.ticks(10) if x_ticks is None else x_ticks:
        at = _n(x(value))
        axis.append(
            f'<line class="axis" x1="{at}" x2="{at}" y1="{floor}" y2="{floor + 4}"/>'
            f'<text class="tick" x="{at}" y="{floor + 18}" '
            f'text-anchor="middle">{escape(x_text(value))}</text>'
        )
    return (
        f'<svg class="{escape(f"chart {classes}".strip())}" viewBox="0 0 {WIDTH} {_n(height)}" '
        f'role="img" aria-label="{escape(label)}">'
        f"{''.join(grid)}{''.join(layers)}{''.join(axis)}</svg>"
    )


def line(points: Iterable[Point], x: Scale, y: Scale, style: str) -> str:
    """A line, with a gap where there is no value; a value alone is a dot."""
    drawn = []
    for piece in _pieces(points):
        if len(piece) == 1:
            drawn.append(
                f'<circle class="{style} dot" cx="{_n(x(piece[0][0]))}" cy="{_n(y(piece[0][1]))}" '
                'r="1.6"/>'
            )
        else:
            drawn.append(
                f'<path class="{style}" '
                f'd="M{"L".join(f"{_n(x(a))} {_n(y(b))}" for a, b in piece)}"/>'
            )
    return "".join(drawn)


def area(points: Iterable[Point], x: Scale, y: Scale, style: str) -> str:
    """What lies between a line and the floor."""
    drawn = []
    for piece in _pieces(points):
        path = "L".join(f"{_n(x(a))} {_n(y(b))}" for a, b in piece)
        drawn.append(
            f'<path class="{style}" d="M{_n(x(piece[0][0]))} '
            f'{y.begin}L{path}L{_n(x(piece[-1][0]))} {y.begin}Z"/>'
        )
    return "".join(drawn)


def box(
    x: Scale, y: Scale, corners: tuple[float, float, float, float], style: str, opacity: float = 1.0
) -> str:
    """A rectangle from (left, bottom) to (right, top), in values."""
    left, bottom, right, top = corners
    width, height = max(x(right) - x(left), 0.6), max(y(bottom) - y(top), 0.0)
    faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return (
        f'<rect class="{style}" x="{_n(x(left))}" y="{_n(y(top))}" width="{_n(width)}" '
        f'height="{_n(height)}"{faint}/>'
    )


def upright(value: float, x: Scale, y: Scale, style: str, text: str = "") -> str:
    """A vertical line at a value, with a word at its top."""
    at = x(value)
    anchor, offset = ("end", -5) if at > (x.begin + x.end) * 0.75 else ("start", 5)
    word = (
        f'<text class="note" x="{_n(at + offset)}" y="{TOP + 12}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
        if text
        else ""
    )
    return f'<line class="{style}" x1="{_n(at)}" x2="{_n(at)}" y1="{TOP}" y2="{y.begin}"/>{word}'


def mark(
    a: float, b: float, x: Scale, y: Scale, style: str, title: str, shape: str = "circle"
) -> str:
    """A point that says what it is when it is pointed at."""
    at, up = x(a), y(b)
    shapes = {
        "circle": f'<circle class="{style}" cx="{_n(at)}" cy="{_n(up)}" r="4.5">',
        "diamond": f'<path class="{style}" d="M{_n(at)} {_n(up - 6)}l6 6l-6 6l-6 -6Z">',
        "cross": f'<path class="{style}" d="M{_n(at - 5)} {_n(up - 5)}l10 10m0 -10l-10 10">',
    }
    drawn = shapes[shape]
    return f"{drawn}<title>{escape(title)}</title>{'</circle>' if shape == 'circle' else '</path>'}"


def _pieces(points: Iterable[Point]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for a, b in points:
        if b is not None:
            pieces[-1].append((a, b))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _even(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        finer = [
            value
            for power in powers
            for factor in factors
            if low <= (value := factor * 10.0**power) <= high
        ]
        if len(finer) > most and len(ticks) > 1:
            break
        ticks = finer
    return ticks


def _n(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
