"""What is around the figures of ``load.html``: its footer, what scrolls, and small screens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from rolecall.wording import counted

#: Columns of words; all others are figures.
_WORDS = ("verdict", "state", "why", "when", "what")
#: After the style of all pages.
STYLE = """
td:first-child, th:first-child { min-width: 9em; }
td.why { min-width: 18em; }
td:first-child, td.left { overflow-wrap: break-word; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--faint); }
footer code { overflow-wrap: anywhere; }
.key i.circle { width: 9px; height: 9px; border: 0; border-radius: 50%; }
@media (max-width: 720px) {
  body { padding: 20px 14px 48px; }
  figcaption .key { display: inline-block; }
  .card b { white-space: normal; font-size: 18px; }
}
"""


def scrolling(label: str, inside: str, classes: str = "") -> str:
    """What may be wider than the screen: it scrolls by itself, with the keyboard too."""
    style = f"wide {classes}".strip()
    return (
        f'<div class="{style}" tabindex="0" role="group" aria-label="{escape(label)}">'
        f"{inside}</div>"
    )


def section(title: str, body: str) -> str:
    """A part of the page under its heading."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table that scrolls by itself; each row is a list of cells, as HTML."""
    cells = "".join(
        f'<th class="{"left" if name in _WORDS else ""}">{escape(name)}</th>' for name in head
    )
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    drawn = f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    return scrolling("table", drawn)


def footer(document: Mapping[str, Any]) -> str:
    """Which version ran, when, by which command and with what: what it takes to run it again."""
    command = document.get("command")
    asked = f"<br><code>{escape(command)}</code>" if command else ""
    said = " \u00b7 ".join(map(escape, _facts(document)))
    return f'<footer class="small">{said}{asked}</footer>'


def _facts(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"Rolecall {document.get('rolecall', '')}".strip()
    if document.get("run"):
        yield f"run {document['run']}"
    begun, over = _moment(document["started"]), document["finished"]
    yield f"{begun} to {_moment(over)} UTC" if over else f"begun {begun} UTC"
    if workers := len(document.get("workers") or ()):
        yield counted(workers, "worker")
    arrivals = document.get("arrivals")
    if arrivals and arrivals.get("arrivals") == "poisson":
        yield f"seed {arrivals.get('seed', 0)}"
    if accounts := document.get("accounts"):
        yield f"{accounts['used']:,} of {accounts['given']:,} accounts took part"
    yield from (
        f"{name.replace('_', '-')} {_shown(value)}"
        for name, value in sorted((document.get("options") or {}).items())
    )


def _shown(value: object) -> str:
    """An option's value as one writes it."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={weight}" for name, weight in value.items())
    return str(value)


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")
