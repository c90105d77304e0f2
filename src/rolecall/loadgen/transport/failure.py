"""The failure that a connection raises where there is no answer."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "refused",
    "dns",
    "tls",
    "reset",
    "closed",
    "timeout",
    "garbage",
    "too-large",
    "coding",
    "files",
    "ports",
    "memory",
    "local",
]


class Failure(Exception):
    """No answer, by ``kind``; the text says more, and holds nothing that was sent or received.

    ``files``, ``ports``, ``memory`` and ``local`` are this machine's own failures: none is left, or
    it is not known of what. ``coding`` is a lawful answer
    that is not understood here. ``closed`` on a connection that was used before means that the
    server may or may not have carried out the request.
    """

    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(what)
        self.kind: Kind = kind


def reason(error: OSError) -> str:
    """What the operating system says of an error."""
    return error.strerror or type(error).__name__
