"""What a time-based token says of itself, read alike by the suite and under load."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

#: Seconds that exp - iat may be off: clocks that round, not another lifetime.
LIFETIME_TOLERANCE = 60
#: No instant is at or beyond this: a larger number cannot be held exactly by every reader of JSON
#: (RFC 8259 6).
_BEYOND_TIME = 2**53


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """The instant in a claim, in seconds since the epoch, with a fraction or without (RFC 7519 2).

    None when there is no such claim, or when it holds no instant: something else than a number, one
    that is negative or not finite, or one of hundreds of digits, with which no float can be added.
    """
    value = claims.get(name)
    return value if is_number(value) and 0 <= value < _BEYOND_TIME else None


def lifetime(claims: Mapping[str, Any]) -> float | None:
    """Seconds from a token's iat to its exp; None when it does not say."""
    issued, expires = numeric_date(claims, "iat"), numeric_date(claims, "exp")
    return None if issued is None or expires is None else expires - issued


def role_of_scope(scope: object, roles: Sequence[str], other_scopes: Collection[str] = ()) -> str:
    """The role that a scope string stands for: its name alone, or with the lower roles.

    Anything else stands for no role, the empty string. ``other_scopes`` of the dialect are looked
    past; ``roles`` ascend.
    """
    names = (
        [name for name in scope.split(" ") if name not in other_scopes]
        if isinstance(scope, str)
        else []
    )
    known = [role for role in roles if role in names]
    if not known or len(known) != len(names):
        return ""
    highest = known[-1]
    included = list(roles[: roles.index(highest) + 1])
    return highest if known in ([highest], included) else ""
