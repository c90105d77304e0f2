"""How soon revoked credentials were refused (``time-to-deny``), on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from rolecall.report.load_charts import milliseconds, number
from rolecall.report.load_frame import section, table

#: What is said of revoked credentials beside how soon they were refused.
_SEEN = {
    "late": "let in for longer",
    "undecided": "undecided",
    "uneven": "let in by some connections when others refused it",
    "came_back": "let in again on a connection that had refused it",
}
#: The columns of the page by member: before those of the delays, these, and behind them.
_BEFORE = {"watched": "revoked", "denied": "in time"}
_DELAYS = {"p50": "p50", "p95": "p95", "max": "max", "off": "\u00b1"}
_BEHIND = {"late": "late", "undecided": "undecided", "uneven": "uneven", "came_back": "came back"}


def lines(denials: Mapping[str, Any] | None) -> Iterator[str]:
    """A line for each kind of credential that was revoked: how soon it was refused."""
    if denials is None:
        return
    for kind in denials["kinds"]:
        line = (
            f"time to deny  {kind['kind']}: {kind['denied']:,} of {kind['watched']:,} refused "
            f"within {denials['bound_s']:g} s"
        )
        if times := kind["delay_ms"]:
            shown = ", ".join(f"{name} {times[name]:,.0f}" for name in ("p50", "p95", "max"))
            line += f", after {shown} ms (known to {times['off']:,.0f} ms)"
        said = (f"{kind[name]:,} {words}" for name, words in _SEEN.items() if kind[name])
        yield "; ".join([line, *said])
    for kind in denials["not_watched"]:
        yield f"not tested    time to deny, {kind['kind']}: {kind['why']}"


def section_of(denials: Mapping[str, Any] | None) -> str:
    """How soon each kind of revoked credential was refused."""
    if denials is None:
        return ""
    rows = [
        [
            _named(kind),
            *(f"<td>{kind[name]:,}</td>" for name in _BEFORE),
            *(
                f"<td>{milliseconds(kind['delay_ms'][name]) if kind['delay_ms'] else '-'}</td>"
                for name in _DELAYS
            ),
            *(f"<td>{kind[name]:,}</td>" for name in _BEHIND),
        ]
        for kind in denials["kinds"]
    ]
    head = ["what", *_BEFORE.values(), *_DELAYS.values(), *_BEHIND.values()]
    untested = "".join(
        f'<p class="no">not tested: {escape(kind["kind"])}: {escape(kind["why"])}</p>'
        for kind in denials["not_watched"]
    )
    about = (
        f"In time: refused on all connections within {number(denials['bound_s'])} s of the answer "
        "to the revocation; late: let in for longer. \u00b1: the most by which a delay may be off. "
        "Uneven: let in on one connection after another one had refused it; came back: on the same "
        "one. Only the end of a token is written in the specification; all else is observed."
    )
    shown = table(head, rows) + f'<p class="small">{about}</p>' if rows else ""
    return section("Time to deny", untested + shown)


def _named(kind: Mapping[str, Any]) -> str:
    """A kind of credential, and in words what is shown after its revocation."""
    name, credential = escape(kind["kind"]), escape(kind["credential"])
    return f'<td class="left"><code>{name}</code> <span class="small">{credential}</span></td>'
