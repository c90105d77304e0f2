"""Variants that remember for a while whom they let in: the specification has no log-out.

Only the end of a token is written there, and all of them heed it. How long each goes on letting in
what was revoked, the load scenario time-to-deny measures.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.cache import Cache
from rolecall.reference.call import Call
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

WORKERS = 4
"""Processes of a server that has several, each with what it remembers."""


def remember_credentials(
    server: Server, seconds: float, workers: int = 1
) -> list[Cache[Principal]]:
    """Let a credential in for so many seconds after it was, whatever becomes of it but its end.

    With several workers each connection belongs to one of them, by chance, and a write is seen at
    once by the one that does it. Returns what each remembers.
    """
    authenticate = server.guard.authenticate
    kept = [Cache[Principal](seconds) for _ in range(workers)]
    dice = random.Random()  # noqa: S311  # dice, not secrets
    of_connection: dict[object, Cache[Principal]] = {}

    @instead_of(server.guard.authenticate)
    def remembered(call: Call) -> Principal:
        client = call.scope["client"]
        cache = of_connection.setdefault(client and tuple(client), dice.choice(kept))
        token = server.bearer.token(call)
        principal = cache.get(token)
        if principal is None:
            principal = cache.put(token, authenticate(call))
        elif principal.credential == "token":
            server.verifier.check_times(principal.claims)
        if workers > 1 and call.verb != "GET":
            cache.clear()
        return principal

    return kept


def _for(milliseconds: int) -> Callable[[Server], None]:
    def apply(server: Server) -> None:
        remember_credentials(server, milliseconds / 1000)

    shown = f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds // 1000} s"
    apply.__doc__ = f"A token or key that is let in is let in again for {shown} before it expires."
    return apply


for _milliseconds, _name in ((50, "50ms"), (1000, "1s"), (60_000, "60s")):
    variant(f"remembers-credentials-{_name}", "under-load")(_for(_milliseconds))


@variant("workers-remember-credentials", "under-load")
def workers_remember_credentials(server: Server) -> None:
    """Four workers, to one of which each connection leads, let a token or key in again for a
    second; a write is seen at once only by the worker that does it.
    """
    remember_credentials(server, 1.0, WORKERS)
