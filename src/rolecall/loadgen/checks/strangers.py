"""What a role may read, asked without a token and with a forged one: nobody is let in under load.

A server that skips a check when it is busy (its cache is full, its database gives no connection)
may let anybody in. Who guesses no secret locks nothing: the forged token is the role's own with
another signature. Only what was refused before the load is tried; what is shown from then on is a
violation. Overload (429, 5xx) says nothing, nor does a success that shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rolecall.loadgen.checks.expired import Presented
from rolecall.loadgen.checks.sessions import SessionGrant
from rolecall.loadgen.checks.shapes import SampledCell
from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.ids import own_id

#: What stands in place of a good token, with the kind of violation where it is let in.
KINDS = {"no token": "anonymous-let-in", "a changed signature": "forged-let-in"}
_EFFECTS = ("list", "fetch")


def asked_by_strangers(may: Iterable[SampledCell], index: int) -> Iterator[SampledCell]:
    """The own profile, a list and a fetch of what a role may read, in each way.

    Args:
        may: what the role was let in to before.
        index: the number of the role, so that each has other ones.
    """
    reads = [cell for cell in may if cell.operation.effect in _EFFECTS]
    chosen = [cell for cell in reads if cell.operation.is_self]
    for effect in _EFFECTS:
        others = [
            cell for cell in reads if cell.operation.effect == effect and not cell.operation.is_self
        ]
        chosen += others[index % len(others) :][:1] if others else ()
    for plain in chosen:
        yield from (replace(plain, way=way) for way in KINDS)


def credential(way: str, grant: SessionGrant) -> Presented:
    """What is presented in place of a grant's token."""
    token = _with_another_signature(grant.token) if way == "a changed signature" else ""
    return Presented(token, grant.user, lambda: True, lambda: None)


def shows(answer: Response) -> bool:
    """Whether an answer shows something that only a caller with a good token may see."""
    if not 200 <= answer.status < 300:
        return False
    document = read_json(answer.body)
    return isinstance(document, list) or bool(own_id(document))


def _with_another_signature(token: str) -> str:
    """The token with the first letter of its signature changed: six bits that count."""
    signed, dot, signature = token.rpartition(".")
    return f"{signed}{dot}{'B' if signature.startswith('A') else 'A'}{signature[1:]}"
