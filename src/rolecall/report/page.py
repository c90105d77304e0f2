"""The frame of a page of ours: one file, which loads nothing; light, dark and on paper."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Any

#: No network, whatever a server managed to put into what is shown.
_POLICY = "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'"


def page(title: str, body: str, data: Any = None, style: str = "") -> str:
    """The whole file; ``data`` is what the script shows where the pointer is, ``style`` comes after
    that of all pages.
    """
    script = "" if data is None else f"{data_block(data)}<script>{_SCRIPT}</script>\n"
    return _file(title, _POLICY.format("'unsafe-inline'", "'unsafe-inline'"), style, body + script)


def locked_page(
    title: str,
    body: str,
    data: Any,
    style: str,
    scripts: Sequence[str],
    *,
    asks_its_server: bool = False,
) -> str:
    """A file in which nothing runs and nothing styles but what is given here, by its digest (CSP
    level 2, 4.2.3.2); ``style`` comes after that of all pages. It asks nothing of anybody, or of
    the server that it came from.
    """
    policy = _POLICY.format(_digest(_STYLE + style), " ".join(map(_digest, scripts)))
    policy += "; connect-src 'self'" if asks_its_server else ""
    run = "".join(f"<script>{script}</script>\n" for script in scripts)
    return _file(title, policy, style, body + data_block(data) + run)


def data_block(data: Any) -> str:
    """Data that a script reads; a member of the outermost object is a line."""
    # In a script element only "<" can end it, and JSON may write any character as its number.
    members = (
        f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}"
        for name, value in data.items()
    )
    text = ",\n".join(members).replace("<", "\\u003c")
    return f'<script type="application/json" id="data">{{{text}}}</script>\n'


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _file(title: str, policy: str, style: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


_STYLE = """
:root {
  --ink: #1b2330; --muted: #5d6878; --faint: #e4e8ee; --edge: #c9d0da; --paper: #ffffff;
  --panel: #f6f8fa;
  --good: #18794e; --bad: #c62a2f; --unsure: #9a5b00;
  --good-paper: #e3f4ea; --bad-paper: #fdebec; --unsure-paper: #fdf2dd;
  --p50: #3b8eea; --p90: #2c5fc9; --p99: #7a3cc2; --p999: #c0267e; --max: #9aa5b4;
  --sent: #2c5fc9; --rate: #2a9d6a; --scheduled: #8893a2; --error: #d9363e; --throttled: #dc9a00;
  --violation: #a3106f;
  --heat: #2c5fc9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6eaf0; --muted: #98a3b3; --faint: #29313d; --edge: #3d4756; --paper: #12161c;
    --panel: #191f28;
    --good: #58c98b; --bad: #ff8087; --unsure: #f0b34d;
    --good-paper: #123021; --bad-paper: #3b171b; --unsure-paper: #38290f;
    --p50: #6bb1ff; --p90: #5a8cf0; --p99: #b083f0; --p999: #f06cb4; --max: #6d7888;
    --sent: #5a8cf0; --rate: #4cc38a; --scheduled: #8a95a5; --error: #ff7077; --throttled: #f0b34d;
    --violation: #f06cb4;
    --heat: #6bb1ff;
  }
}
@media print {
  :root {
    --ink: #000; --muted: #444; --faint: #ddd; --edge: #bbb; --paper: #fff; --panel: #fff;
    --good: #12603d; --bad: #a31d22; --unsure: #7a4800; --good-paper: #fff; --bad-paper: #fff;
    --unsure-paper: #fff;
    --p50: #3b8eea; --p90: #2c5fc9; --p99: #7a3cc2; --p999: #c0267e; --max: #888;
    --sent: #2c5fc9; --rate: #2a9d6a; --scheduled: #777; --error: #d9363e; --throttled: #b87f00;
    --violation: #a3106f;
    --heat: #2c5fc9;
  }
  figure, tr, .card, details { break-inside: avoid; }
  pre { max-height: none; }
  body { max-width: none; }
  #tip { display: none; }
}
* { box-sizing: border-box; }
html { background: var(--paper); }
body {
  margin: 0 auto; max-width: 1040px; padding: 28px 24px 64px; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1 { font-size: 26px; line-height: 1.2; margin: 2px 0 6px; letter-spacing: -0.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 36px 0 10px; }
p { margin: 4px 0 12px; }
.small, figcaption { color: var(--muted); font-size: 13px; }
.verdict { display: inline-block; padding: 3px 12px; border-radius: 999px; font-weight: 650;
  font-size: 14px; border: 1px solid; }
.met { color: var(--good); background: var(--good-paper); }
.missed { color: var(--bad); background: var(--bad-paper); }
.invalid { color: var(--unsure); background: var(--unsure-paper); }
.reasons { margin: 12px 0; padding: 0; list-style: none; }
.reasons li { padding: 6px 12px; border-left: 3px solid var(--edge); margin: 4px 0;
  background: var(--panel); overflow-wrap: anywhere; }
.missed-reasons li { border-color: var(--bad); }
.invalid-reasons li { border-color: var(--unsure); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(108px, 1fr)); gap: 10px;
  margin: 18px 0 10px; }
.card { background: var(--panel); border: 1px solid var(--faint); border-radius: 10px;
  padding: 10px 12px; }
.card b { display: block; font-size: 20px; font-weight: 620; letter-spacing: -0.01em;
  white-space: nowrap; }
.card span { color: var(--muted); font-size: 12.5px; }
.card.bad b { color: var(--bad); }
figure { margin: 0 0 22px; }
figcaption { margin: 0 0 4px; }
.key { margin-right: 14px; white-space: nowrap; }
.key i { display: inline-block; width: 16px; height: 0; border-top: 3px solid;
  vertical-align: middle; margin-right: 5px; border-radius: 2px; }
.key i.block { height: 10px; border: 0; border-radius: 2px; }
.key i.dashed { border-top-style: dashed; border-top-width: 2px; }
.wide { overflow-x: auto;
  background:
    linear-gradient(to right, var(--paper) 40%, transparent) left / 48px 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 48px 100% no-repeat local,
    linear-gradient(to right, var(--edge), transparent) left / 16px 100% no-repeat scroll,
    linear-gradient(to left, var(--edge), transparent) right / 16px 100% no-repeat scroll;
}
.wide:focus-visible { outline: 2px solid var(--p50); outline-offset: 2px; }
@media (max-width: 720px) {
  .wide.chart-frame::before {
    content: "\\2194  scrolls sideways"; position: sticky; left: 0; display: block;
    width: max-content; color: var(--muted); font-size: 12px;
  }
}
svg.chart { display: block; width: 100%; min-width: 640px; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--muted); }
svg .note { fill: var(--ink); }
svg .grid { stroke: var(--faint); }
svg .axis { stroke: var(--edge); }
svg path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .cursor { stroke: var(--muted); stroke-dasharray: 3 3; }
.p50 { stroke: var(--p50); } .p90 { stroke: var(--p90); } .p99 { stroke: var(--p99); }
.p999 { stroke: var(--p999); }
.max { stroke: var(--max); } svg path.max { stroke-width: 1; stroke-dasharray: 2 2; }
.sent { stroke: var(--sent); } .rate { stroke: var(--rate); }
.scheduled { stroke: var(--scheduled); } svg path.scheduled { stroke-dasharray: 5 4; }
svg path.rate-area { fill: var(--rate); fill-opacity: 0.14; stroke: none; }
.service { stroke: var(--rate); } .response { stroke: var(--p99); }
svg path.service { stroke-dasharray: 5 4; }
svg .heat { fill: var(--heat); } svg .error { fill: var(--error); }
svg .throttled { fill: var(--throttled); }
svg line.violation { stroke: var(--violation); stroke-opacity: 0.55; }
svg path.violation { fill: var(--violation); stroke: var(--paper); }
svg .dot { fill: currentColor; }
svg .limit { stroke: var(--good); stroke-width: 2; } svg .limit.broken { stroke: var(--bad); }
svg .held { fill: var(--good); stroke: var(--paper); }
svg .failed { stroke: var(--bad); stroke-width: 2.4; }
svg .unclear { fill: var(--unsure); stroke: var(--paper); } svg .band { fill: var(--good); }
svg line.capacity { stroke: var(--good); stroke-width: 1.6; }
svg line.knee { stroke: var(--muted); stroke-dasharray: 4 4; }
.key .bg-heat { background: var(--heat); opacity: 0.35; }
.key .bg-error { background: var(--error); }
.key .bg-throttled { background: var(--throttled); }
.key .bg-violation { background: var(--violation); }
.key .b-p50 { border-color: var(--p50); } .key .b-p90 { border-color: var(--p90); }
.key .b-p99 { border-color: var(--p99); }
.key .b-p999 { border-color: var(--p999); } .key .b-max { border-color: var(--max); }
.key .b-sent { border-color: var(--sent); }
.key .b-rate { border-color: var(--rate); } .key .b-scheduled { border-color: var(--scheduled); }
.key .b-error { border-color: var(--error); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--faint);
  white-space: nowrap; }
th { color: var(--muted); font-weight: 550; font-size: 13px; }
th:first-child, td:first-child, .left { text-align: left; }
td:first-child, td.left { white-space: normal; overflow-wrap: anywhere; }
.yes { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; }
details { border: 1px solid var(--faint); border-radius: 8px; margin: 8px 0;
  background: var(--panel); }
summary { padding: 8px 12px; cursor: pointer; overflow-wrap: anywhere; }
summary code { color: var(--violation); font-weight: 600; }
pre {
  margin: 0; padding: 10px 12px; border-top: 1px solid var(--faint);
  font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 420px; overflow-y: auto;
}
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.92em; }
#tip {
  position: fixed; pointer-events: none; background: var(--paper); border: 1px solid var(--edge);
  border-radius: 8px; padding: 8px 10px;
  font-size: 12.5px; line-height: 1.45; box-shadow: 0 4px 16px rgb(0 0 0 / 18%); display: none;
  z-index: 2; white-space: nowrap;
}
#tip b { display: block; }
#tip dl { display: grid; grid-template-columns: auto auto; gap: 0 12px; margin: 0; }
#tip dt { color: var(--muted); } #tip dd { margin: 0; text-align: right; }
"""

#: One cursor through all charts of time, and the figures of the second that it points at.
_SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const charts = [...document.querySelectorAll("svg.time")];
const tip = document.body.appendChild(Object.assign(document.createElement("div"), {id: "tip"}));
const cursors = charts.map(chart => {
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("visibility", "hidden");
  chart.append(cursor);
  return cursor;
});
const hide = () => {
  tip.style.display = "none";
  cursors.forEach(cursor => cursor.setAttribute("visibility", "hidden"));
};
const show = (chart, event) => {
  const box = chart.getBoundingClientRect();
  const at = (event.clientX - box.left) / box.width * data.width;
  const share = (at - data.left) / (data.right - data.left);
  const row = Math.floor(share * data.span / data.step);
  if (share < 0 || !(row < data.rows.length)) return hide();
  charts.forEach((other, index) => {
    const height = other.viewBox.baseVal.height - data.bottom;
    for (const [name, value] of Object.entries(
      {x1: at, x2: at, y1: data.top, y2: height, visibility: "visible"}))
      cursors[index].setAttribute(name, value);
  });
  tip.replaceChildren(Object.assign(document.createElement("b"), {textContent: data.rows[row][0]}));
  const list = tip.appendChild(document.createElement("dl"));
  data.columns.forEach((column, index) => {
    list.append(
      Object.assign(document.createElement("dt"), {textContent: column}),
      Object.assign(document.createElement("dd"), {textContent: data.rows[row][index + 1]}));
  });
  tip.style.display = "block";
  const left = event.clientX + 16 + tip.offsetWidth > innerWidth
    ? event.clientX - 16 - tip.offsetWidth : event.clientX + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  const lowest = innerHeight - tip.offsetHeight - 8;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 12, lowest))}px`;
};
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(
  details => { details.open = true; }));
charts.forEach(chart => {
  chart.addEventListener("pointermove", event => show(chart, event));
  chart.addEventListener("pointerleave", hide);
});
"""
