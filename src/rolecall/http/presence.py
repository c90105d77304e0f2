"""Whether the target is there: told from a request that was lost, and from what answers in its
place while it is started anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange, recalled
from rolecall.foreign_answers import is_foreign
from rolecall.http._httpx import httpx
from rolecall.http.layers import Way
from rolecall.pausing import sleep

#: Seconds before each probe: a network that lost a request may lose a probe.
_PROBES = (0.0, 0.1, 0.2, 0.3, 0.4)
#: The same of those that follow where the target has been there: to start a server anew, or to lead
#: its traffic to another one, takes so long.
_RESTART = (1.0, 2.0, 4.0, 4.0, 4.0, 4.0)
#: Of an answer that is not the target's own.
_REPLACED = (
    "somebody answered for the target with a web page or a redirect, and also what the target had "
    "answered well before"
)
#: Answers of one status that look foreign, beside which the target gave its own: they are its own.
_ITS_OWN = 5


class Presence:
    """What is known of a target's being there; ``probe`` asks for ``known`` again, a plain read
    that was answered, or for anything where there is none, and returns the exchange.
    """

    def __init__(
        self, base_url: str, layers: Way, probe: Callable[[], Awaitable[Exchange]]
    ) -> None:
        self._base_url = base_url
        self._layers = layers
        self._probe = probe
        self._doubting = asyncio.Lock()
        self._own: Counter[int] = Counter()
        self._replaced_until = 0.0  # when the last probe came back with what is not the target's
        self.known: Exchange | None = None  # the last plain read that was answered
        self.dead: Unreachable | None = None

    def check(self) -> None:
        """Raise `Unreachable` once the target is gone, with a traceback of its own each time."""
        if self.dead:
            raise replace(self.dead)

    def answered(self, exchange: Exchange) -> None:
        """Note that a plain read was answered; what looks foreign tells nothing from anything."""
        if not is_foreign(exchange.status, exchange.header, exchange.body):
            self.known = exchange

    async def judge_silence(self, error: httpx.TransportError, exchange: Exchange) -> None:
        """Tell a target that is gone from one that dropped a request, or is started anew.

        Raises:
            Unreachable: nothing was answered since ``exchange`` was sent, and other requests get no
                answer either.
        """
        # one question for all whose requests have failed at the same time
        async with self._doubting:
            self.check()
            if recalled("answered since", lambda: self._layers.last_answer > exchange.started):
                return
            if not await self._is_there():
                unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                what = "cannot be reached" if unreached else "gives no usable answer"
                self._give_up(f"{what}: {exchange.error}")

    async def _is_there(self) -> bool:
        """Whether one of a few probes is answered.

        Where nothing was ever answered, a port on which no server listens is asked once; silence is
        asked twice.
        """
        silent = 0
        for pause in (*_PROBES, *(_RESTART if self.known else ())):
            await sleep(pause)
            try:
                await self._probe()
            except httpx.TransportError as error:
                silent += isinstance(error, httpx.TimeoutException)
                if silent == 2 or (isinstance(error, httpx.ConnectError) and not self.known):
                    return False
            else:
                return True
        return False

    async def is_replaced(self, exchange: Exchange) -> bool:
        """Whether an answer is not the target's own: it is a web page or a redirect, and so is what
        was answered well before, asked for again. It is waited for that this passes.
        """
        if not self.known or not is_foreign(exchange.status, exchange.header, exchange.body):
            return False
        async with self._doubting:
            self.check()
            if recalled("replaced until", lambda: exchange.started < self._replaced_until):
                exchange.error = _REPLACED
                return True
            if self._own[exchange.status] >= _ITS_OWN:
                return False
            if not await self._probes_foreign(0.0):
                self._own[exchange.status] += 1
                return False
            for pause in _RESTART:
                if not await self._probes_foreign(pause):
                    break
        exchange.error = _REPLACED
        return True

    async def _probes_foreign(self, pause: float) -> bool:
        """Whether the answer to a probe, after a pause, is not the target's own either."""
        await sleep(pause)
        try:
            said = await self._probe()
        except httpx.TransportError:
            return True
        if not is_foreign(said.status, said.header, said.body):
            return False
        self._replaced_until, said.error = said.finished, _REPLACED
        return True

    async def judge_throttling(self, asked: float) -> None:
        """Tell a target that lets nothing through from one that throttled a request.

        Raises:
            Unreachable: it has answered nothing but 429 since ``asked``, another request as well.
        """
        async with self._doubting:
            self.check()
            if recalled("throttled throughout", lambda: self._layers.last_let_through < asked):
                status = 429
                with contextlib.suppress(httpx.TransportError):
                    status = (await self._probe()).status
                if status == 429:
                    self._give_up(
                        "gives no usable answer: nothing but 429, whatever the rate_limit"
                    )

    def _give_up(self, what: str) -> NoReturn:
        self.dead = Unreachable(self._base_url, what)
        raise replace(self.dead) from None
