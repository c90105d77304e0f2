"""Draws the charts of load.json and capacity.json.

Longer than 400 lines because each chart is a function here, and they share their scales and words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from rolecall.histogram import Histogram
from rolecall.report import charts
from rolecall.report.charts import Point, Scale
from rolecall.report.load_frame import scrolling

#: More points than this are drawn as fewer: a point for several seconds.
_MOST_POINTS = 480
#: Rows of the shaded background of response times.
_SHADES = 30
#: The times that have a line: column, class, name.
_LINES = (
    ("max_ms", "max", "max"),
    ("p99.9_ms", "p999", "p99.9"),
    ("p99_ms", "p99", "p99"),
    ("p90_ms", "p90", "p90"),
    ("p50_ms", "p50", "p50"),
)
#: From here on an even axis would hide what most requests got.
_SPREAD = 25


def milliseconds(value: float) -> str:
    """A time in the unit that a person would choose, to three digits."""
    if not value:
        return "0"
    if value < 1:
        return f"{_digits(value * 1000)} µs"
    return f"{_digits(value)} ms" if value < 1000 else f"{_digits(value / 1000)} s"


def number(value: float) -> str:
    """A count or a rate, to what matters."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else _digits(value)


class Times:
    """The timeline of a run, drawn: all charts share the axis of time."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        columns = document["timeline"]
        starts = columns["second"]
        width = starts[1] - starts[0] if len(starts) > 1 else 1.0
        self._fold = max(1, math.ceil(len(starts) / _MOST_POINTS))
        self.step = width * self._fold
        end = len(starts) * width
        # of the last second only a part may belong to the run
        self._end = min(end, max(float(document["duration_s"]), starts[-1])) or end
        self._begins = starts[:: self._fold]
        if len(self._begins) > 1 and self._end - self._begins[-1] < self.step / 2:
            self._begins = self._begins[:-1]
        self._x = charts.across(0.0, self._end)
        self._ends = [*self._begins[1:], self._end]
        self._middles = [
            (begin + till) / 2 for begin, till in zip(self._begins, self._ends, strict=True)
        ]
        self._totals = {
            name: self._folded(columns[name], sum)
            for name in ("scheduled", "sent", "requests", "errors", "throttled", "violations")
        }
        self._counts = {  # a second
            name: [
                total / (till - begin)
                for total, begin, till in zip(totals, self._begins, self._ends, strict=True)
            ]
            for name, totals in self._totals.items()
        }
        # The highest of several seconds: a bad one does not disappear among good ones.
        self._slow = {
            name: self._folded(columns[name], max) if columns.get(name) else []
            for name, *_ in _LINES
        }
        self._counts["good"] = [
            max(requests - errors - throttled, 0.0)
            for requests, errors, throttled in zip(
                *(self._counts[name] for name in ("requests", "errors", "throttled")), strict=True
            )
        ]

    def rate(self) -> str:
        """What was scheduled, sent and answered well, per second."""
        most = max([1.0, *self._counts["scheduled"], *self._counts["sent"], *self._counts["good"]])
        y = charts.upward(most, 210)
        good = self._points("good")
        layers = [charts.area(good, self._x, y, "rate-area"), charts.line(good, self._x, y, "rate")]
        keys = [key("rate", "good answers")]
        if self._document["scheduled"]:
            layers += [
                charts.line(self._points("sent"), self._x, y, "sent"),
                charts.line(self._points("scheduled"), self._x, y, "scheduled"),
            ]
            keys += [key("sent", "sent"), key("scheduled", "scheduled", "dashed")]
        return _figure(
            ["Per second: ", *keys],
            self._frame("Requests per second over time", 210, y, layers, number),
        )

    def response(self) -> str:
        """Percentiles of the response time over a shade of how many requests took as long."""
        histogram = Histogram.of_load(self._document)
        if not histogram.count:
            return "<p>Nothing was answered.</p>"
        y = charts.upward_log(
            histogram.percentile(0.5) * 1000,
            max(histogram.maximum * 1000, *self._slow["p99_ms"], 0.01),
            300,
        )
        layers = [self._shade(y)]
        keys = []
        for name, style, title in _LINES:
            if self._slow[name]:
                points: list[Point] = [
                    (at, value or None)
                    for at, value in zip(self._middles, self._slow[name], strict=True)
                ]
                layers.append(charts.line(points, self._x, y, style))
                keys.append(key(style, title, "dashed" if style == "max" else ""))
        several = f" A point is the highest of {number(self.step)} s." if self._fold > 1 else ""
        words = [
            "Response time from when a request was due: ",
            *reversed(keys),
            key("heat", "how many requests", "block"),
            several,
        ]
        return _figure(
            words, self._frame("Response time percentiles over time", 300, y, layers, milliseconds)
        )

    def trouble(self) -> str:
        """Errors, throttled requests and violations per second, or a sentence without any."""
        names = [name for name in ("errors", "throttled", "violations") if any(self._counts[name])]
        if not names:
            return '<p class="yes">No errors, nothing throttled, no violations.</p>'
        errors, throttled = self._counts["errors"], self._counts["throttled"]
        y = charts.upward(
            max(failed + slowed for failed, slowed in zip(errors, throttled, strict=True)) or 1.0,
            150,
        )
        layers = []
        for index, (failed, slowed) in enumerate(zip(errors, throttled, strict=True)):
            left, right = self._begins[index], self._ends[index]
            if failed:
                layers.append(charts.box(self._x, y, (left, 0, right, failed), "error"))
            if slowed:
                above = (left, failed, right, failed + slowed)
                layers.append(charts.box(self._x, y, above, "throttled"))
        for index, (at, value) in enumerate(
            zip(self._middles, self._counts["violations"], strict=True)
        ):
            if value:
                title = f"{self._count('violations', index)} violations"
                layers.append(charts.mark(at, 0, self._x, y, "violation", title, "diamond"))
        styles = {"errors": "error", "throttled": "throttled", "violations": "violation"}
        keys = [key(styles[name], name, "block") for name in names]
        return _figure(
            ["Per second: ", *keys],
            self._frame("Errors, throttled and violations over time", 150, y, layers, number),
        )

    def data(self) -> dict[str, Any]:
        """What the page's script shows where the pointer is."""
        rates = [name for name in ("scheduled", "sent") if self._document["scheduled"]] + ["good"]
        times = [(name, title) for name, _, title in reversed(_LINES) if self._slow[name]]
        counts = [name for name in ("errors", "throttled", "violations") if any(self._counts[name])]
        titles = {"good": "good answers"}
        rows = []
        for index, begin in enumerate(self._begins):
            span = (
                f"{number(begin)} s"
                if self.step == 1
                else f"{number(begin)} .. {number(self._ends[index])} s"
            )
            rows.append(
                [
                    span,
                    *(f"{number(self._counts[name][index])}/s" for name in rates),
                    *(milliseconds(self._slow[name][index]) for name, _ in times),
                    *(self._count(name, index) for name in counts),
                ]
            )
        return {
            "width": charts.WIDTH,
            "left": charts.LEFT,
            "right": charts.WIDTH - charts.RIGHT,
            "top": charts.TOP,
            "bottom": charts.BOTTOM,
            "span": self._end,
            "step": self.step,
            "columns": [
                *(titles.get(name, name) for name in rates),
                *(title for _, title in times),
                *counts,
            ],
            "rows": rows,
        }

    def _count(self, name: str, index: int) -> str:
        """How many there were at a point."""
        return number(round(self._totals[name][index]))

    def _folded(
        self, values: Sequence[float], into: Callable[[Iterable[float]], float]
    ) -> list[float]:
        """A value for each point; a last second of less than half is part of the point before."""
        edges = [number * self._fold for number in range(len(self._begins))] + [len(values)]
        return [into(values[at:till]) for at, till in pairwise(edges)]

    def _points(self, name: str) -> list[Point]:
        return list(zip(self._middles, self._counts[name], strict=True))

    def _frame(
        self,
        label: str,
        height: float,
        y: Scale,
        layers: Sequence[str],
        text: Callable[[float], str],
    ) -> str:
        violations = [
            charts.upright(at, self._x, y, "violation")
            for at, value in zip(self._middles, self._counts["violations"], strict=True)
            if value
        ]
        return charts.frame(
            label,
            height,
            self._x,
            y,
            [*violations, *layers],
            x_text=_clock,
            y_text=text,
            classes="time",
        )

    def _shade(self, y: Scale) -> str:
        drawn = []
        ratio = math.log(y.high / y.low)
        for batch in self._document["batches"]:
            rows = [0] * _SHADES
            for ms, count in batch["response_ms"]:
                rows[min(max(int(_SHADES * math.log(ms / y.low) / ratio), 0), _SHADES - 1)] += count
            most = max(rows) or 1
            for row, count in enumerate(rows):
                if count:
                    low, high = (
                        y.low * math.exp(ratio * edge / _SHADES) for edge in (row, row + 1)
                    )
                    corners = (batch["begin_s"], low, batch["end_s"], high)
                    drawn.append(
                        charts.box(
                            self._x, y, corners, "heat", 0.04 + 0.3 * math.sqrt(count / most)
                        )
                    )
        return "".join(drawn)


def percentiles(document: Mapping[str, Any]) -> str:
    """The percentile curve, the rarer the further to the right, with the limits that were set."""
    # Longer than 40 lines because scales, layers and words of the chart rest on each other.
    histogram = Histogram.of_load(document)
    if not histogram.count:
        return ""
    most = max(histogram.count, 100)
    x = Scale(1.0, most * 1.2, charts.LEFT, charts.WIDTH - charts.RIGHT, logarithmic=True)
    places = [most ** (step / 240) for step in range(241)]
    levels = [100 * (1 - 1 / place) for place in places]
    values = [seconds * 1000 for seconds in histogram.percentiles(levels)]
    values[-1] = document["response_ms"]["max"]
    service = _known_percentiles(document["service_ms"], most)
    limits = [
        objective
        for objective in document["objectives"]
        if objective["unit"] == "ms"
        and objective["measure"] != "mean"
        and not objective.get("request")  # the curve is that of all requests
    ]
    top = max([*values, *(value for _, value in service), *(limit["limit"] for limit in limits)])
    spread = top > _SPREAD * max(document["response_ms"]["p50"], 0.001)
    y = charts.upward_log(values[0], top, 280) if spread else charts.upward(top, 280)
    layers = [
        charts.line(service, x, y, "service"),
        charts.line(zip(places, values, strict=True), x, y, "response"),
    ]
    layers += [_limit_mark(limit, most, x, y) for limit in limits]
    ticks = [1.0, 2.0, *(10.0**power for power in range(1, math.floor(math.log10(most)) + 1))]
    words = [
        "At most so long took: ",
        key("p99", "response time"),
        key("rate", "service time", "dashed"),
    ]
    if limits:
        words.append('<span class="small">&#x2715; a limit</span>')
    drawn = charts.frame(
        "Percentile curve of response and service time",
        280,
        x,
        y,
        layers,
        x_text=_share,
        y_text=milliseconds,
        x_ticks=ticks,
    )
    return _figure(words, drawn)


def _limit_mark(objective: Mapping[str, Any], most: int, x: Scale, y: Scale) -> str:
    """A cross at the percentile and the milliseconds of an objective."""
    measure = objective["measure"]
    place = most if measure == "max" else min(100 / (100 - float(measure[1:])), most)
    title = (
        f"{objective['objective']}: {milliseconds(objective['observed'] or 0)}, "
        f"{'held' if objective['held'] else 'did not hold'}"
    )
    style = "limit" if objective["held"] else "limit broken"
    return charts.mark(place, objective["limit"], x, y, style, title, "cross")


def capacity(document: Mapping[str, Any]) -> str:
    """The capacity curve: what each step found at its rate; the capacity and the knee."""
    by_clients = document["axis"] == "concurrency"
    axis = "concurrency" if by_clients else "rate"
    steps = sorted(
        (step for step in document["steps"] if axis in step), key=lambda step: float(step[axis])
    )
    if not steps:
        return "<p>No step was taken.</p>"
    x = charts.across(0.0, steps[-1][axis] * 1.03)
    return "".join(
        [
            _times_by_rate(document, steps, axis, x),
            _throughput_by_rate(document, steps, axis, x),
            _trouble_by_rate(steps, axis, x),
        ]
    )


def _times_by_rate(
    document: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], axis: str, x: Scale
) -> str:
    known = [step[name] for step in steps for name in ("p50_ms", "p99_ms") if step[name]]
    if not known:
        return ""
    y = charts.upward_log(min(known), max(known), 260)
    layers = _found(document, axis, x, y, named=True)
    for name, style in (("p50_ms", "p50"), ("p99_ms", "p99")):
        layers.append(
            charts.line([(step[axis], step[name]) for step in steps if step[name]], x, y, style)
        )
    for step in steps:
        if step["p99_ms"]:
            layers.append(_step(step, step[axis], step["p99_ms"], x, y))
    words = [
        "Response time by ",
        f"{_AXES[axis]}: ",
        key("p50", "p50"),
        key("p99", "p99"),
        "a point is a step: green held, a cross did not",
    ]
    label = f"Response time by {_AXES[axis]}"
    return _figure(
        words, charts.frame(label, 260, x, y, layers, x_text=number, y_text=milliseconds)
    )


def _throughput_by_rate(
    document: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], axis: str, x: Scale
) -> str:
    fit = document.get("usl")
    curve: list[Point] = []
    if fit and axis == "concurrency":
        curve = [(n, _usl(fit, n)) for n in (1 + (x.high - 1) * part / 100 for part in range(101))]
    most = max([1.0, *(step["throughput"] for step in steps), *(value or 0 for _, value in curve)])
    y = charts.upward(min(1.4 * most, max(most, x.high)) if axis == "rate" else most, 190)
    layers = _found(document, axis, x, y)
    keys = [key("rate", "good answers a second")]
    if axis == "rate":
        edge = min(x.high, y.high)
        layers.append(charts.line([(0, 0), (edge, edge)], x, y, "scheduled"))
        keys.append(key("scheduled", "what was asked", "dashed"))
    if curve:
        layers.append(charts.line(curve, x, y, "scheduled"))
        keys.append(key("scheduled", "Universal Scalability Law", "dashed"))
    else:
        layers.append(
            charts.line([(step[axis], step["throughput"]) for step in steps], x, y, "rate")
        )
    layers += [_step(step, step[axis], step["throughput"], x, y) for step in steps]
    label = f"Throughput by {_AXES[axis]}"
    return _figure(
        [f"{label}: ", *keys], charts.frame(label, 190, x, y, layers, x_text=number, y_text=number)
    )


def _trouble_by_rate(steps: Sequence[Mapping[str, Any]], axis: str, x: Scale) -> str:
    def share(step: Mapping[str, Any], name: str) -> float:
        ended = step["throughput"] * step["seconds"] + step["errors"] + step["throttled"]
        return 100 * float(step[name]) / ended if ended else 0.0

    names = {
        name: style
        for name, style in (("errors", "error"), ("throttled", "throttled"))
        if any(step[name] for step in steps)
    }
    if not names:
        return '<p class="yes">No errors, and nothing throttled, at any step.</p>'
    y = charts.upward(max(share(step, name) for step in steps for name in names), 130)
    half = (x.high - x.low) / 400
    layers = []
    for step in steps:
        floor = 0.0
        for name, style in names.items():
            value = share(step, name)
            if value:
                layers.append(
                    charts.box(
                        x, y, (step[axis] - half, floor, step[axis] + half, floor + value), style
                    )
                )
            floor += value
    words = [
        "Per cent of requests: ",
        *(key(style, name, "block") for name, style in names.items()),
    ]
    label = f"Errors and throttled requests by {_AXES[axis]}"
    return _figure(
        words,
        charts.frame(
            label, 130, x, y, layers, x_text=number, y_text=lambda value: f"{number(value)} %"
        ),
    )


_AXES = {"rate": "rate", "concurrency": "requests under way at once"}


def _found(
    document: Mapping[str, Any], axis: str, x: Scale, y: Scale, *, named: bool = False
) -> list[str]:
    """The capacity with its interval, and the knee: they are rates."""
    if axis != "rate":
        return []
    found, knee = document["capacity"], document["knee"]
    layers = []
    if found["low"] is not None and found["high"] is not None:
        layers.append(
            charts.box(
                x, y, (found["low"], y.low, min(found["high"], x.high), y.high), "band", 0.14
            )
        )
    if found["rate"] is not None:
        layers.append(
            charts.upright(
                found["rate"],
                x,
                y,
                "capacity",
                f"capacity {number(found['rate'])}/s" if named else "",
            )
        )
    if knee:
        layers.append(
            charts.upright(
                knee["rate"], x, y, "knee", f"knee {number(knee['rate'])}/s" if named else ""
            )
        )
    return layers


def _step(step: Mapping[str, Any], a: float, b: float, x: Scale, y: Scale) -> str:
    times = ", ".join(
        f"{name} {milliseconds(step[f'{name}_ms'])}"
        for name in ("p50", "p99")
        if step[f"{name}_ms"]
    )
    why = f" ({step['why']})" if step["why"] else ""
    title = f"{number(a)}: {step['verdict']}{why}; {number(step['throughput'])}/s, {times}"
    style = {"held": "held", "unclear": "unclear", "violated": "violation"}.get(
        step["verdict"], "failed"
    )
    return charts.mark(
        a, b, x, y, style, title, {"failed": "cross", "violation": "diamond"}.get(style, "circle")
    )


def _usl(fit: Mapping[str, float], n: float) -> float:
    return fit["lambda"] * n / (1 + fit["sigma"] * (n - 1) + fit["kappa"] * n * (n - 1))


def _known_percentiles(times: Mapping[str, float], most: float) -> list[tuple[float, float]]:
    """A few points of a curve of which only these are known."""
    known = [
        (100 / (100 - float(name[1:])), value) for name, value in times.items() if name[0] == "p"
    ]
    inside = sorted((place, value) for place, value in known if place < most)
    return [*inside, (most, times["max"])]


def key(style: str, text: str, shape: str = "") -> str:
    """An entry of a legend."""
    swatch = f"block bg-{style}" if shape == "block" else f"{shape} b-{style}".strip()
    return f'<span class="key"><i class="{swatch}"></i>{escape(text)}</span>'


def _figure(words: Sequence[str], drawing: str) -> str:
    return (
        f"<figure><figcaption>{''.join(words)}</figcaption>"
        f"{scrolling('chart', drawing, 'chart-frame')}</figure>"
    )


def _clock(second: float) -> str:
    if second < 120:
        return f"{_digits(second) if second else 0} s"
    minutes, seconds = divmod(round(second), 60)
    return f"{minutes}:{seconds:02}"


def _share(place: float) -> str:
    """1/(1-p) as per cent: 1,000 is 99.9 %."""
    if place < 10:
        return f"{100 - 100 / place:.0f} %"
    return f"{100 - 100 / place:.{max(0, round(math.log10(place)) - 2)}f} %"


def _digits(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
