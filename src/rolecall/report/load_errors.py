"""What the kinds of errors of a load run mean, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from rolecall.report.load_frame import section, table

_MEANS = {
    "refused": "nothing took the connection; look whether the server ran, and at its backlog",
    "dns": "the target's name was not found",
    "tls": "there was no agreement on TLS",
    "reset": "the connection was reset; look at the server's log, and at its limit of connections",
    "closed": "the connection was closed before the answer was complete; look at the server's log, "
    "and at its limits of idle and of used connections (keep-alive), which other clients meet too",
    "timeout": "no complete answer within the target file's timeout",
    "unanswered": "no complete answer when the run was over",
    "garbage": "what came is no HTTP",
    "too-large": "the answer is larger than is read",
    "coding": "the answer is in a coding that was not asked for",
    "404": "nothing was at that path; where all requests of a row are answered so, look at path "
    "under [operations.NAME] in the target file",
}
#: What a status means, by its first digit (RFC 9110 15).
_CLASSES = {
    "3": "a redirect, and none is followed; look at base_url, and at what stands before the server",
    "5": "look at the server's log at the time",
}


def meaning(kind: str) -> str:
    """What a kind of error means; empty where its name says it, as of the status of a refusal."""
    of_its_class = _CLASSES.get(kind[0], "") if kind.isdecimal() else ""
    return _MEANS.get(kind, of_its_class)


def on_page(errors: Mapping[str, int]) -> str:
    """A section of the page with the errors; empty without any."""
    rows = [
        [
            f'<td class="left"><code>{escape(kind)}</code></td>',
            f"<td>{count:,}</td>",
            f'<td class="left">{escape(meaning(kind))}</td>',
        ]
        for kind, count in errors.items()
    ]
    return section("Errors", table(["kind", "requests", "what it means"], rows)) if rows else ""
