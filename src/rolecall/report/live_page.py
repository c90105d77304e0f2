"""Makes the live page of a load run: a frame that its script fills, a second at a time.

The page asks nothing but its own server (its policy has ``connect-src 'self'``), and what came from
a target is put into it as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolecall.report.foreign_text import html, visible
from rolecall.report.load_charts import key
from rolecall.report.load_frame import STYLE, footer, scrolling
from rolecall.report.load_page import how
from rolecall.report.page import locked_page
from rolecall.report.report_page import asset

_RATES = key("rate", "good answers") + key("sent", "sent") + key("scheduled", "scheduled", "dashed")
_TIMES = "".join(
    key(style, name)
    for style, name in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"))
) + key("heat", "how many requests", "block")
_TROUBLE = "".join(
    key(style, name, "block")
    for style, name in (
        ("error", "errors"),
        ("throttled", "throttled"),
        ("violation", "violations"),
    )
)


def write(about: Mapping[str, Any], header: str, token: str) -> str:
    """The page.

    Args:
        about: what load.json begins with (`result.about`), and ``kind`` (load or capacity),
            ``folder``, and as far as they are known ``arrivals``, ``users`` and ``duration_s``.
        header, token: with which the page ends the run.
    """
    is_search = about["kind"] == "capacity"
    body = (
        '<div class="cards" id="cards"></div>'
        f"<section><h2>{'The step under way' if is_search else 'Over time'}</h2>"
        + _chart("rate", 210, f"Per second: {_RATES}", "Requests per second over time")
        + _chart("times", 300, f"Response time: {_TIMES}", "Response time percentiles over time")
        + _chart("trouble", 150, f"Per second: {_TROUBLE}", "Errors and violations over time")
        + "</section>"
        + _filled("violations", "Violations")
        + _filled("objectives", "Objectives so far")
        + _filled("errors", "Errors")
        + _filled("said", "Steps" if is_search else "What was said")
    )
    data = {
        "header": header,
        "token": token,
        "folder": about["folder"],
        "seconds": about.get("duration_s"),
        "phases": (about.get("arrivals") or {}).get("phases", []),
    }
    return locked_page(
        visible(f"{about['scenario']}: {about['target']['name']} - Rolecall"),  # escaped there
        f"<main>{_head(about)}{body}{footer(about)}</main>\n",
        data,
        STYLE + asset("live.css"),
        [asset("live.js")],
        asks_its_server=True,
    )


def _head(about: Mapping[str, Any]) -> str:
    """What the run is, how far it is, and the button that ends it."""
    name, address = about["target"]["name"], about["target"]["base_url"]
    load = how(about).removeprefix(" · ")
    where = " · ".join(filter(None, ["" if name == address else address, load]))
    return (
        f'<header><div class="small">rolecall {html(about["kind"])}, as it goes</div>'
        f"<h1>{html(about['scenario'])} against {html(name)}</h1>"
        '<div class="line"><span id="state" class="verdict" role="status">beginning</span>'
        '<span id="clock"></span>'
        '<button type="button" id="stop">Stop the run</button></div>'
        f'<p class="small">{html(where)}</p>'
        '<p id="note" class="small"></p><ul id="reasons" class="reasons"></ul></header>'
    )


def _chart(name: str, height: int, words: str, label: str) -> str:
    drawing = (
        f'<svg class="chart" id="{name}" viewBox="0 0 960 {height}" role="img" '
        f'aria-label="{label}"></svg>'
    )
    return (
        f"<figure><figcaption>{words}</figcaption>"
        f"{scrolling(label, drawing, 'chart-frame')}</figure>"
    )


def _filled(name: str, title: str) -> str:
    """A section that is shown once there is something in it."""
    return f'<section hidden id="{name}-section"><h2>{title}</h2><div id="{name}"></div></section>'
