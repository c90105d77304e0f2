"""What a target wants of updates and deletes beside what the specification says: a precondition,
where any state of the thing will do (RFC 6585 3), and of a PATCH the media type of a merge patch
(RFC 7396), which is what the specification's updates are.
"""

from __future__ import annotations

from collections.abc import Mapping

_PRECONDITION_REQUIRED, _UNSUPPORTED_MEDIA_TYPE = 428, 415
MERGE_PATCH = "application/merge-patch+json"
#: By the status of who misses one: the field, and whatever state the thing is in, as long as it is
#: there (RFC 9110 13.1.1).
_WANTED = {
    _PRECONDITION_REQUIRED: ("if-match", "*"),
    _UNSUPPORTED_MEDIA_TYPE: ("content-type", MERGE_PATCH),
}
_METHODS = {"if-match": ("PATCH", "PUT", "DELETE"), "content-type": ("PATCH",)}
#: Where an answer says which media type it had understood, beside its body (RFC 5789 3.1, RFC 9110
#: 15.5.16).
SAYS_TYPES = ("accept-patch", "accept")


class WantedFields:
    """The fields that a target wants of updates and deletes: its answers tell."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def fields(self, method: str) -> Mapping[str, str]:
        """The fields to send with a request; none before the target has wanted any."""
        return {name: value for name, value in self._fields.items() if method in _METHODS[name]}

    def lacks(self, method: str, status: int, sent: Mapping[str, str], told: str) -> bool:
        """Whether a request that was sent with these `fields` lacks what the target wants.

        It was not carried out, and may be sent again. ``told`` is the answer's body and what is in
        its `SAYS_TYPES`: another media type is tried only where it is named.
        """
        name, value = _WANTED.get(status, ("", ""))
        if not name or name in sent or method not in _METHODS[name]:
            return False
        if status == _UNSUPPORTED_MEDIA_TYPE and MERGE_PATCH not in told.lower():
            return False
        self._fields[name] = value
        return True
