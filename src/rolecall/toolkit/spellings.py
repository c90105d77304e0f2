"""Other spellings of a path, which a router may understand and a guard in front of it may not."""

from __future__ import annotations

import re
from collections.abc import Callable

from rolecall.spec.templates import with_query

#: Other spellings of a path: of its front and its last segment.
TRICKS: dict[str, Callable[[str, str], str]] = {
    "trailing-slash": lambda front, last: f"{front}/{last}/",
    "double-slash": lambda front, last: f"{front}//{last}",
    "dot-segment": lambda front, last: f"{front}/./{last}",
    "parent-segment": lambda front, last: f"{front}/x/../{last}",
    "encoded-dot-segment": lambda front, last: f"{front}/%2e/{last}",
    "encoded-parent-segment": lambda front, last: f"{front}/x/%2e%2e/{last}",
    "path-parameter": lambda front, last: f"{front}/{last};x=1",
    "json-suffix": lambda front, last: f"{front}/{last}.json",
    "upper-case": lambda front, last: f"{front}/{last}".upper(),
    "capital": lambda front, last: (
        f"{front}/{re.sub('[a-z]', lambda letter: letter[0].upper(), last, count=1)}"
    ),
    "encoded-letter": lambda front, last: f"{front}/%{ord(last[0]):02x}{last[1:]}",
    "encoded-slash": lambda front, last: f"{front}%2f{last}",
    "trailing-nul": lambda front, last: f"{front}/{last}%00",
    "double-encoded-letter": lambda front, last: f"{front}/%25{ord(last[0]):02x}{last[1:]}",
    "trailing-space": lambda front, last: f"{front}/{last}%20",
    "trailing-line-break": lambda front, last: f"{front}/{last}%0a",
}
#: Those that are tried on every kind of thing.
USUAL_TRICKS = ("capital", "encoded-letter", "trailing-slash", "double-slash")


def spelled(path: str, trick: str) -> str:
    """A path in another spelling of its front and its last segment; the query stays."""
    path, _, query = path.partition("?")
    front, _, last = path.rpartition("/")
    return with_query(TRICKS[trick](front, last), query)


def spelled_by_kind(path: str, trick: str) -> str:
    """The path of a thing in another spelling of its kind: ``/v2/Services/...``."""
    front, kind, id = path.rsplit("/", 2)
    return TRICKS[trick](front, f"{kind}/{id}")
