"""What a run proves: never met by what was not measured, never missed by what this side did, and
void where its accounts are broken.

Longer than 400 lines because all ways in which a run proves nothing are read together.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from rolecall.loadgen.judgement import Judgement
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective, at_best, beyond_doubt

NOT_BUSY = {"waited": 0.0, "quota": 0.0, "machine_busy": 0.1, "stolen": 0.0}
#: Long ago, so that whatever a recorder is told has happened already.
START = 1000.0


class Measured:
    """What workers measured in ten seconds, by what came of it; all of it adds up."""

    def __init__(self) -> None:
        self.recorder = Recorder(START)
        self.entry = self.recorder.entry("POST", "issue")
        self._dice = random.Random(1)

    def _begin(self, count: int) -> list[float]:
        self.recorder.scheduled += count
        self.recorder.sent += count
        self.recorder.begun += count
        self.recorder.completed += count
        return [START + 10 * self._dice.random() for _ in range(count)]

    def good(self, count: int, ms: float = 10.0) -> Measured:
        """Answers as they should be."""
        for at in self._begin(count):
            self.entry.success(at - ms / 1000, at - ms / 1000, at, 1)
        return self

    def failed(self, count: int, kind: str = "500", ms: float = 10.0) -> Measured:
        """Answers as they should not be, or none."""
        for at in self._begin(count):
            self.entry.failure(kind, at - ms / 1000, at - ms / 1000, at)
        return self

    def throttled(self, count: int) -> Measured:
        """Answers of 429."""
        for at in self._begin(count):
            self.entry.throttled(at - 0.001, at - 0.001, at)
        return self

    def dropped(self, count: int) -> Measured:
        """Arrivals without a free client."""
        self.recorder.scheduled += count
        self.recorder.dropped += count
        return self

    def paused(self, seconds: float) -> Measured:
        """The process stood still until now; what was due before is disturbed."""
        self.recorder.paused(seconds, START + 20, long=True)
        return self

    def resumed(self) -> Measured:
        """What comes from now on is not disturbed."""
        self.recorder.resumed = 0.0
        return self

    def document(self) -> dict[str, Any]:
        """The measured part of ``load.json``."""
        totals = Totals()
        totals.merge("one", {**self.recorder.take(), "cpu": [1.0, 10.0]})  # not that of this test
        document = totals.document(10)
        assert document["conservation"]["holds"], document["conservation"]
        return document

    def judged(
        self,
        *objectives: str,
        void: Sequence[str] = (),
        violations: int = 0,
        closed: bool = False,
        shut_out: Sequence[tuple[str, int]] = (),
        beside: int = 0,
    ) -> Judgement:
        """The verdict, with ``errors<1%`` unless other objectives are named."""
        chosen = [Objective.parse(text) for text in objectives or ("errors<1%",)]
        return Judgement.of(
            self.document(),
            chosen,
            violations=violations,
            void=void,
            closed=closed,
            shut_out=shut_out,
            beside=beside,
        )


class TestNothingLetIn:
    """What was not measured keeps no objective, and a run without a good answer is not met."""

    @pytest.mark.parametrize("text", ["p99<250ms", "p97<1ms", "max<1s", "mean<1s", "errors<1%"])
    def test_all_throttled(self, text: str) -> None:
        """Requests that are all answered 429 have no times and no share of errors."""
        judged = Measured().throttled(200).judged(text, "throttled<=100%")

        assert [row["observed"] for row in judged.objectives] == [None, 100]
        assert [row["held"] for row in judged.objectives] == [False, True]
        assert (judged.verdict, judged.reasons[0][:20]) == ("invalid", "nothing was let in: ")

    def test_log_ins_beforehand_are_no_load(self) -> None:
        """Where clients think for longer than the run lasts, log-ins before it prove nothing."""
        judged = Judgement.of(
            {**Measured().good(3).document(), "sent": 0},
            [Objective.parse("errors<1%")],
            violations=0,
            void=[],
            closed=True,
        )

        assert judged.verdict == "invalid"
        assert judged.reasons[0].startswith("no client took a step")

    def test_errors_are_a_share_of_what_was_let_in(self) -> None:
        """All that was let in failed: that many were turned away makes it no better."""
        judged = Measured().throttled(9_905).failed(95).judged()

        assert judged.objectives[0]["observed"] == 100
        assert judged.verdict == "missed"
        assert judged.reasons[0] == "errors<1% did not hold: 100 %"

    def test_errors_that_were_allowed(self) -> None:
        """Where any number of errors is allowed, a run without one good answer proves nothing all
        the same.
        """
        judged = Measured().failed(50).judged("errors<1000")

        assert (judged.verdict, judged.reasons[0][:26]) == ("invalid", "nothing good was answered:")

    @pytest.mark.parametrize(
        ("objectives", "verdict"), [(["p99<1s"], "invalid"), (["p99<1s", "throttled<99.5%"], "met")]
    )
    def test_hardly_anything_let_in(self, objectives: list[str], verdict: str) -> None:
        """A server that turns nearly all away was not under the load that was asked for, unless
        that is what was asked for.
        """
        judged = Measured().throttled(990).good(10).judged(*objectives)

        assert judged.verdict == verdict

    def test_what_is_sent_beside_the_load_takes_up_the_limit(self) -> None:
        """Where more was sent beside the load than for it, a lower rate is no way out."""
        (alone,) = Measured().throttled(990).good(10).judged("p99<1s").reasons
        (beside,) = Measured().throttled(990).good(10).judged("p99<1s", beside=2_000).reasons

        assert "; lower the rate, or" in alone
        assert "; 2,000 more were sent beside the load" in beside
        assert "lower the rate" not in beside

    def test_some_throttled(self) -> None:
        """A limiter at work does not count against the rest."""
        assert Measured().throttled(100).good(900).judged("p99<250ms", "errors<1%").verdict == "met"

    def test_nothing_at_all(self) -> None:
        """A run without an answer is invalid."""
        assert Measured().judged().verdict == "invalid"


class TestOneName:
    """Objectives of the requests of one name."""

    def test_a_name_that_was_not_requested_blames_no_server(self) -> None:
        """A misspelt name proves nothing, and the names that there were are said."""
        judged = Measured().good(100).judged("isue:p99<250ms")

        assert judged.verdict == "invalid"
        assert judged.reasons == ["isue:p99<250ms: no request is called 'isue'; there were issue"]

    @pytest.mark.parametrize(("text", "verdict"), [("20ms", "met"), ("5ms", "missed")])
    def test_it_decides(self, text: str, verdict: str) -> None:
        """An objective of one name is as good as one of all."""
        assert Measured().good(100).judged(f"issue:p99<{text}").verdict == verdict


class TestBeyondDoubt:
    """What was not sent can only have been no better: a run that is missed even so is missed, any
    other invalid.
    """

    def test_a_server_that_hangs(self) -> None:
        """Two thousand errors among at most four thousand are too many, however the dropped ones
        had gone.
        """
        judged = Measured().failed(2_000, "timeout", 10_000).good(95).dropped(1_407).judged()

        assert judged.verdict == "missed"
        assert judged.reasons == [
            "errors<1% did not hold: 95.47 %",
            "1,407 arrivals dropped, no client was free to send them: raise --in-flight",
        ]

    @pytest.mark.parametrize(
        ("dropped", "verdict"), [(0, "missed"), (1_799, "missed"), (1_801, "invalid")]
    )
    def test_the_dropped_are_taken_as_perfect(self, dropped: int, verdict: str) -> None:
        """Nineteen errors are more than one in a hundred of up to 1,900: with so many it is missed,
        with more it is not known.
        """
        run = Measured().good(81).failed(19).dropped(dropped)

        assert run.judged().verdict == verdict

    @pytest.mark.parametrize(
        ("text", "verdict"),
        [("p50<50ms", "missed"), ("p99<50ms", "missed"), ("p20<50ms", "invalid")],
    )
    def test_times(self, text: str, verdict: str) -> None:
        """A third more that took no time at all: the median is too long even so, the shortest fifth
        is not.
        """
        assert Measured().good(300, ms=100).dropped(100).judged(text).verdict == verdict

    def test_a_rate_from_below_is_never_missed_for_sure(self) -> None:
        """What was dropped might have been answered, and the rate have been as high as was asked
        for.
        """
        assert Measured().good(900).dropped(200).judged("rate>100").verdict == "invalid"

    def test_what_this_machine_could_not_send(self) -> None:
        """Attempts without a free file make a run invalid, and are not errors."""
        run = Measured().good(500)
        run.recorder.begun += 300
        for _ in range(300):
            run.entry.failure("local", START + 5, 0.0, START + 5)
        judged = run.judged("errors<1%", "p50<5s")

        assert (judged.verdict, [row["held"] for row in judged.objectives]) == (
            "invalid",
            [True, True],
        )
        assert judged.reasons[0].startswith(
            "the generator was out of files, ports or memory: 300 requests"
        )

    def test_a_generator_that_was_behind(self) -> None:
        """Where the generator was too slow, times may be its own; answers that were wrong are the
        server's.
        """
        slow, wrong = Measured().good(1000, ms=400), Measured().good(900).failed(100)
        for run in (slow, wrong):
            for _ in range(1000):
                run.recorder.lag.note(0.3)

        assert slow.judged("p99<250ms").verdict == "invalid"
        assert wrong.judged("p99<250ms", "errors<1%").verdict == "missed"

    def test_void_is_void(self) -> None:
        """What broke on our side makes a run invalid despite errors; a violation still counts."""
        assert Measured().failed(100).judged(void=["a worker died"]).verdict == "invalid"
        assert Measured().failed(100).judged(void=["a worker died"]).reasons == ["a worker died"]
        assert (
            Measured().failed(100).judged(void=["a worker died"], violations=1).verdict == "missed"
        )

    def test_nothing_unsent_changes_nothing(self) -> None:
        """Where all was sent and nothing disturbed, the best that could have been is what was."""
        document = Measured().good(100).failed(3).throttled(5).document()
        best = at_best(document)

        assert {name: best[name] for name in ("requests", "errors", "response_ms", "batches")} == {
            name: document[name] for name in ("requests", "errors", "response_ms", "batches")
        }
        assert beyond_doubt([Objective.parse("errors<1%")], document)


class TestShutOut:
    """Log-ins of accounts that were never let in are not held against the server."""

    WHO = (("ada@example.org", 401),)

    @pytest.mark.parametrize("text", ["errors<1%", "issue:errors<1%"])
    def test_their_passwords_may_be_wrong(self, text: str) -> None:
        """A run that misses its objective by them alone is no statement about the server."""
        assert Measured().good(190).failed(10, "401").judged(text).verdict == "missed"
        judged = Measured().good(190).failed(10, "401").judged(text, shut_out=self.WHO)

        assert judged.verdict == "invalid"
        (reason,) = judged.reasons
        assert reason.startswith("ada@example.org was never let in: look at the passwords; ")
        assert reason.endswith(f" {text} might have held")

    def test_refused_by_a_web_page(self) -> None:
        """What refuses them with a web page is excused as well: its kind is one of its own."""
        judged = Measured().good(190).failed(10, "401-page").judged(shut_out=self.WHO)

        assert judged.verdict == "invalid"

    def test_what_they_do_not_explain(self) -> None:
        """Errors of another kind, other requests, times and violations decide as ever."""
        other = Measured()
        other.entry = other.recorder.entry("GET", "refresh-get")

        for measured, text, violations in (
            (Measured().good(190).failed(10, "500"), "errors<1%", 0),
            (other.good(190).failed(10, "401"), "errors<1%", 0),
            (Measured().good(190).failed(10, "401"), "p50<1ms", 0),
            (Measured().good(190).failed(10, "401"), "errors<1%", 1),
        ):
            judged = measured.judged(text, violations=violations, shut_out=self.WHO)
            assert judged.verdict == "missed"

    def test_few_enough(self) -> None:
        """An account more in a long file takes nothing from a run that keeps its objective."""
        judged = Measured().good(400).failed(1, "401").judged(shut_out=self.WHO)

        assert (judged.verdict, judged.reasons) == ("met", [])


class TestPauses:
    """What this process did while it stood still is not the server's: not its times, and not its
    timeouts.
    """

    def test_times_of_a_pause(self) -> None:
        """In a closed loop a pause of three seconds is the longest response time of all; it is said
        whose it is.
        """
        judged = (
            Measured().good(990).paused(0.3).good(20, ms=3_000).judged("p99<250ms", closed=True)
        )

        assert judged.verdict == "invalid"
        (why,) = judged.reasons
        assert why.startswith(
            "the generator was at a standstill for up to 300 ms: without the 20 requests that"
        )
        assert why.endswith("p99<250ms might have held")

    def test_timeouts_of_a_pause(self) -> None:
        """Answers that came during a pause are not errors."""
        judged = Measured().good(900).paused(2.0).failed(50, "timeout", 2_000).judged()

        assert judged.verdict == "invalid"

    def test_what_was_slow_without_it(self) -> None:
        """A server that is too slow before and after the pause, too, is too slow."""
        judged = (
            Measured()
            .good(700)
            .good(300, ms=400)
            .paused(0.2)
            .good(20, ms=600)
            .judged("p99<250ms", closed=True)
        )

        assert judged.verdict == "missed"

    def test_what_held_in_spite_of_it(self) -> None:
        """A pause makes figures worse, never better: what held with it holds."""
        assert (
            Measured()
            .good(1_000)
            .paused(0.15)
            .good(5, ms=180)
            .judged("p99<250ms", closed=True)
            .verdict
            == "met"
        )

    def test_a_loop_that_stood_still_offered_less(self) -> None:
        """A closed loop that did nothing for three of ten seconds was not so many users."""
        judged = Measured().good(1_000).paused(3.0).judged("errors<1%", closed=True)

        assert judged.verdict == "invalid"
        assert judged.reasons[0].startswith(
            "the generator was at a standstill for 3,000 ms (worker one"
        )
        # which has its lag
        assert Measured().good(1_000).paused(3.0).judged("errors<1%", closed=False).verdict == "met"


class TestThisSide:
    """How this machine was no judge: each way has its sentence, and what to do."""

    @pytest.mark.parametrize(
        ("kind", "count", "sentence"),
        [
            *(
                (
                    kind,
                    1_300,
                    f"the generator was out of {what}: 1,300 requests could not be sent; {help_}",
                )
                for kind, what, help_ in (
                    (
                        "files",
                        "files",
                        "raise ulimit -n, let fewer clients send, or use more machines",
                    ),
                    ("memory", "memory", "let fewer clients send, or use more machines"),
                    (
                        "ports",
                        "ports",
                        (
                            "let the server keep connections open, widen "
                            "net.ipv4.ip_local_port_range, or add machines"
                        ),
                    ),
                    (
                        "local",
                        "files, ports or memory",
                        "raise ulimit -n, let fewer clients send, or use more machines",
                    ),
                )
            ),
            (
                "withdrawn",
                1_300,
                (
                    "the generator was told to end clients while they waited: 1,300 requests were "
                    "broken off by this side"
                ),
            ),
        ],
    )
    def test_what_was_not_sent(self, kind: str, count: int, sentence: str) -> None:
        """A run with attempts that failed on this machine is invalid, and says so."""
        run = Measured().good(500)
        run.recorder.begun += count
        for _ in range(count):
            run.entry.failure(kind, START + 5, 0.0, START + 5)

        judged = run.judged()
        assert (judged.verdict, judged.reasons) == ("invalid", [sentence])

    @pytest.mark.parametrize(
        ("worker", "said"),
        [
            ({"cpu": 0.05}, "neither a lower rate nor more workers will help; see whether"),
            ({"cpu": 0.7}, "it used 70% of its core; lower the rate, or add workers"),
            (
                {"cpu": 0.05, "waited": 0.3, "machine_busy": 0.99},
                (
                    "waited for one for 30% of the run, since the machine was busy (99% of all "
                    "cores); end what else runs there, or send from another machine"
                ),
            ),
            (
                {"cpu": 0.05, "waited": 0.1, "machine_busy": 0.99, "longest_pause_ms": 2_500.0},
                (
                    "it stood still for 2,500 ms at a time, and not for want of a core: see "
                    "whether it was stopped"
                ),
            ),
            (
                {"cpu": 0.05, "waited": 0.3, "longest_pause_ms": 2_500.0},
                "waited for one for 30% of the run",
            ),
            ({"cpu": 0.05, "waited": 0.3, "stolen": 0.2}, "others (steal); use another machine"),
            ({"cpu": 0.05, "waited": 0.3, "quota": 0.2}, "raise the container's limit"),
        ],
    )
    def test_why_it_was_late(self, worker: dict[str, float], said: str) -> None:
        """At 30 requests a second and 5 % of a core a lower rate would not help: what the kernel
        says of the machine is said, and what would help with that.
        """
        document = Measured().good(300).document()
        document["workers"] = [{**document["workers"][0], **NOT_BUSY, **worker}]
        document["dispatch_lag_ms"]["p99"] = 61.0

        judged = Judgement.of(
            document, [Objective.parse("errors<1%")], violations=0, void=[], closed=False
        )

        assert judged.verdict == "invalid"
        assert judged.reasons[0].startswith(
            "the generator was 61 ms behind its schedule (p99, at most 10 ms): "
        )
        assert said in judged.reasons[0]

    @pytest.mark.parametrize(
        ("ms", "objective", "verdict"),
        [
            (10, "errors<1%", "invalid"),
            (700, "errors<1%", "met"),
            (10, "p99<250ms", "invalid"),
            (10, "p99<1s", "met"),
        ],
    )
    def test_how_late_it_may_be(self, ms: float, objective: str, verdict: str) -> None:
        """A tenth of what is measured, or of the limit that is asked for, hides nothing: 61 ms of
        lag are too many at 10 ms, and not at 700 ms or under a limit of a second.
        """
        document = Measured().good(300, ms).document()
        document["dispatch_lag_ms"]["p99"] = 61.0

        judged = Judgement.of(
            document, [Objective.parse(objective)], violations=0, void=[], closed=False
        )

        assert judged.verdict == verdict

    def test_a_core_that_was_busy(self) -> None:
        """Of more than nine tenths, by its worker; just so many are enough."""
        document = Measured().good(500).document()
        document["workers"] = [
            {**document["workers"][0], "name": name, "cpu": cpu}
            for name, cpu in (("one", 0.9), ("two", 0.97))
        ]
        judged = Judgement.of(
            document, [Objective.parse("errors<1%")], violations=0, void=[], closed=False
        )

        assert judged.reasons == ["worker two used 97% of its core: lower the rate, or add workers"]

    def test_answers_that_are_not_read_here(self) -> None:
        """A content coding that is not read here makes a run invalid."""
        assert Measured().good(990).failed(10, "coding").judged("p99<1s").reasons == [
            (
                "10 answers were in a content coding that is not read here (gzip and deflate are): "
                "let the server send none"
            )
        ]

    def test_answers_that_are_not_read_break_no_objective(self) -> None:
        """However many they are, the run is void: of none of them is known what it said."""
        judged = Measured().good(900).failed(100, "coding").judged()
        missed = Measured().good(800).failed(100, "coding").failed(100).judged()

        assert judged.verdict == "invalid"
        assert [reason[:11] for reason in judged.reasons] == ["100 answers"]
        assert missed.verdict == "missed"

    def test_a_pause_that_disturbed_nothing_excuses_nothing(self) -> None:
        """What was missed without it is missed."""
        judged = Measured().good(100, ms=400).judged("p50<250ms")

        assert (judged.verdict, judged.reasons) == ("missed", ["p50<250ms did not hold: 400 ms"])

    def test_where_there_was_no_pause_none_is_blamed(self) -> None:
        """A limit from below that was missed is missed, and no pause is a reason to doubt it."""
        judged = Measured().good(100).judged("rate>20/s")

        assert (judged.verdict, judged.reasons) == ("missed", ["rate>20/s did not hold: 10 /s"])
