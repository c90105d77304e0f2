"""What `rolecall check` prints: the document of a look at a target, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.screen import harmless_document

_CLOSE = 2.0  # seconds: a Date header has whole ones


def text(document: Mapping[str, Any], command: str) -> str:
    """The text; ``command`` is what to type next."""
    return "\n".join(_lines(harmless_document(document), command))


def _lines(document: Mapping[str, Any], command: str) -> Iterator[str]:
    target = document["target"]
    sent = f"{document['requests']} requests in {document['seconds']:.1f} s, nothing written"
    yield f"target        {target['name']} at {target['base_url']} ({sent})"
    for account in document["accounts"]:
        yield (
            f"account       {account['name']:<8} {account['email']}: scope {account['scope']!r}, "
            f"{_lifetime(account['lifetime'])}"
        )
    if document["clock"]:
        yield f"clock         {_clock(*document['clock'])}"
    yield f"refresh token {document['refresh_token']}"
    for remark in document["remarks"]:
        yield f"remark        {remark}"
    for entry in document["suggestions"]:
        yield f"dialect       {entry['saw']}: if that is meant, set {entry['setting']}"
    for entry in document["untestable"]:
        yield f"not testable  {entry['what']}: give {entry['give']}"
    yield f"next          {command}"


def _lifetime(seconds: float | None) -> str:
    return "a token without an end" if seconds is None else f"a token of {_duration(seconds)}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds % 360 == 0 else f"{seconds:g} s"


def _clock(low: float, high: float) -> str:
    if low <= 0 <= high or max(abs(low), abs(high)) <= _CLOSE:
        return "the target's agrees with ours"
    ahead = (low + high) / 2
    return f"the target's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
