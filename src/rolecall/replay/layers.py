"""The way to a target that is not there: every request is answered as it was then."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit

from rolecall.evidence import Exchange, memory
from rolecall.http._httpx import httpx
from rolecall.http.layers import Way
from rolecall.http.transports import EXCHANGE
from rolecall.outcomes import Inconclusive
from rolecall.replay.moments import ReplayedLoop
from rolecall.replay.recorded import Recorded
from rolecall.replay.recording import RecordedRun

#: What a test is told whose request was not sent then.
NOT_RECORDED = "is not in the evidence"

_Key = tuple[str, str, str]


class NotRecorded(Inconclusive):
    """A request that was not sent then, so that its answer is not known."""


class ReplayedLayers(Way):
    """In place of `rolecall.http.transports.Layers`."""

    def __init__(self, recording: RecordedRun) -> None:
        self._replaying = _Replaying(recording)

    @property
    def outermost(self) -> httpx.AsyncBaseTransport:
        """What fills in the exchange."""
        return self._replaying

    @property
    def last_answer(self) -> float:
        """When the last answer came (monotonic seconds)."""
        return self._replaying.last_answer

    @property
    def last_let_through(self) -> float:
        """The same of the last request that was not throttled."""
        return self._replaying.last_let_through

    async def aclose(self) -> None:
        """There is nothing to close."""


class _Replaying(httpx.AsyncBaseTransport):
    """Fills in the exchange with what came back then, at the moment of then."""

    def __init__(self, recording: RecordedRun) -> None:
        self._recording = recording
        self._shelf = Shelf(recording)
        self.last_answer = self.last_let_through = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as then."""
        exchange: Exchange = request.extensions[EXCHANGE]
        self._recording.course.asked(exchange, memory())
        recorded = self._shelf.take(exchange)
        if recorded is None:
            what = f"{exchange.method} {urlsplit(exchange.url).path} as {exchange.caller}"
            exchange.error = f"it {NOT_RECORDED}"
            self._recording.missing.setdefault(exchange.test, what)
            raise NotRecorded(f"an answer to {what}, which {NOT_RECORDED}", "rolecall rejudge")
        exchange.attempts = recorded.attempts
        exchange.at, exchange.queued = recorded.at, recorded.queued
        exchange.started = recorded.started
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReplayedLoop)
        await loop.come_to(recorded.turn, recorded.resumed)
        return self._answer(exchange, recorded)

    def _answer(self, exchange: Exchange, recorded: Recorded) -> httpx.Response:
        fill, response = self._recording.stand_ins.fill, recorded.response
        exchange.finished = recorded.finished
        exchange.headers = [(field["name"], fill(field["value"])) for field in response["headers"]]
        exchange.body = recorded.body(self._recording.stand_ins)
        exchange.http_version = response["httpVersion"]
        exchange.cut = recorded.cut
        if recorded.failure:
            exchange.begun, exchange.error = recorded.begun, fill(recorded.error)
            exchange.failure = recorded.failure
            raise getattr(httpx, recorded.failure)(exchange.error)
        exchange.status = response["status"]
        self.last_answer = recorded.finished
        if exchange.status != 429:
            self.last_let_through = recorded.finished
        return httpx.Response(exchange.status)


class Shelf:
    """The recorded exchanges, each to be taken once."""

    def __init__(self, recording: RecordedRun) -> None:
        self._stand_ins = recording.stand_ins
        self._by_test: dict[tuple[str, _Key], list[Recorded]] = defaultdict(list)
        self._by_key: dict[_Key, list[Recorded]] = defaultdict(list)
        for recorded in recording.exchanges:
            key = recorded.method, recorded.caller, recorded.attack
            self._by_test[recorded.test, key].append(recorded)
            self._by_key[key].append(recorded)

    def take(self, exchange: Exchange) -> Recorded | None:
        """What an exchange was then: of its own test, or of whichever asked first.

        Of several that fit, it is the first that was not taken; a request that differs in its body
        alone, or in one part of its path, was made from chance or the time.
        """
        key = exchange.method, exchange.caller, exchange.attack
        found = self._best(self._by_test[exchange.test, key], exchange, least=1)
        found = found or self._best(self._by_key[key], exchange, least=_URL)
        if found:
            found.is_served = True
        return found

    def _best(self, candidates: list[Recorded], exchange: Exchange, least: int) -> Recorded | None:
        best, most, binding = None, least - 1, {}
        for recorded in _unserved(candidates):
            points, found = self._points(recorded, exchange)
            if points > most:
                best, most, binding = recorded, points, found
            if points == _ALL:
                break
        self._stand_ins.bind(binding)
        return best

    def _points(self, recorded: Recorded, exchange: Exchange) -> tuple[int, dict[str, str]]:
        found: dict[str, str] = {}
        points = 0
        sent = exchange.request_headers
        for worth, then, now in (
            (_URL, recorded.url, exchange.url),
            (_BODY, recorded.content, exchange.request_body.decode("utf-8", "replace")),
            (_BEARER, recorded.headers.get("authorization", ""), sent.get("authorization", "")),
        ):
            bound = self._stand_ins.fits(then, now)
            if bound is not None:
                points += worth
                found |= bound
        if points < _URL and not _is_alike(recorded.url, exchange.url):
            return 0, {}
        return points + 1, found


_URL, _BODY, _BEARER = 8, 4, 2
_ALL = _URL + _BODY + _BEARER + 1


def _unserved(candidates: Iterable[Recorded]) -> Iterable[Recorded]:
    return (recorded for recorded in candidates if not recorded.is_served)


def _is_alike(then: str, now: str) -> bool:
    """Whether two URLs differ in one part of the path, or in the query alone."""
    parts = [urlsplit(url).path.split("/") for url in (then, now)]
    if len(parts[0]) != len(parts[1]):
        return False
    differing = [before for before, after in zip(*parts, strict=True) if before != after]
    return len(differing) <= 1
