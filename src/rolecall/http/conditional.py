"""Preconditions that a target wants of writes (RFC 6585 3): any state of the thing will do."""

from __future__ import annotations

from collections.abc import Mapping

_REQUIRED = 428
_WRITES = ("PATCH", "PUT", "DELETE")
#: Whatever state the thing is in, as long as it is there (RFC 9110 13.1.1).
_ANY_STATE: Mapping[str, str] = {"if-match": "*"}


class WantedPrecondition:
    """Whether a target wants a precondition of updates and deletes: its answers tell."""

    def __init__(self) -> None:
        self._is_wanted = False

    def fields(self, method: str) -> Mapping[str, str]:
        """The fields to send with a request; none before the target has wanted any."""
        return _ANY_STATE if self._is_wanted and method in _WRITES else {}

    def lacks(self, method: str, status: int, sent: Mapping[str, str]) -> bool:
        """Whether a request that was sent with these `fields` lacks what the target wants.

        It was not carried out, and may be sent again.
        """
        if status != _REQUIRED or sent or method not in _WRITES:
            return False
        self._is_wanted = True
        return True
