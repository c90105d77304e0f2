"""Keys on a target that lets a user have so many and no more, in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange, TestEvidence
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import TransientFailure
from rolecall.spec.model import API_KEY
from rolecall.toolkit import spare_keys
from rolecall.toolkit.spare_keys import SpareKeys
from tests.support.exchanges import exchange


class Service:
    """A service with a limit of keys, and a run that makes some as `Callers` does."""

    def __init__(self, most: int, *, refuses: Any = None, deletes: bool = True) -> None:
        self.most, self.refuses, self.deletes = most, refuses, deletes
        self.entries: list[LedgerEntry] = []
        self.asked = 0
        self.keys = SpareKeys(self.delete)
        self._numbers = itertools.count(1)

    @property
    def living(self) -> int:
        """How many keys there are."""
        return sum(not entry.gone for entry in self.entries)

    async def delete(self, entry: LedgerEntry) -> Exchange:
        """Delete a key, where the service has a way to."""
        if self.deletes:
            entry.gone = True
        return exchange("DELETE", status=204 if self.deletes else 405)

    async def ask(self, scopes: Any, test: TestEvidence | None = None) -> Exchange:
        """Ask for a key once."""
        self.asked += 1
        if self.living >= self.most:
            return exchange("POST", status=409)
        if scopes == self.refuses:
            return exchange("POST", status=400)
        number = next(self._numbers)
        entry = LedgerEntry(number, API_KEY, f"key-{number}", id=f"{number}")
        self.entries.append(entry)
        await asyncio.sleep(0)  # the answer is on its way
        self.keys.made(entry, test)
        return exchange("POST", status=201)

    async def make(self, scopes: Any, test: TestEvidence | None = None) -> Exchange:
        """Ask for a key, and once more where there were too many."""
        async with self.keys.room():
            answer = await self.ask(scopes, test)
        if answer.ok:
            return answer
        return await self.keys.after(answer, f"{scopes}", lambda: self.ask(scopes, test))


def story(tell: Callable[[], Awaitable[None]]) -> None:
    """Run it as a test of a run."""
    asyncio.run(in_a_test(tell))


async def in_a_test(tell: Callable[[], Awaitable[None]]) -> None:
    """Let a test of a run do it."""
    with Evidence.collect("test"):
        await tell()


def test_keys_of_tests_that_are_over_make_room() -> None:
    """Where there may be three keys, two of which the whole run needs, each test gets one in turn,
    and those that the run needs stay.
    """
    service = Service(3)

    async def tell() -> None:
        for scope in ("guest", "agent"):
            assert (await service.make([scope])).ok
        for _ in range(5):
            test = TestEvidence()
            assert (await service.make(["guest"], test)).ok
            test.is_over = True

    story(tell)

    assert [entry.gone for entry in service.entries[:2]] == [False, False]
    assert service.living == 3


def test_a_test_waits_for_another_one_to_end() -> None:
    """A key that a test still uses is not deleted; who asks for another one waits for its end."""
    service, first, second = Service(1), TestEvidence(), TestEvidence()

    async def tell() -> None:
        assert (await service.make(["guest"], first)).ok
        waiting = asyncio.create_task(service.make(["guest"], second))
        await asyncio.sleep(0.05)
        assert not service.entries[0].gone and not waiting.done()
        first.is_over = True
        assert (await waiting).ok

    story(tell)

    assert [entry.gone for entry in service.entries] == [True, False]


def test_many_at_the_same_time() -> None:
    """Twenty tests that ask at the same moment, of which each is over soon, get a key each, though
    there may be five, one of which the whole run needs.
    """
    service = Service(5)

    async def one(number: int) -> int:
        test = TestEvidence()
        await asyncio.sleep(0.001 * (number % 3))
        answer = await service.make(["guest"], test)
        await asyncio.sleep(0.01)
        test.is_over = True
        return answer.status

    async def tell() -> None:
        await service.make(["admin"])
        assert set(await asyncio.gather(*map(one, range(20)))) == {201}

    story(tell)

    assert not service.entries[0].gone


def test_scopes_that_are_refused_for_themselves() -> None:
    """What is refused though there is no other key is meant so: it is tried once more, and from
    then on nothing waits, nor is anything deleted.
    """
    service = Service(100, refuses=["guest", "agent"])

    async def tell() -> None:
        await service.make(["guest"], TestEvidence(is_over=True))
        for _ in range(3):
            assert (await service.make(["guest", "agent"])).status == 400
        assert (await service.make(["guest"])).ok
        assert (await service.make(["guest"])).ok

    story(tell)

    assert service.asked == 1 + 2 + 2 + 2
    assert service.living == 2


@pytest.mark.parametrize("status", [302, 404, 405, 500, 501])
def test_what_is_no_limit(status: int) -> None:
    """A path that is not there, and a server in trouble, say nothing of a limit."""
    service = Service(100)

    async def tell() -> None:
        await service.make(["guest"], TestEvidence(is_over=True))
        refusal = exchange("POST", status=status)
        assert await service.keys.after(refusal, "", lambda: service.ask(["guest"])) is refusal

    story(tell)

    assert (service.asked, service.living) == (1, 1)


@pytest.mark.parametrize("deletes", [True, False])
def test_no_room_can_be_made(deletes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole run needs all keys, no test ends, or keys cannot be deleted, the refusal is
    the answer, soon.
    """
    monkeypatch.setattr(spare_keys, "_LONGEST_WAIT", 0.2)
    service, running = Service(2, deletes=deletes), TestEvidence(is_over=not deletes)

    async def tell() -> None:
        await service.make(["guest"])
        await service.make(["agent"], running)
        assert (await service.make(["guest"])).status == 409

    story(tell)

    assert service.living == 2


def test_trouble_while_a_limit_is_looked_for() -> None:
    """Where the second request meets trouble no limit is taken for known: others go on at once."""
    service = Service(100)

    async def broken() -> Exchange:
        raise TransientFailure("an answer")

    async def tell() -> None:
        await service.make(["guest"])
        await service.make(["guest"], TestEvidence(is_over=True))
        with pytest.raises(TransientFailure):
            await service.keys.after(exchange("POST", status=409), "", broken)
        async with service.keys.room(), service.keys.room():
            pass

    asyncio.run(asyncio.wait_for(in_a_test(tell), 5))


def test_what_the_run_needs_no_more() -> None:
    """A key that was let go makes room as well."""
    service = Service(1)

    async def tell() -> None:
        await service.make(["guest"])
        assert (await service.make(["guest"])).status == 409
        service.keys.let_go("key-1")
        assert (await service.make(["guest"])).ok

    story(tell)
