"""How long a revoked credential is let in: the schedule of asking and its judging, on a clock of
its own, at servers whose delay is known.
"""

from __future__ import annotations

from random import Random

import pytest

from rolecall.loadgen.checks.denials import (
    KINDS,
    STAYS,
    Denial,
    Denials,
    Sight,
    Sighting,
    Watch,
)
from rolecall.loadgen.deny_scenario import _CHANCE, _FRESH, _SHOWN, CONNECTIONS

OLD = CONNECTIONS - _FRESH


class Simulated:
    """A server whose workers each remember for ``kept`` seconds whom they let in.

    Args:
        balanced: whether each request may go to another worker; else each connection has one.
        evicts: whether the worker that revokes forgets at once.
    """

    def __init__(
        self,
        dice: Random,
        kept: float,
        workers: int = 1,
        *,
        balanced: bool = False,
        evicts: bool = False,
        slow: float = 0.001,
    ) -> None:
        self.dice = dice
        self.kept = kept
        self.until = [0.0] * workers  # what each remembers
        self.of_connection = [dice.randrange(workers) for _ in range(CONNECTIONS)]
        self.balanced = balanced
        self.evicts = evicts
        self.slow = slow  # seconds that half of an exchange takes at the most
        self.revoked = float("inf")

    def lets_in(self, connection: int, at: float) -> bool:
        """Whether a request is let in at this instant."""
        worker = self.of_connection[connection]
        if self.balanced:
            worker = self.dice.randrange(len(self.until))
        if at < self.until[worker]:
            return True
        if at >= self.revoked:
            return False
        self.until[worker] = at + self.kept
        return True

    def revoke(self, at: float) -> None:
        """Carry out the revocation, in one of the workers."""
        self.revoked = at
        if self.evicts:
            self.until[self.dice.randrange(len(self.until))] = 0.0

    def half(self) -> float:
        """What half of an exchange takes."""
        return self.dice.uniform(0.2, 1.0) * self.slow

    @property
    def refused_from(self) -> float:
        """The instant from which on every worker that a connection leads to refuses it."""
        reached = range(len(self.until)) if self.balanced else self.of_connection
        return max(self.revoked, *(self.until[worker] for worker in reached))


def watched(server: Simulated, bound: float = 5.0) -> tuple[Denial, float]:
    """What is seen of a credential at this server, and the true delay after the answer."""
    watch, answered = Watch(CONNECTIONS, bound, 0.0), 0.0
    free = dict.fromkeys(range(OLD), 0.0)
    revokes = OLD * 0.03 + _SHOWN + _CHANCE * server.dice.random()
    while True:
        number = min(free, key=lambda number: max(free[number], watch.due(number)))
        sent = max(free[number], watch.due(number))
        if sent >= revokes and not answered:
            assert watch.warm == OLD
            server.revoke(revokes)
            watch.revoked = answered = revokes + server.half()
            free = {n: max(free.get(n, 0.0), answered) for n in range(CONNECTIONS)}
            continue
        if answered and watch.is_over(sent):
            return watch.denial(sent), max(server.refused_from - answered, 0.0)
        sent += server.dice.uniform(0.0, 0.001)  # a timer is late
        at = sent + server.half()
        what: Sight = "let in" if server.lets_in(number, at) else "refused"
        free[number] = at + server.half()
        watch.note(Sighting(number, sent, free[number], what))


@pytest.mark.parametrize(("kept", "bound"), [(0.0, 5.0), (0.05, 5.0), (1.0, 5.0), (60.0, 90.0)])
def test_a_cache_of_a_known_time(kept: float, bound: float) -> None:
    """The delay is right within 10 % or 5 ms, and within what is told of how far it may be off; no
    connection contradicts another.
    """
    longest = 0.0
    for seed in range(25):
        denial, truth = watched(Simulated(Random(seed), kept), bound)

        assert denial.outcome == "denied"
        assert abs(denial.delay - truth) <= max(0.1 * truth, 0.005)
        assert abs(denial.delay - truth) <= denial.off
        assert not denial.uneven
        assert not denial.came_back
        longest = max(longest, denial.delay)
    assert longest >= 0.7 * kept  # caches are met when they are new, too


def test_longer_than_the_bound_is_late() -> None:
    """A cache of a minute is not waited for beyond the bound."""
    denial, _ = watched(Simulated(Random(1), 60.0), bound=2.0)

    assert denial == Denial("late")


@pytest.mark.parametrize("workers", [2, 4, 8])
@pytest.mark.parametrize("evicts", [True, False])
def test_a_cache_of_each_worker_is_found(workers: int, evicts: bool) -> None:
    """In 99 of 100 runs of four revocations it is seen that connections differ, whether or not the
    worker that revokes forgets at once.
    """
    found = 0
    for seed in range(100):
        dice = Random(seed)
        found += any(
            watched(Simulated(dice, 1.0, workers, evicts=evicts))[0].uneven for _ in range(4)
        )

    assert found >= 99


def test_the_delay_is_that_of_the_last_worker() -> None:
    """Where connections differ the delay is that of the last one to refuse."""
    for seed in range(25):
        denial, truth = watched(Simulated(Random(seed), 1.0, 4, evicts=True))

        assert denial.outcome == "denied"
        assert abs(denial.delay - truth) <= max(0.1 * truth, 0.005)


def test_what_comes_back_on_a_connection() -> None:
    """Where each request goes to any worker a connection that refused it lets it in again; the end
    of that is known nearly as well.
    """
    for seed in range(25):
        denial, truth = watched(Simulated(Random(seed), 1.0, 4, balanced=True, evicts=True))

        assert denial.came_back
        assert denial.uneven
        assert abs(denial.delay - truth) <= 0.15


def test_a_slow_server() -> None:
    """Where an exchange takes long less is known, and that is told."""
    for seed in range(25):
        denial, truth = watched(Simulated(Random(seed), 0.05, slow=0.05))

        assert abs(denial.delay - truth) <= denial.off


def sighted(*said: tuple[float, Sight], connections: int = 1) -> Watch:
    """A watch at which one connection was answered so, at these seconds after the revocation."""
    watch = Watch(connections, 5.0, 0.0)
    watch.revoked = 10.0
    for at, what in said:
        watch.note(Sighting(0, 10 + at, 10 + at + 0.002, what))
    return watch


def test_what_says_nothing_of_credentials() -> None:
    """Overload and missing answers neither let in nor refuse: without another word nothing is
    known.
    """
    silent = sighted((0.0, "unknown"), (1.0, "unknown"))
    refused = sighted((0.0, "unknown"), (0.1, "refused"), (1.0, "unknown"))

    assert not silent.is_over(10 + 5)
    assert silent.is_over(10 + 5 + STAYS)
    assert silent.denial(16.1).outcome == "undecided"
    assert refused.denial(11.1).outcome == "denied"


def test_a_watch_that_was_cut_short() -> None:
    """What is not refused for long enough is not decided, unless the bound was over before."""
    assert sighted((0.0, "let in"), (0.5, "refused")).denial(10.6).outcome == "undecided"
    assert sighted((0.0, "let in")).denial(10.6).outcome == "undecided"
    assert sighted((0.0, "let in"), (5.1, "let in")).denial(15.2).outcome == "late"


def test_workers_add_up_on_the_master() -> None:
    """What two workers tell is the same as if one had seen it all; a reason counts only where
    nothing of its kind was watched.
    """
    first, second, master = Denials(), Denials(), Denials()
    first.add("user-deleted", Denial("denied", 0.2, 0.01))
    first.add("user-deleted", Denial("late", uneven=True))
    second.add("user-deleted", Denial("denied", 0.4, 0.02, came_back=True))
    second.not_watched("user-deleted", "no account")
    second.not_watched("key-deleted", "no path")
    for worker in (first, second, first):  # the third time there is nothing new
        master.merge(worker.take())

    document = master.document(5.0)
    (row,) = document["kinds"]
    assert {name: row[name] for name in ("watched", "denied", "late", "undecided")} == {
        "watched": 3,
        "denied": 2,
        "late": 1,
        "undecided": 0,
    }
    assert (row["uneven"], row["came_back"]) == (1, 1)
    assert row["delay_ms"]["max"] == 400.0
    assert row["delay_ms"]["off"] == 20.0
    why = {kind["kind"]: kind["why"] for kind in document["not_watched"]}
    assert why.keys() == KINDS.keys() - {"user-deleted"}
    assert why["key-deleted"] == "no path"
    assert why["rotated"] == "the run was over before"
