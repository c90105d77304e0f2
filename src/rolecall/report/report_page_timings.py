"""How long the target took to answer in a run: a chart, and the slowest answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.report import charts
from rolecall.report.foreign_text import html

#: Bars for each tenfold of the time, and the height of the chart.
_BARS, _HEIGHT = 10, 200
_SLOWEST = 8
_SHARES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max"))


def timings(results: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """The section; empty where nothing was answered."""
    answered = [entry for entry in evidence["log"]["entries"] if entry["response"]["status"]]
    if not answered:
        return ""
    times = sorted(max(float(entry["timings"]["wait"]), 0.1) for entry in answered)
    cards = "".join(
        f'<div class="card"><b>{_milliseconds(_share(times, share))}</b><span>{name}</span></div>'
        for share, name in _SHARES
    )
    slowest = sorted(answered, key=lambda entry: -entry["timings"]["wait"])[:_SLOWEST]
    rows = "".join(
        f'<tr><td class="left">{html(entry["request"]["method"])} '
        f"{html(_path(entry['request']['url']), 160)} "
        f'<span class="small">as {html(entry["_caller"], 80)}</span></td>'
        f"<td>{entry['response']['status']}</td><td>{_milliseconds(entry['timings']['wait'])}</td>"
        f"<td>{entry['_number']}</td></tr>"
        for entry in slowest
    )
    return (
        f'<p class="small">Times of {len(times):,} answers. The suite sends several requests at '
        "once and measures on its own machine: this is no load test.</p>"
        f'<div class="cards">{cards}</div>'
        f"<figure><figcaption>Answers by response time</figcaption><div "
        'class="wide chart-frame" tabindex="0" role="group" aria-label="Answers by response time">'
        f"{_histogram(times)}</div></figure>"
        '<div class="wide" tabindex="0" role="group" aria-label="The slowest answers"><table>'
        "<thead>"
        '<tr><th class="left">slowest answers</th><th>status</th><th>time</th><th>exchange</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _histogram(times: Sequence[float]) -> str:
    """How many answers took how long, on a logarithmic axis of milliseconds."""
    counts = Counter(math.floor(math.log10(time) * _BARS) for time in times)
    low, high = min(counts), max(counts) + 1
    x = charts.across(low / _BARS, high / _BARS)
    y = charts.upward(max(counts.values()), _HEIGHT)
    bars = [
        charts.box(x, y, (place / _BARS, 0, (place + 0.9) / _BARS, count), "heat")
        for place, count in sorted(counts.items())
    ]
    ticks = [
        power + math.log10(factor)
        for power in range(math.floor(low / _BARS), math.ceil(high / _BARS) + 1)
        for factor in (1, 3)
        if low / _BARS <= power + math.log10(factor) <= high / _BARS
    ]
    median = _milliseconds(_share(times, 0.5))
    return charts.frame(
        f"Histogram of response times: half of the answers came within {median}",
        _HEIGHT,
        x,
        y,
        bars,
        x_text=lambda value: _milliseconds(10**value),
        y_text=lambda value: f"{value:g}",
        x_ticks=ticks,
    )


def _share(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, math.ceil(share * len(times)) - 1)]


def _milliseconds(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.2g} ms" if value < 100 else f"{value:.0f} ms"


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url
