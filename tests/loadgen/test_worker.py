"""All that one process of a load run sends has an end, however the run ends."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest

from rolecall.errors import ExitCode
from rolecall.loadgen import worker as module
from rolecall.loadgen.messages import End, Prepare
from rolecall.loadgen.run import LoadRun
from rolecall.loadgen.scenarios import IssuanceScenario
from tests.support.load_servers import from_the, sound
from tests.support.load_workers import Led, wait_for
from tests.support.miniatures import Miniature, always, response, silent


def sums(led: Led) -> tuple[int, int, int]:
    """Steps that were sent, came to an end, and were given up."""
    accounts = led.accounts
    assert list(accounts.broken()) == []
    return accounts.sent, accounts.completed, accounts.unanswered


class TestUnanswered:
    """What is under way when the grace ends has failed, with the time that it was waited for."""

    def test_in_an_open_schedule(self, tmp_path: Path) -> None:
        """A server that hangs from some request on, and a timeout that is far away: each of the
        others is an error, none is lost.
        """
        with Miniature(from_the(12, silent)) as server:
            led = Led(tmp_path, server.url)
            led.prepare("issuance", clients=4)
            led.go(rate=50, seconds=0.5)
            led.last()

            document = led.totals.document()
            assert sums(led) == (25, document["completed"], 25 - document["completed"])
            assert document["scheduled"] == 25
            assert document["errors"] == {"unanswered": 25 - document["completed"]}
            assert document["completed"] < 12
            # the first of them waited from its moment to the end of the grace
            assert document["response_ms"]["max"] > 500
            # A log-in to see whether anybody is there, and all of the run.
            assert len(server.received) == led.accounts.requests_sent + 1

    @pytest.mark.parametrize("scenario", ["issuance", "session", "refresh-race", "mixed"])
    def test_in_a_closed_loop(self, scenario: str, tmp_path: Path) -> None:
        """A closed loop counts its steps, and its users who hang at the end, in whatever request of
        a step.
        """
        with Miniature(from_the(150, silent)) as server:
            led = Led(tmp_path, server.url)
            led.prepare()
            users = [led.user(scenario) for _ in range(5)]
            led.go()
            wait_for(lambda: len(server.received) >= 152)
            led.worker.end({"grace": 0.2})

            sent, completed, unanswered = sums(led)
            assert completed > 0
            assert sent == completed + unanswered
            assert 0 < unanswered <= 5
            assert set(led.totals.document()["errors"]) == {"unanswered"}
            gevent.joinall(users, timeout=5)
            assert sent == led.accounts.sent  # what comes to an end afterwards belongs to nothing
            received = len(server.received)
            gevent.sleep(0.1)
            # who is let go sends nothing more, in the same step either
            assert len(server.received) == received

    def test_is_of_its_own_segment(self, tmp_path: Path) -> None:
        """A search's next step begins with idle clients, and is not charged for those who hung in
        the one before.
        """
        count = itertools.count()

        def hangs_in_the_middle(request: Any, connection: Any) -> None:
            number = next(count)
            (silent if 10 <= number < 15 else sound)(request, connection)

        with Miniature(hangs_in_the_middle) as server:
            led = Led(tmp_path, server.url, in_flight=5)
            led.prepare("issuance", clients=5)
            led.go(rate=60, seconds=0.3)
            led.last()
            first = led.accounts
            led.said.clear()
            led.go(rate=60, seconds=0.3, number=2)
            led.last()

        assert first.unanswered == 5
        assert first.sent + first.dropped == 18
        assert list(first.broken()) == []
        assert sums(led) == (18, 18, 0)

    def test_short_words_of_who_is_interrupted(self, tmp_path: Path) -> None:
        """A run that is ended early waits no longer than told, and its accounts add up."""
        with Miniature(from_the(5, silent)) as server:
            led = Led(tmp_path, server.url)
            led.prepare("issuance", clients=4)
            led.go(rate=50, seconds=30, grace=30)
            wait_for(lambda: len(server.received) >= 8)
            began = time.monotonic()
            led.worker.end({"grace": 0.2})
            led.last()

        assert time.monotonic() - began < 5
        assert sums(led)[2] > 0


@pytest.mark.parametrize("scenario", ["refresh-get", "refresh-post", "session", "mixed"])
def test_an_open_schedule_uses_all_accounts(scenario: str, tmp_path: Path) -> None:
    """At a rate that a single client could carry, the load is spread over all four accounts, and
    the reports say so.
    """
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare(scenario, clients=1)
        led.go(rate=40, seconds=0.5)
        led.last()
        used = {
            request.headers.get("authorization", "").partition(".")[2].partition(".")[0]
            or json.loads(request.body).get("clientId", "")
            for request in server.received[-20:]
        }

    assert max(report["accounts"] for report in led.reports) == 4
    assert len(used) >= 4


def test_a_closed_loop_uses_as_many_accounts_as_it_has_users(tmp_path: Path) -> None:
    """Two users are two sessions; the reports say that two of the four accounts took part."""
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare()
        users = [led.user("refresh-post", steps=10) for _ in range(2)]
        led.go()
        gevent.joinall(users, timeout=20)
        led.worker.end({"grace": 0.2})

    assert max(report["accounts"] for report in led.reports) == 2


def test_what_is_sent_beside_the_load_is_counted(tmp_path: Path) -> None:
    """Log-ins of set-up, and what is made and deleted for sampled cells, are in no figure, but are
    said: nothing that was sent is missing.
    """
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare("session", clients=3)
        led.go(rate=30, seconds=0.3)
        led.last()

        assert sum(report["beside"] for report in led.reports) == 1 + 4  # each of the accounts
        assert len(server.received) == led.accounts.requests_sent + 5

    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare()
        user = led.user("guarded", steps=20)
        led.go()
        user.join(10)
        led.worker.end(End().pack())

        assert len(server.received) == led.accounts.requests_sent + sum(
            report["beside"] for report in led.reports
        )


class Broken(IssuanceScenario):
    """A client with a mistake in it."""

    def prepare(self) -> None:
        """Break."""
        raise KeyError("the-token-of-somebody")


def test_a_client_that_breaks_beforehand_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that cannot begin ends the run; the last report says what broke, and where."""
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)

        def context() -> Any:
            return led.worker.context

        monkeypatch.setattr(module, "maker", lambda *_: lambda: Broken(context()))
        led.prepare()
        led.user("issuance")
        led.go()

        assert led.last()["error"].startswith("KeyError in loadgen/test_worker.py, line ")
        assert not led.worker.going.is_set()


def no_memory(*_: Any) -> Any:
    """As where this machine has none left."""
    raise MemoryError


def test_a_machine_without_memory_is_no_mistake_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not left beforehand, the word is that, with what helps, and no exit code of a
    harness that broke; where it runs out under way, the run's reasons have the same.
    """
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        monkeypatch.setattr(module, "maker", no_memory)
        led.worker.prepare(Prepare("issuance", 0, 0, 1, {}).pack())
        kind, ready = led.said.pop()

        monkeypatch.setattr(module, "maker", lambda *_: no_memory)
        led.prepare()
        led.user("issuance")
        led.go()
        coordinator = SimpleNamespace(errors=[led.last()["error"]], lost=[], sampled={"left": []})
    run: Any = LoadRun(cast("Any", None), led.options, cast("Any", coordinator), "issuance")

    said = "the generator was out of memory: let fewer clients send, or use more machines"
    assert (kind, ready["error"], ready["exit_code"]) == ("ready", said, ExitCode.INCONCLUSIVE)
    assert run.why_void() == [said]
    assert run.exit_code("invalid") == ExitCode.INCONCLUSIVE
    coordinator.errors.append("KeyError in a.py:1")
    assert run.exit_code("invalid") == ExitCode.HARNESS_ERROR


def test_a_report_that_cannot_be_made_is_one_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is new cannot be told, the master hears why, instead of waiting for a report that
    never comes.
    """
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare("issuance", clients=1)
        assert led.worker.context is not None
        monkeypatch.setattr(led.worker.context.invariants, "take", lambda: 1 / 0)
        led.go(rate=20, seconds=0.2)

        last = led.last()

    assert led.reports[-2]["error"].startswith("ZeroDivisionError in ")
    assert last["measured"] is led.reports[-2]["measured"] is None


def test_tidying_up_holds_up_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was measured is told before things are deleted, which may take long or break; that
    it broke is told, too.
    """
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare("issuance", clients=1)
        assert led.worker.context is not None
        told: list[Any] = []

        def tidy() -> None:
            told.append(led.accounts)
            raise KeyError("nothing")

        monkeypatch.setattr(led.worker.context, "tidy", tidy)
        led.go(rate=20, seconds=0.2)

        assert led.last()["error"].startswith("KeyError in loadgen/test_worker.py, line ")
    assert told[0].completed == 4


def test_a_word_that_means_nothing_is_answered(tmp_path: Path) -> None:
    """A master of another version gets a last report with what broke, and does not wait in vain."""
    with Miniature(sound) as server:
        led = Led(tmp_path, server.url)
        led.prepare()
        led.worker.go({"number": 1})

    assert led.last()["number"] == 1
    assert "the master: its order to go cannot be read: delay is missing" in led.last()["error"]


class TestStandingStill:
    """A process that was stopped for a while knows it, says it, and where others went on without it
    sends no more.
    """

    def test_is_said(self, tmp_path: Path) -> None:
        """A pause is in the report, with the requests that it may have disturbed; the others are
        not touched.
        """
        with Miniature(sound) as server:
            led = Led(tmp_path, server.url)
            led.prepare("issuance", clients=2)
            led.go(rate=40, seconds=1)
            gevent.sleep(0.5)
            time.sleep(0.3)  # as a process that is stopped
            led.last()

        pauses = led.totals.document()["pauses"]
        assert 250 < pauses["longest_ms"] <= pauses["stood_still_ms"]
        assert 10 <= pauses["requests"] < 40
        assert sums(led) == (40, 40, 0)

    @pytest.mark.parametrize("how", ["open", "closed"])
    def test_for_too_long_is_the_end_of_a_worker(
        self, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that stood still for too long sends nothing more, and says how long it was."""
        monkeypatch.setattr(module, "_AWAY", 0.4)
        with Miniature(sound) as server:
            led = Led(tmp_path, server.url, led=True)
            led.prepare("issuance", clients=2 if how == "open" else 0)
            users = [] if how == "open" else [led.user("issuance")]
            led.go(rate=50 if how == "open" else 0, seconds=30)
            gevent.sleep(0.3)
            time.sleep(0.6)
            led.last(5)
            gevent.sleep(0.1)
            received = len(server.received)
            gevent.sleep(0.3)

            assert led.reports[-2]["away"] > 0.4
            assert len(server.received) == received
            assert how == "closed" or led.accounts.sent < 25  # not what was due meanwhile, either
            gevent.joinall(users, timeout=5)
        assert list(led.accounts.broken()) == []

    def test_alone_is_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process without a master goes on after a pause."""
        monkeypatch.setattr(module, "_AWAY", 0.2)
        with Miniature(sound) as server:
            led = Led(tmp_path, server.url)
            led.prepare("issuance", clients=2)
            led.go(rate=20, seconds=1)
            gevent.sleep(0.2)
            time.sleep(0.4)
            led.last()

        assert {report["away"] for report in led.reports} == {0}
        assert sums(led) == (20, 20, 0)


@pytest.mark.parametrize(("status", "says"), [(201, True), (401, False)])
def test_a_log_in_with_another_status(status: int, says: bool, tmp_path: Path) -> None:
    """A server that issues with 201 is told by which reading it could be loaded, one that refuses
    is not.
    """
    with Miniature(always(response(status))) as server:
        led = Led(tmp_path, server.url)
        job = {"scenario": "issuance", "clients": 0, "index": 0, "workers": 1, "options": {}}
        led.worker.prepare(job)

    ((_, ready),) = led.said
    assert f"answers {status} to the log-in" in ready["error"]
    assert ("issued under [dialect]" in ready["error"]) == says
