"""How a switch, which is a fault or a variant, replaces one decision of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Decision = TypeVar("Decision", bound=Callable[..., Any])


def instead_of(method: Decision) -> Callable[[Decision], Decision]:
    """Put the decorated function in the place of one object's method.

    The type checker sees that both are called alike, so a switch cannot outlive its decision::

        @instead_of(server.verifier.expired)
        def expired(exp: int) -> bool:
            return False
    """
    # Bound methods have an owner, and so do replacements.
    owner: Any = method.__self__  # type: ignore[attr-defined]
    name = method.__name__

    def put(replacement: Decision) -> Decision:
        placed: Any = replacement
        placed.__self__ = owner
        placed.__name__ = name
        setattr(owner, name, placed)
        return replacement

    return put
