"""The pace of a run, as a target sees it: its rate in any second, pauses that hold for the whole
run, and storms of 429.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from rolecall.errors import Unreachable
from rolecall.http import pacing
from rolecall.http.client import Client
from rolecall.http.in_flight import InFlight
from rolecall.outcomes import TransientFailure
from tests.support.clients import talk
from tests.support.exchanges import exchange
from tests.support.miniatures import (
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    response,
)
from tests.support.timelines import busiest

OK = always(json_response({"fine": True}))


async def many(client: Client, count: int) -> None:
    """Requests that are all wanted at once."""
    await asyncio.gather(*(client.send("GET", f"/v2/users?{number}") for number in range(count)))


def refusing(nth: int) -> Callable[[Received, Connection], None]:
    """A target that refuses every so-many-th request with 429, and does not say how long."""
    count, lock = itertools.count(1), threading.Lock()

    def answer(request: Received, connection: Connection) -> None:
        with lock:
            is_refused = next(count) % nth == 0
        connection.send(response(429) if is_refused else json_response({}))

    return answer


class TestRate:
    """Never more than the limit in any second, at the target's side."""

    def test_a_network_that_delays_some_of_them(self) -> None:
        """Requests that wait somewhere, and then arrive together with later ones, are never more
        than the limit in any second of the target.
        """
        arrived: list[float] = []
        numbers, lock = itertools.count(), threading.Lock()

        def late(request: Received, connection: Connection) -> None:
            with lock:
                number = next(numbers)
            connection.wait(0.4 if number % 7 < 3 else 0.0)  # on its way
            with lock:
                arrived.append(time.monotonic())
            OK(request, connection)

        with Miniature(late) as server:
            talk(server.url, lambda it: many(it, 70), rate_limit=20.0, concurrency=16)

        assert len(arrived) == 70
        assert busiest(arrived) <= 20

    def test_what_is_sent_again_counts(self) -> None:
        """Reads that are repeated after a 503 are within the limit."""
        answers = itertools.cycle([response(503), *[json_response({})] * 4])
        with Miniature(lambda request, connection: connection.send(next(answers))) as server:
            talk(server.url, lambda it: many(it, 20), rate_limit=10.0, concurrency=8)

        assert len(server.received) > 20
        assert busiest([request.at for request in server.received]) <= 10

    @pytest.mark.parametrize(("limit", "least"), [(2.5, 1.3), (0.8, 3.7)])
    def test_a_limit_that_is_no_whole_number(self, limit: float, least: float) -> None:
        """2.5 a second are two in any second, and 0.8 are four in five seconds."""
        with Miniature(OK) as server:
            talk(server.url, lambda it: many(it, 4), rate_limit=limit)

        moments = [request.at for request in server.received]
        assert busiest(moments) <= max(1, int(limit))
        assert moments[-1] - moments[0] >= least

    def test_none_where_there_is_no_limit(self) -> None:
        """Without a limit nothing waits for a second to pass."""
        began = time.monotonic()
        with Miniature(OK) as server:
            talk(server.url, lambda it: many(it, 200), rate_limit=0.0)

        assert server.received[-1].at - server.received[0].at < 5
        assert time.monotonic() - began < 10


class TestPauses:
    """What one request was told holds for all of them."""

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_requests_that_wait_for_their_turn(self, status: int, form: str) -> None:
        """Requests that wait for their turn already do not leave in the pause, and one that must
        not be repeated makes the others wait as well.
        """
        until = 0.0

        def refuse(request: Received, connection: Connection) -> None:
            nonlocal until
            until = time.monotonic() + 1.0
            moment = time.time()
            asks = "1" if form == "seconds" else formatdate(moment + 2, usegmt=True)
            connection.send(
                response(status, retry_after=asks, date=formatdate(moment, usegmt=True))
            )

        async def conversation(client: Client) -> None:
            others = asyncio.create_task(many(client, 12))
            await asyncio.sleep(0)
            try:
                await client.send("POST", "/v2/users", json={})
            except TransientFailure:
                assert status == 503
            await others

        with Miniature(in_turn(*[OK] * 3, refuse, OK)) as server:
            talk(server.url, conversation, rate_limit=20.0)

        later = [request.at for request in server.received[4:]]
        assert len(later) >= 9
        assert min(later) >= until - 0.05


class TestStorms:
    """A target that lets nothing through for a while delays the run."""

    @pytest.mark.parametrize("retry_after", ["", "0"])
    def test_a_storm_is_waited_out(self, retry_after: str) -> None:
        """All requests are answered in the end; while the storm lasts, only one looks whether it
        is over, less and less often.
        """
        over = time.monotonic() + 3

        def storm(request: Received, connection: Connection) -> None:
            refused = response(429, retry_after=retry_after)
            connection.send(refused if time.monotonic() < over else json_response({}))

        with Miniature(storm) as server:
            talk(server.url, lambda it: many(it, 12), concurrency=4)

        refused = [request for request in server.received if request.at < over]
        assert len(server.received) - len(refused) >= 12
        assert len(refused) <= 9  # four at once, then one by one

    def test_one_request_that_shall_wait_for_hours(self) -> None:
        """A single 429 that asks for hours costs that request and not the run, however few are in
        flight.
        """

        async def conversation(client: Client) -> None:
            await many(client, 3)
            with pytest.raises(TransientFailure, match="asked to wait '36000'"):
                await client.send("GET", "/v2/users")
            await many(client, 3)

        with Miniature(
            in_turn(*[OK] * 3, always(response(429, retry_after="36000")), OK)
        ) as server:
            talk(server.url, conversation, concurrency=1)

    def test_patience_has_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A target that throttles for ever is given up once the run's patience is used up."""
        monkeypatch.setattr(pacing, "_PATIENCE", 2.5)
        began = time.monotonic()

        async def conversation(client: Client) -> None:
            with pytest.raises(Unreachable, match="nothing but 429"):
                await client.send("GET", "/v2/users")

        with Miniature(always(response(429, retry_after="0"))) as server:
            talk(server.url, conversation)

        assert time.monotonic() - began > 2.5
        assert len(server.received) < 15


class TestLone:
    """A 429 that comes alone, and does not say how long to wait, holds up its own request only."""

    def test_one_in_thirty_however_seldom_they_are_asked(self) -> None:
        """A target that refuses one request in thirty at any rate gets the others without a pause:
        they took half an hour where each 429 held up all of them.
        """
        with Miniature(refusing(30)) as server:
            talk(server.url, lambda it: many(it, 600), rate_limit=0.0)
            took = server.received[-1].at - server.received[0].at

        assert len(server.received) == 600 + 20
        assert took < 10  # 20 pauses would be 20 seconds, and each lower rate more

    @pytest.mark.parametrize("asks", [None, "0", "Wed, 21 Oct 2015 07:28:00 GMT"])
    def test_its_own_request_waits(self, asks: str | None) -> None:
        """The refused one is sent again a second later, while others go on; so it is where it asks
        for no time at all, or for one that is over.
        """
        refusal = response(429, retry_after=asks) if asks else response(429)
        with Miniature(in_turn(*[OK] * 5, always(refusal), OK)) as server:

            async def conversation(client: Client) -> None:
                await many(client, 5)
                refused = asyncio.create_task(client.send("GET", "/v2/users?refused"))
                await asyncio.sleep(0.2)
                await many(client, 5)
                await refused

            talk(server.url, conversation)

        first, *_, last = server.received[5:]
        assert len(server.received) == 12 and "refused" in last.path
        assert last.at - first.at >= 0.95
        assert server.received[10].at - first.at < 0.9

    @pytest.mark.long
    def test_many_of_them_lower_the_rate(self) -> None:
        """Where every third request is refused, never two in a row, the rate goes down."""
        with Miniature(refusing(3)) as server:
            talk(server.url, lambda it: many(it, 60), rate_limit=100.0, concurrency=2)
            moments = [request.at for request in server.received]

        assert moments[-1] - moments[0] > 1.5 * len(moments) / 100


class TestInFlight:
    """Fewer requests are in flight while a target is slower than it was."""

    @staticmethod
    def answers(slots: InFlight, seconds: float, count: int, path: str = "/v2/users") -> None:
        """So many answers that took so long."""
        answered = exchange("GET", f"https://example.org{path}")
        for _ in range(count):
            slots.answered(answered, seconds)

    def test_a_target_that_slows_down_and_recovers(self) -> None:
        """Slower answers halve the number down to one, usual ones raise it to the target file's."""
        slots = InFlight(8, "https://example.org")
        course = []
        for seconds in (0.05, 0.6, 0.6, 0.6, 0.6, *[0.05] * 8):
            self.answers(slots, seconds, 32)
            course.append(slots.allowed)

        assert course == [8, 4, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8]

    @pytest.mark.parametrize(("usual", "then"), [(0.002, 0.19), (1.0, 2.5)])
    def test_what_is_not_slow(self, usual: float, then: float) -> None:
        """A local server's hiccups, and a slow server as slow as ever, change nothing."""
        slots = InFlight(8, "https://example.org")
        self.answers(slots, usual, 64)
        self.answers(slots, then, 320)

        assert slots.allowed == 8

    def test_a_slow_kind_of_request(self) -> None:
        """Log-ins that have always taken longer than reads are not taken for a slow target."""
        slots = InFlight(8, "https://example.org")
        self.answers(slots, 0.01, 64)
        self.answers(slots, 0.8, 320, "/v2/auth/token")

        assert slots.allowed == 8

    def test_slots_follow(self) -> None:
        """As many have a slot at once as are allowed, after it was lowered and raised again."""
        slots = InFlight(4, "https://example.org")
        most: list[int] = []
        now = 0

        async def hold() -> None:
            nonlocal now
            async with slots.slot():
                now += 1
                most[-1] = max(most[-1], now)
                await asyncio.sleep(0)
                now -= 1

        async def course() -> None:
            for seconds in (0.01, 0.9, 0.9, *[0.01] * 4):
                self.answers(slots, seconds, 32)
                most.append(0)
                await asyncio.gather(*(hold() for _ in range(4)))  # those in flight let go
                most[-1] = 0
                await asyncio.gather(*(hold() for _ in range(12)))

        asyncio.run(course())
        assert most == [4, 2, 1, 2, 3, 4, 4]
