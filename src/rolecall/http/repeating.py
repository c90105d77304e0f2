"""What is sent again: a throttled request, and what is safe to repeat where the target was away."""

from __future__ import annotations

import asyncio
import time

from rolecall.evidence import Exchange
from rolecall.fields import seconds_to_wait
from rolecall.http._httpx import httpx
from rolecall.http.connection import Unreadable
from rolecall.http.in_flight import InFlight
from rolecall.http.pacing import LONGEST_BACKOFF, Pace
from rolecall.http.transports import EXCHANGE, PATIENT, REPEATABLE
from rolecall.outcomes import SENT_BACK

#: RFC 9110 15.6: a gateway's answer, which says nothing of the operation.
AWAY = frozenset({502, 503, 504})
_ATTEMPTS = 4
_THROTTLED_ATTEMPTS = 8  # of one request, while others are let through
_LONGEST_WAIT = 120.0  # seconds; a Retry-After that asks for more is not waited for


class Throttling(httpx.AsyncBaseTransport):
    """Keeps to a number of requests in flight, and waits as a 429 asks (RFC 6585 4): the whole run
    does, not only the request that met it; but for a lone 429 that asks for nothing.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, pace: Pace, in_flight: InFlight) -> None:
        self._inner = inner
        self._pace = pace
        self._in_flight = in_flight

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and again when the target asked to wait: a few times; while the target lets nothing
        through, as long as the run has patience.
        """
        exchange = request.extensions[EXCHANGE]
        attempt = counted = 1
        while True:
            async with self._in_flight.slot():
                asked = time.monotonic()
                response = await self._inner.handle_async_request(request)
            if response.status_code != 429:
                self._pace.answered()
                self._in_flight.answered(exchange, time.monotonic() - exchange.started)
                return response
            if not request.extensions[PATIENT]:
                return response
            said = retry_after(response)
            # a lone one that asks for no time asks for nothing
            is_lone = not said and self._pace.throttled_alone()
            backs_off = is_lone or said is None
            seconds = min(2.0 ** (attempt - 1), LONGEST_BACKOFF) if backs_off else said or 0.0
            is_too_long = seconds > _LONGEST_WAIT
            if not is_lone:
                self._pace.throttled(1.0 if is_too_long else seconds, exchange.started)
            if is_too_long:
                return response
            counted += self._pace.last_answer >= asked
            if counted > _THROTTLED_ATTEMPTS or (
                attempt >= _THROTTLED_ATTEMPTS and not self._pace.is_patient
            ):
                return response
            attempt += 1
            exchange.attempts += 1
            if is_lone:
                await asyncio.sleep(seconds)


class Retrying(httpx.AsyncBaseTransport):
    """Sends again what did not reach the target or was sent back, and what is safe to send twice
    when the target was briefly away; a Retry-After holds the whole run back.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and again where that is safe."""
        repeatable = request.extensions[REPEATABLE]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._inner.handle_async_request(request)
                status = response.status_code
                if status not in AWAY and status not in SENT_BACK:
                    return response
                seconds = retry_after(response) or 0.0
                if seconds > _LONGEST_WAIT:
                    return response
                self._pace.pause(seconds)
                may_repeat = repeatable or status in (421, 425)
                if not may_repeat or attempt == _ATTEMPTS:
                    return response
            except Unreadable:
                raise
            except httpx.ConnectError:
                if attempt == _ATTEMPTS:
                    raise
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if not repeatable or attempt == _ATTEMPTS:
                    raise
            request.extensions[EXCHANGE].attempts += 1
            await asyncio.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")


def no_answer(exchange: Exchange) -> str:
    """What was done in place of an answer that says something of the operation, or an empty text.

    To an attack with another Host 421 may be the refusal.
    """
    if exchange.status in AWAY:
        return "was away"
    is_sent_back = exchange.status in SENT_BACK and not (exchange.attack and exchange.status == 421)
    return "sent it back" if is_sent_back else ""


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that an answer asks to wait; None where it does not say."""
    first = {
        name: next(iter(response.headers.get_list(name)), "") for name in ("retry-after", "date")
    }
    return seconds_to_wait(first["retry-after"], first["date"])
