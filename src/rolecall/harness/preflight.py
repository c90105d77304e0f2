"""The preflight: one log-in per account before anything else, which shows a wrong set-up at once.

A wrong prefix costs one request, a wrong password one log-in, and each ends the run with its cause.
What may be the target's own fault is left to the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from rolecall.error_words import ABSENT, words_of
from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.foreign_answers import before_the_api, not_of_the_api
from rolecall.http.repeating import AWAY
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.target import USUAL_CHECK
from rolecall.tokens import TOKEN_PATH, Grant
from rolecall.toolkit.attacker import skew
from rolecall.toolkit.clock import TOO_FAR_APART
from rolecall.toolkit.world import World

#: Statuses that say that there is no token endpoint at this place, or none to which one may POST.
_NOT_THERE = (*ABSENT, 410)
#: Statuses that say that e-mail or password are wrong.
_REFUSED = (400, 401, 403, 422)


class Preflight:
    """The log-ins before the run, and what they showed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._grants: dict[str, Grant] = {}

    @property
    def grants(self) -> Mapping[str, Grant]:
        """The answers with a token, by account."""
        return self._grants

    async def run(self) -> None:
        """Log every account in, the highest role first; afterwards it is known who was there before
        the run.

        Raises:
            Unreachable: nothing answers, or only a gateway does (RFC 9110 15.6.3 to 15.6.5), or
                there is no token endpoint: the log-in is redirected, or answered with a web page.
            UsageError: e-mail or password of an account are refused.
        """
        world = self._world
        for name in sorted(world.target.accounts, key=lambda name: name != world.highest):
            try:
                answer = await world.first_answer(name)
                grant = Grant.of(answer)
            except (Inconclusive, NotTested):
                if not self._grants and world.client.last_status in AWAY:
                    what = f"gives no usable answer: {world.client.last_status} to the first log-in"
                    raise Unreachable(world.target.base_url, what) from None
                continue
            if answer.ok and grant.token:
                self._grants[name] = grant
                await world.user(name)
            else:
                self._tell(name, answer)

    def _tell(self, name: str, answer: Exchange) -> None:
        """Say what is wrong with the target file, where a log-in without a token shows that."""
        endpoint = f"{self._world.target.base_url}{TOKEN_PATH}"
        if not self._grants and (what := not_of_the_api(answer.status, answer.header, answer.body)):
            raise Unreachable(endpoint, what)
        if answer.status in _NOT_THERE and not self._grants:
            what = (
                f"is answered {answer.status}: there is no token endpoint. Check base_url in the "
                "target file."
            )
            raise Unreachable(endpoint, what)
        if answer.status in _REFUSED and not Grant.of(answer).token:
            target, version = self._world.target, TOKEN_PATH.split("/")[1]
            if f"/{version}/" in f"{urlsplit(target.base_url).path}/":
                what = f"base_url: the paths that are added to it begin with /{version} themselves"
                raise target.refused_log_in(name, answer.status, what)
            words = words_of(answer)
            raise target.refused_log_in(
                name,
                answer.status,
                USUAL_CHECK + before_the_api(answer.header, answer.body),
                f": {words}" if words else "",
            )

    def remarks(self) -> Iterator[str]:
        """What a reader should know first of what the log-ins showed, though the tests judge it."""
        for name, grant in self._grants.items():
            role = self._world.role_of_scope(grant.scope)
            if role and role != self._world.account(name).role:
                yield (
                    f"[accounts.{name}] logs in with scope {grant.scope!r}, not as "
                    f"{self._world.account(name).role}"
                )
        for grant in list(self._grants.values())[:1]:
            low, high = skew(grant.exchange)
            if low > TOO_FAR_APART or high < -TOO_FAR_APART:
                yield f"the target's clock is {(low + high) / 2:+.0f} s from ours"
