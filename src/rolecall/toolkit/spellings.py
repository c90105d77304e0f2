"""Other spellings of a path, which a router may understand and a guard in front of it may not."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from rolecall.evidence import Exchange
from rolecall.http.gate import TOKEN_PATH
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.spec.model import Operation
from rolecall.spec.templates import with_query
from rolecall.tokens import Caller
from rolecall.toolkit.world import World

#: From the path of the token endpoint up to the root.
_LEVELS = TOKEN_PATH.count("/")

#: Other spellings of a path: of its front and its last segment.
TRICKS: dict[str, Callable[[str, str], str]] = {
    "trailing-slash": lambda front, last: f"{front}/{last}/",
    "double-slash": lambda front, last: f"{front}//{last}",
    "dot-segment": lambda front, last: f"{front}/./{last}",
    "parent-segment": lambda front, last: f"{front}/x/../{last}",
    "encoded-dot-segment": lambda front, last: f"{front}/%2e/{last}",
    "encoded-parent-segment": lambda front, last: f"{front}/x/%2e%2e/{last}",
    "path-parameter": lambda front, last: f"{front}/{last};x=1",
    "json-suffix": lambda front, last: f"{front}/{last}.json",
    "upper-case": lambda front, last: f"{front}/{last}".upper(),
    "capital": lambda front, last: (
        f"{front}/{re.sub('[a-z]', lambda letter: letter[0].upper(), last, count=1)}"
    ),
    "encoded-letter": lambda front, last: f"{front}/%{ord(last[0]):02x}{last[1:]}",
    "encoded-slash": lambda front, last: f"{front}%2f{last}",
    "trailing-nul": lambda front, last: f"{front}/{last}%00",
    "double-encoded-letter": lambda front, last: f"{front}/%25{ord(last[0]):02x}{last[1:]}",
    "trailing-space": lambda front, last: f"{front}/{last}%20",
    "trailing-line-break": lambda front, last: f"{front}/{last}%0a",
}
#: Those that are tried on every kind of thing.
USUAL_TRICKS = ("capital", "encoded-letter", "trailing-slash", "double-slash")
#: A path behind that of the token endpoint, which needs no token, with steps up from it again: a
#: guard may look for it with "begins with".
PUBLIC_TRICKS: dict[str, Callable[[str, str], str]] = {
    "behind-the-public-path": lambda front, last: f"{TOKEN_PATH}{'/..' * _LEVELS}{front}/{last}",
    "public-path-and-parameters": lambda front, last: (
        f"{TOKEN_PATH}{'/..;' * _LEVELS}{front}/{last}"
    ),
}
#: Those that are tried without a token, one on each list.
TRICKS_WITHOUT_TOKEN = (*PUBLIC_TRICKS, *USUAL_TRICKS)
#: A query that holds that path: a guard may look for it in the whole URL, with "contains" or "ends
#: with", or let everybody in who brings a refresh token. It is for fetches; on a list it may be a
#: filter that nothing passes.
PUBLIC_QUERY = f"refreshToken=none-of-yours&next={TOKEN_PATH}"


def spelled(path: str, trick: str) -> str:
    """A path in another spelling of its front and its last segment; the query stays."""
    path, _, query = path.partition("?")
    front, _, last = path.rpartition("/")
    return with_query((TRICKS | PUBLIC_TRICKS)[trick](front, last), query)


def spelled_by_kind(path: str, trick: str) -> str:
    """The path of a thing in another spelling of its kind: ``/v2/Services/...``."""
    front, kind, id = path.rsplit("/", 2)
    return TRICKS[trick](front, f"{kind}/{id}")


async def get_as_written(
    world: World, path: str, caller: Caller | None, attack: str, **headers: str
) -> Exchange:
    """GET a path exactly as it is written: dots in it are not resolved."""
    if "/." not in path:
        return await world.send("GET", path, caller, headers=headers, attack=attack)
    fields = {"accept": "application/json", **headers}
    if caller:
        fields["authorization"] = f"Bearer {caller.token}"
    raw = [(name, value.encode()) for name, value in fields.items()]
    return await world.client.send_raw(
        "GET", path, raw, caller=str(caller or "nobody"), attack=attack
    )


async def fill_list(world: World, operation: Operation) -> None:
    """See to it that a list has something to show, where a thing can be made: an empty one looks
    like nothing at all.
    """
    if operation.effect == "list":
        with suppress(Inconclusive, NotTested):
            await world.shared(operation.resource.name)
