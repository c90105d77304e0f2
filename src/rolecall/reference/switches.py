"""The switches of a server: faults, which break the specification, and variants, which do not; each replaces one decision."""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, TypeVar

from rolecall.reference.app import Server
from rolecall.reference.settings import SettingsError

Decision = TypeVar("Decision", bound=Callable[..., Any])


def instead_of(method: Decision) -> Callable[[Decision], Decision]:
    """Put the decorated function in the place of one object's method.

    The type checker sees that both are called alike, so a switch cannot outlive the decision it changes::

        @instead_of(server.verifier.expired)
        def expired(exp: int) -> bool:
            return False
    """
    owner: Any = method.__self__  # type: ignore[attr-defined]  # bound methods have it, and so do replacements
    name = method.__name__

    def put(replacement: Decision) -> Decision:
        placed: Any = replacement
        placed.__self__ = owner
        placed.__name__ = name
        setattr(owner, name, placed)
        return replacement

    return put


def apply_switches(server: Server) -> None:
    """Throw the switches of a server's settings: first the variants, then the faults.

    The catalogues are imported only if one of them is asked for: a plain server starts sooner without.
    """
    if server.settings.variants:
        from rolecall.reference.variants import VARIANTS  # noqa: PLC0415  # see above

        for name in server.settings.variants:
            known(name, "variant", VARIANTS)
            VARIANTS[name].apply(server)
    if server.settings.faults:
        from rolecall.reference.faults import FAULTS  # noqa: PLC0415  # see above

        for name in server.settings.faults:
            known(name, "fault", FAULTS)
            FAULTS[name].apply(server)


def known(name: str, kind: str, entries: Collection[str]) -> None:
    """Whether there is an entry of this name; if not, one sentence with what may have been meant."""
    if name not in entries:
        close = get_close_matches(name, entries, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise SettingsError(f"there is no {kind} called {name}{meant}")
