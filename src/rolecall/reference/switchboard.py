"""The switches by name: faults that break the specification, variants that do not."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from rolecall.reference.app import Server
from rolecall.reference.settings import SettingsError


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
