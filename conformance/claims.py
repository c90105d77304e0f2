"""What a time-based token says of itself, read alike by the suite and under load."""

from __future__ import annotations

from collections.abc import Collection, Sequence

#: Seconds that exp - iat may be off: clocks that round, not another lifetime.
LIFETIME_TOLERANCE = 60


def role_of_scope(scope: object, roles: Sequence[str], other_scopes: Collection[str] = ()) -> str:
    """The role that a scope string stands for: the name alone, or with all the lower ones that it includes.

    Anything else stands for no role, the empty string. ``other_scopes`` of the dialect are looked past; ``roles`` ascend.
    """
    names = [name for name in scope.split(" ") if name not in other_scopes] if isinstance(scope, str) else []
    known = [role for role in roles if role in names]
    if not known or len(known) != len(names):
        return ""
    highest = known[-1]
    included = list(roles[: roles.index(highest) + 1])
    return highest if known in ([highest], included) else ""
