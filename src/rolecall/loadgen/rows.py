"""The names of a run's rows, of which objectives may be asked (``--slo "issue:p99<250ms"``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rolecall.errors import suggest
from rolecall.loadgen.objectives import Objective

#: Beside the operations of the permission table.
NAMES = (
    "issue",
    "issue (beforehand)",
    "issue (anew)",
    "refresh-get",
    "refresh-post",
    "refresh-race-get",
    "refresh-race-post",
    "refresh-post (after a race)",
    "cells allowed",
    "cells denied",
    "denied, other shapes",
    "expired tokens",
    "without a good token",
    "issue (before a guess)",
    "without a good password",
    "session ended",
    "not known yet",
)


def note(objectives: Iterable[Objective], operations: Sequence[str], roles: Iterable[str]) -> str:
    """What is said before a run of objectives that no request will have, since their names may be
    misspelt: the run would be invalid in the end, however long it was. Empty where there are none.
    """
    known = {*NAMES, *operations, *(f"issue (to sample as {role})" for role in roles)}
    asked = dict.fromkeys(one.request for one in objectives if one.request not in {"", *known})
    return "".join(
        f"\nnote          --slo: no request is known to be called {name!r}. "
        f"{suggest(name, (*NAMES, *operations))}"
        for name in asked
    )
