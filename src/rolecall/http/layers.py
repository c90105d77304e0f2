"""The way to a target: the layers in their order, and what is known of its answers."""

from __future__ import annotations

from typing import Protocol

from rolecall.http._httpx import httpx
from rolecall.http.in_flight import InFlight
from rolecall.http.pacing import Pace, Pacing
from rolecall.http.repeating import Retrying, Throttling
from rolecall.http.transports import Network, Recording, WrittenDown
from rolecall.ledger import Ledger
from rolecall.target import Target


class Way(Protocol):
    """A way to a target: what takes requests, and what is known of its answers."""

    @property
    def outermost(self) -> httpx.AsyncBaseTransport:
        """What a request is given to."""
        raise NotImplementedError

    @property
    def last_answer(self) -> float:
        """When the last answer came (monotonic seconds); 0 before the first."""
        raise NotImplementedError

    @property
    def last_let_through(self) -> float:
        """The same of the last request that was not throttled."""
        raise NotImplementedError

    @property
    def pause_left(self) -> float:
        """Seconds for which the target holds every request back; 0 where it does not."""
        return 0.0

    async def aclose(self) -> None:
        """Close all connections."""


class Layers(Way):
    """All layers on the way to a target over the network."""

    def __init__(self, target: Target, ledger: Ledger) -> None:
        self._network = Network(target)
        self._pace = Pace(target.rate_limit)
        in_flight = InFlight(target.concurrency, target.base_url)
        retrying = Retrying(Pacing(self._network, self._pace), self._pace)
        throttling = Throttling(retrying, self._pace, in_flight)
        self._recording = Recording(WrittenDown(throttling, ledger))

    @property
    def outermost(self) -> httpx.AsyncBaseTransport:
        """What fills in the exchange."""
        return self._recording

    @property
    def last_answer(self) -> float:
        """When the last answer came (monotonic seconds); 0 before the first."""
        return self._network.last_answer

    @property
    def last_let_through(self) -> float:
        """The same of the last request that was not throttled."""
        return self._pace.last_answer

    @property
    def pause_left(self) -> float:
        """As its pace has it."""
        return self._pace.pause_left

    async def aclose(self) -> None:
        """Close all connections."""
        await self._network.aclose()
