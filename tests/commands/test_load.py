"""``rolecall load`` from its words to its files, with real processes: good runs, bad words, broken
servers, and where processes are killed meanwhile.


Longer than 400 lines because it tries each option of the command in whole runs.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from rolecall.loadgen import launch, result
from rolecall.loadgen.scenarios import AROUND
from rolecall.loadgen.schedule import Schedule
from rolecall.schema_validation import validation_errors
from tests.support.command import start, target_file, target_text
from tests.support.load_runs import (
    LoadRun,
    accounts_file,
    family,
    interrupted_after,
    kill,
    load,
    wait_until,
)
from tests.support.load_servers import from_the, one_in, sound, strange_to, trickling
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    html,
    nobody,
    reset,
    response,
    silent,
)
from tests.support.servers import serving, target

FILES = {
    "junit.xml",
    "load.html",
    "load.json",
    "locust_failures.csv",
    "locust_stats.csv",
    "percentiles.hgrm",
    "summary.md",
}


def has_begun(process: subprocess.Popen[str], out: Path) -> bool:
    """The run has its folder."""
    return out.exists() and any(out.iterdir())


def is_loading(server: Miniature) -> Callable[..., bool]:
    """Whether requests beyond those of the preparation have come."""
    return lambda *_: len(server.received) > 40


class TestWords:
    """What is asked for wrongly is one clear message, before anything is sent."""

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["issuance", "--rate", "fast"], "--rate: 'fast' is not a rate"),
            (["issuance", "--rate", "0"], "no request would be due"),
            (
                ["issuance", "--rate", "10", "--duration", "soon"],
                "--duration: 'soon' is not a duration",
            ),
            (["issuance", "--rate", "10", "--users", "3"], "either --rate or --users"),
            (["issuance"], "rolecall: the load: needs either --rate or --users"),
            (["issuance", "--users", "0"], "--users: must be at least 1"),
            (["issuance", "--rate", "10", "--slo", "fast"], "--slo: 'fast' is not an objective"),
            (["issuance", "--rate", "10", "--weights", "mostly=1"], "'mostly=1' is not a weight"),
            (["guarded", "--rate", "10", "--guarding", "nothing"], "unknown scenario 'nothing'"),
            (["time-to-deny", "--rate", "10", "--deny-within", "soon"], "--deny-within"),
            (["issuance", "--rate", "10", "--in-flight", "0"], "--in-flight: must be at least 1"),
            (
                ["issuance", "--rate", "10", "--in-flight", "1000001"],
                "--in-flight: must be at most 1,000,000",
            ),
            (["issuance", "--rate", "10", "--workers", "-1"], "--workers"),
            (
                ["issuance", "--rate", "10", "--workers", "10000"],
                "--workers: must be at most 1,000",
            ),
            (["issuance", "--users", "1000001"], "--users: must be at most 1,000,000"),
            (["issuance", "--rate", "10", "--duration=-1s"], "'-1s' is not a duration"),
            (["issuance", "--rate=-1..5"], "'-1..5' is not a rate"),
            (["issuance", "--users", "2", "--ramp=-1s"], "'-1s' is not a duration"),
            (
                ["mixed", "--rate", "9", "--weights", "session=1,session=2"],
                "session is named twice",
            ),
            (["issuance", "--rate", "10", "--prometheus-port", "70000"], "70000 is not a port"),
            (["issuance", "--rate", "10", "--live", "70000"], "70000 is not a port"),
            (["issuance", "--rate", "10", "--live", "0", "--json"], "Name a port"),
            (["issuance", "--rate", "10", "--baseline", "nowhere"], "nowhere"),
            (["issuance", "--rate", "10", "--fail-if", "slower"], "needs a baseline"),
            (["issuance", "--rate", "10", "--fail-if", "sometimes"], "--fail-if"),
            (["issuance", "--rate", "10", "--profile", "spikes"], "Did you mean 'spike'?"),
            (["issuance", "--rate", "10..20", "--profile", "spike"], "is not the usual rate"),
            (["issuance", "--users", "3", "--profile", "spike"], "needs the usual rate"),
            (["issuance", "--profile", "spike"], "--profile: needs the usual rate"),
            (
                ["issuance", "--rate", "1", "--profile", "spike", "--ramp", "5s"],
                "--ramp: does not go with --profile",
            ),
            (
                ["issuance", "--rate", "1", "--profile", "soak:2h", "--duration", "5m"],
                "--profile soak:2h says how long",
            ),
            (
                ["issuance", "--rate", "1:5s,2:5s", "--duration", "5m"],
                "--duration: has no effect on a --rate that says its own lengths",
            ),
            (["issuance", "--users", "2", "--arrivals", "poisson"], "--arrivals: has no effect"),
            (["session", "--rate", "2", "--racers", "3"], "--racers: has no effect in session"),
            (["session", "--rate", "2", "--weights", "session=1"], "--weights: has no effect in"),
            (["session", "--rate", "2", "--guarding", "session"], "--guarding: has no effect in"),
            (["guarded", "--rate", "2", "--deny-within", "3s"], "--deny-within: has no effect in"),
            (["issuance", "--rate", "2", "--bind-host", "::1"], "--bind-host: has no effect"),
            (["issuance", "--rate", "2", "--master-host", "x"], "--master-host: has no effect"),
            (
                ["issuance", "nowhere.toml", "--rate", "2", "--serve-option=--port=1"],
                "--serve-option: has no effect on TARGET",
            ),
            (["issuance", "nowhere.toml", "--rate", "10"], "nowhere.toml"),
            (["issuance", "--worker", "--rate", "1"], "--master-host"),
            (["issuance", "--master", "--rate", "1"], "TARGET: is missing"),
            (
                ["issuance", "--rate", "10", "--duration", "1s", "nowhere.toml"],
                "nowhere.toml: the target file cannot be read",
            ),
            (
                ["--rate", "10", "issuance", "--quiet", "nowhere.toml"],
                "nowhere.toml: the target file cannot be read",
            ),
        ],
    )
    def test_that_mean_nothing(
        self,
        words: list[str],
        said: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An option that cannot be meant ends in exit code 2, and leaves no folder behind."""
        monkeypatch.chdir(tmp_path)

        code = main(["load", *words])

        assert (code, said in capsys.readouterr().err) == (2, True)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "words",
        [
            ["--first-rate", "0"],
            ["--search-time", "0"],
            ["--first-rate", "inf"],
            ["--slo", "issue:late<1%"],
            ["--precision", "0"],
            ["--most-users", "1000001"],
            ["--workers", "1001"],
        ],
    )
    def test_of_a_search_that_mean_nothing(
        self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """So do those of a search for the capacity."""
        assert main(["capacity", *words, "--out", str(tmp_path)]) == 2
        assert words[0] in capsys.readouterr().err

    @pytest.mark.parametrize("more", [[], ["staging.toml"]])
    def test_a_scenario_is_not_the_target_of_a_search(
        self, more: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`capacity issuance` is not told that a file is missing, but how a scenario is chosen."""
        with pytest.raises(SystemExit) as end:
            main(["capacity", "issuance", *more])

        assert end.value.code == 2
        assert "--scenario issuance" in capsys.readouterr().err

    @pytest.mark.parametrize(("command", "file"), [("load", "load"), ("capacity", "capacity")])
    def test_the_help_names_the_file_that_is_printed(
        self, command: str, file: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Each command's ``--json`` prints its own document."""
        with pytest.raises(SystemExit):
            main([command, "--help"])

        assert f"print {file}.json and nothing else" in " ".join(capsys.readouterr().out.split())

    def test_an_option_that_the_embedded_server_does_not_take(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It says what it does not know, and we say whose option that was."""
        words = ["issuance", "--rate", "1", "--serve-option=--fault=there-is-none"]

        assert main(["load", *words, "--out", str(tmp_path)]) == 2
        assert "no fault called there-is-none\nrolecall: --serve-option" in capfd.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_no_such_scenario(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An unknown scenario is refused, and the known ones are named."""
        with pytest.raises(SystemExit, match="2"):
            main(["load", "issue", "--rate", "1"])
        assert "refresh-race" in capsys.readouterr().err

    def test_load_elsewhere_has_to_be_allowed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A target that is not this machine is put under load only where its file allows that."""
        file = target_file(tmp_path, target_text("http://192.0.2.1"))

        assert main(["load", "issuance", str(file), "--rate", "1", "--out", str(tmp_path)]) == 2
        assert "load_allowed = true" in capsys.readouterr().err

    def test_accounts_without_their_columns(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A CSV that does not say which column is which is refused, and no value of it repeated."""
        csv = accounts_file(tmp_path, "mail,secret\nada@example.org,Sesame-1\n")
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            code = main(
                [
                    "load",
                    "issuance",
                    str(file),
                    "--rate",
                    "1",
                    "--accounts",
                    str(csv),
                    "--out",
                    str(tmp_path),
                ]
            )
        said = capsys.readouterr().err

        assert (code, "email,password,role" in said, "Sesame" in said) == (2, True, False)

    def test_nobody_is_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A target that cannot be reached is exit code 4."""
        with nobody() as url:
            code = main(
                [
                    "load",
                    "issuance",
                    str(target_file(tmp_path, target_text(url))),
                    "--rate",
                    "1",
                    "--out",
                    str(tmp_path),
                ]
            )

        assert (code, "cannot be reached" in capsys.readouterr().err) == (4, True)


def test_a_generator_that_was_killed_says_so() -> None:
    """A process that the kernel ended for want of memory printed nothing that could be seen."""
    assert "memory is short" in launch._why_nothing_is_left(-signal.SIGKILL)
    assert "(exit 3)" in launch._why_nothing_is_left(3)


class TestRuns:
    """Runs that come to their end."""

    def test_an_open_run(self, tmp_path: Path) -> None:
        """At a rate, all that was due is sent, answered and in the files; no process is left."""
        run = load("issuance", "--rate", "100", "--duration", "2s", "--slo", "p99<5s", cwd=tmp_path)

        assert run.came_to(0), run.said
        assert run.left == []
        assert run.document["scheduled"] == run.document["sent"] == run.document["completed"] == 200
        assert run.entry("issue")["requests"] == 200
        assert {path.name for path in run.folder.iterdir()} >= FILES
        assert "plan          issuance: 100 arrivals/s (constant), 200 in 2 s" in run.stderr
        assert "accounts      40 of 40 took part" in run.stdout
        assert run.document["accounts"] == {"given": 40, "used": 40}
        assert "issuance on embedded reference server" in run.stdout
        rows = (run.folder / "locust_stats.csv").read_text(encoding="utf-8").splitlines()
        assert any(row.startswith("POST,issue,200,0,") for row in rows), rows

    def test_an_account_with_a_wrong_password(self, tmp_path: Path) -> None:
        """It is named, and the errors that it makes are not held against the server."""
        with Miniature(strange_to("agent")) as server:
            file = target_file(tmp_path, target_text(server.url))
            words = ("--accounts", accounts_file(tmp_path), "--rate", "20", "--duration", "2s")
            run = load("issuance", file, *words, cwd=tmp_path)

        assert run.came_to(3), run.said
        assert run.document["errors"] == {"401": 10}
        assert "agent@example.org was answered 401, and never let in" in run.stdout
        assert run.document["violations"] == {}

    def test_no_capacity_is_searched_for_with_it(self, tmp_path: Path) -> None:
        """A search ends with its first step, and names the account: it would fail at any rate."""
        with Miniature(strange_to("agent")) as server:
            file = target_file(tmp_path, target_text(server.url))
            words = (file, "--accounts", accounts_file(tmp_path))
            run = load(*words, cwd=tmp_path, command="capacity")

        assert run.code == 3, run.said
        assert "agent@example.org was never let in: look at the passwords" in run.stdout
        assert " failed " not in run.stdout

    def test_white_space_around_a_password(self, tmp_path: Path) -> None:
        """A CSV file with blanks behind its commas is told where nobody can log in."""
        csv = accounts_file(tmp_path, "email, password, role\nagent@example.org, Sesame-1, agent\n")
        with Miniature(strange_to("agent")) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load("issuance", file, "--accounts", csv, "--rate", "9", cwd=tmp_path)

        assert run.came_to(3), run.said
        assert "; white space stands around the password" in run.stdout
        assert "Sesame" not in run.said

    @pytest.mark.long
    @pytest.mark.parametrize("how", [("--rate", "50"), ("--users", "2")])
    def test_a_run_that_can_no_longer_be_met_is_stopped(
        self, how: tuple[str, str], tmp_path: Path
    ) -> None:
        """A server that fails from some request on does not get ten minutes of it: the run ends
        early, is missed, and says why; its accounts add up.
        """
        words = ("--duration", "10m", "--slo", "errors<100", "--abort-on", "slo")
        with Miniature(from_the(20, always(response(500)))) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load("issuance", file, *how, *words, cwd=tmp_path)

        assert run.came_to(1), run.said
        assert run.document["duration_s"] < 60
        assert run.document["conservation"]["holds"]
        assert "(--abort-on slo): errors<100 can no longer be met" in run.document["reasons"][-1]
        assert "failure" in (run.folder / "junit.xml").read_text(encoding="utf-8")

    @pytest.mark.long
    def test_a_profile(self, tmp_path: Path) -> None:
        """It sends the schedule that it prints, and load.json and the page name the profile; that
        schedule, given to --rate, is the same load.
        """
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load("issuance", file, "--rate", "10", "--profile", "spike:4x1s", cwd=tmp_path)

        assert run.came_to(0), run.said
        assert "profile       spike: --rate 10:1s,40:1s,10:1s\n" in run.stderr
        assert run.document["profile"] == "spike:4x1s"
        assert run.document["scheduled"] == 60
        phases = run.document["arrivals"]["phases"]
        assert phases == list(Schedule.parse("10:1s,40:1s,10:1s", 1).pack()["phases"])
        assert "profile spike:4x1s" in (run.folder / "load.html").read_text(encoding="utf-8")

    @pytest.mark.long
    def test_a_breakpoint(self, tmp_path: Path) -> None:
        """It ends at the rate at which the server breaks, and says which; that nothing is asked of
        times is said before.
        """
        with Miniature(from_the(150, always(response(500)))) as server:
            file = target_file(tmp_path, target_text(server.url))
            words = ("issuance", file, "--rate", "20", "--profile", "breakpoint:2x20s")
            run = load(*words, cwd=tmp_path)

        assert run.came_to(1), run.said
        assert "breakpoint: --rate 20..40:20s" in run.stderr
        assert "There is no objective of time" in run.stderr
        said = re.search(r"after (\d+) s, at (\d+) arrivals/s \(--abort-on slo\)", run.stdout)
        assert said is not None, run.stdout
        assert abs(int(said[2]) - (20 + int(said[1]))) <= 2

    @pytest.mark.long
    def test_users_who_think(self, tmp_path: Path) -> None:
        """Four users who think for half a second take eight steps a second at most, and not
        thousands; the plan and the document say so.
        """
        words = ("session", "--users", "4", "--think", "500ms", "--duration", "3s")
        with Miniature(sound) as server:
            run = load(*words, target_file(tmp_path, target_text(server.url)), cwd=tmp_path)

        assert run.came_to(0), run.said
        assert 4 <= run.document["sent"] <= 4 * 6
        assert run.document["options"]["think"] == "0.5 s"
        assert run.document["accounts"] == {"given": 4, "used": 4}
        assert "thinking for 0.5 s between steps" in run.stderr
        assert "sessions of 4 of them" in run.stderr

    @pytest.mark.long
    def test_a_closed_run_on_two_workers(self, tmp_path: Path) -> None:
        """Two workers share the users; every answer is counted, and none is called dead."""
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance",
                file,
                "--users",
                "4",
                "--workers",
                "2",
                "--duration",
                "2s",
                "--json",
                cwd=tmp_path,
            )
            received = len(server.received)

        assert run.came_to(0), run.said
        assert run.left == []
        assert json.loads(run.stdout) == run.document
        assert [worker["state"] for worker in run.document["workers"]] == ["finished", "finished"]
        assert all(worker["requests"] for worker in run.document["workers"])
        # Beforehand: two log-ins and a refresh to see whether sessions coexist, and a log-in by
        # each worker.
        assert received == run.document["requests"] + 5

    def test_an_objective_that_is_missed(self, tmp_path: Path) -> None:
        """A missed objective is exit code 1, with what was observed; --quiet prints one line."""
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance",
                file,
                "--rate",
                "50",
                "--duration",
                "1s",
                "--slo",
                "p50<1us",
                "--quiet",
                cwd=tmp_path,
            )

        assert run.came_to(1), run.said
        assert (run.stdout.count("\n"), run.stderr) == (1, "")
        assert [judged["held"] for judged in run.document["objectives"]] == [False, True]

    @pytest.mark.long
    def test_compared_with_an_earlier_run(self, tmp_path: Path) -> None:
        """A run against itself, later: the comparison is in the document and in the output."""
        with Miniature(sound) as server:
            words = (
                "issuance",
                target_file(tmp_path, target_text(server.url)),
                "--rate",
                "50",
                "--duration",
                "3s",
            )
            before = load(*words, cwd=tmp_path)
            later = tmp_path / "later"
            later.mkdir()
            run = load(*words, "--baseline", before.folder, cwd=later)

        assert run.came_to(0), run.said
        assert run.document["comparison"]
        assert "compared      " in run.stdout

    @pytest.mark.long
    def test_a_generator_that_is_too_slow(self, tmp_path: Path) -> None:
        """A rate that this machine cannot send makes the run invalid: exit code 3."""
        run = load("issuance", "--rate", "200000", "--duration", "1s", cwd=tmp_path)

        assert (run.code, run.document["verdict"]) == (3, "invalid"), run.said
        assert run.document["dropped"] or run.document["late"]
        assert any(
            "dropped" in reason or "behind its schedule" in reason
            for reason in run.document["reasons"]
        )

    @pytest.mark.long
    def test_a_stall_is_seen_by_everybody_who_would_have_come(self, tmp_path: Path) -> None:
        """A stall of a second gives the percentiles of all that was due in it, within 5 %."""
        rate, seconds, stall = 200, 10, 1.0
        options = ("--serve-option=--variant=stalls-once", "--serve-option=--scrypt-n=16")
        run = load(
            "issuance", "--rate", str(rate), "--duration", f"{seconds}s", *options, cwd=tmp_path
        )
        waits = sorted([stall - number / rate for number in range(int(rate * stall))], reverse=True)

        times = run.entry("issue")["response_ms"]
        assert run.entry("issue")["requests"] == rate * seconds
        for name, share in (("p99", 0.01), ("p99.9", 0.001)):
            computed = 1000 * waits[int(share * rate * seconds) - 1]
            assert times[name] == pytest.approx(computed, rel=0.05), (
                f"{name} is {times[name]} ms, and was to be {computed}"
            )

    @pytest.mark.long
    def test_throttled(self, tmp_path: Path) -> None:
        """429 is counted apart from errors; a client in a closed loop waits as long as asked."""
        answer = one_in(10, always(response(429, retry_after="1")))
        with Miniature(answer) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load("issuance", file, "--users", "1", "--duration", "4s", cwd=tmp_path)

        assert run.came_to(0), run.said
        assert 3 <= run.document["throttled"] <= 5
        assert run.document["requests"] <= 70
        assert run.document["errors"] == {}

    @pytest.mark.long
    def test_who_waits_for_the_end_of_a_429_does_not_hold_up_the_end(self, tmp_path: Path) -> None:
        """A client that was asked to wait for a minute does not: the run ends when it is over."""
        with Miniature(one_in(1, always(response(429, retry_after="60")))) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load("issuance", file, "--users", "3", "--duration", "2s", cwd=tmp_path)

        assert run.document["throttled"] == 3
        assert run.seconds < 20


def loading(process: subprocess.Popen[str]) -> list[int]:
    """The processes of a run that send: all that the command has started."""
    return [pid for pid, line in family(process) if "locustfile" in line and pid != process.pid]


class TestNotMeasured:
    """What was not measured keeps no objective."""

    def test_all_throttled(self, tmp_path: Path) -> None:
        """A server that turns nearly all requests away does not meet a limit at 0 ms."""
        with Miniature(from_the(5, always(response(429, retry_after="0")))) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance",
                file,
                "--rate",
                "50",
                "--duration",
                "1s",
                "--slo",
                "p99<250ms",
                cwd=tmp_path,
            )

        assert run.code == 3, run.said
        assert [(row["observed"], row["held"]) for row in run.document["objectives"]] == [
            (None, False),
            (None, False),
        ]
        assert run.document["reasons"][0].startswith(
            "nothing was let in: all 50 requests were answered 429"
        )

    @pytest.mark.long
    @pytest.mark.parametrize("how", [("--rate", "40"), ("--users", "10")])
    def test_requests_that_are_never_answered(self, how: tuple[str, str], tmp_path: Path) -> None:
        """Requests to a hanging server are errors after the grace, and the accounts add up."""
        with Miniature(from_the(60, silent)) as server:
            file = target_file(tmp_path, target_text(server.url, under_target="timeout = 60"))
            run = load(
                "issuance", file, *how, "--duration", "3s", "--slo", "p99<250ms", cwd=tmp_path
            )
            received = len(server.received)
        document = run.document

        assert run.came_to(1), run.said
        assert set(document["errors"]) == {"unanswered"}
        assert document["conservation"]["holds"]
        assert document["sent"] == document["completed"] + document["errors"]["unanswered"]
        assert document["response_ms"]["max"] > 10_000
        assert [row["held"] for row in document["objectives"]] == [False, False]
        # Beforehand: two log-ins and a refresh to see whether sessions coexist.
        assert (
            received == document["conservation"]["requests_sent"] + document["requests_beside"] + 3
        )

    @pytest.mark.parametrize(
        "workers",
        [pytest.param("0", marks=pytest.mark.long), pytest.param("2", marks=pytest.mark.nightly)],
    )
    def test_a_server_that_hangs_altogether(self, workers: str, tmp_path: Path) -> None:
        """A run whose arrivals are mostly dropped is missed if even perfect ones could not help."""
        with Miniature(from_the(60, silent)) as server:
            file = target_file(tmp_path, target_text(server.url, under_target="timeout = 2"))
            words = ("--rate", "60", "--duration", "16s", "--in-flight", "8", "--workers", workers)
            run = load("issuance", file, *words, cwd=tmp_path)

        assert run.came_to(1), run.said
        assert run.document["dropped"] > 100
        assert run.document["conservation"]["holds"]
        assert any(
            reason.startswith("errors<1% did not hold") for reason in run.document["reasons"]
        )


class TestNotWritten:
    """A run whose result cannot be written ends with exit code 6 and a sentence."""

    @pytest.mark.parametrize("how", [("--rate", "20"), ("--users", "2")])
    def test_the_page(self, how: tuple[str, str], tmp_path: Path) -> None:
        """Without its page a run keeps its figures, and says what is missing and why."""

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            wait_until(lambda: has_begun(process, out))
            (next(out.iterdir()) / "load.html").mkdir()

        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance", file, *how, "--duration", "1s", cwd=tmp_path, meanwhile=meanwhile
            )

        assert (run.code, run.left) == (6, []), run.said
        assert run.document["verdict"] == "invalid"
        assert run.document["requests"] > 10
        assert run.document["reasons"][-1].endswith(
            "load.html could not be written: Is a directory"
        )
        assert "Traceback" not in run.said

    def test_a_table_of_locusts(self, tmp_path: Path) -> None:
        """The files that are written last are missed, too."""

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            wait_until(lambda: has_begun(process, out))
            (next(out.iterdir()) / "locust_stats.tmp").mkdir()

        with Miniature(sound) as server:
            words = (
                "issuance",
                target_file(tmp_path, target_text(server.url)),
                "--rate",
                "20",
                "--duration",
                "1s",
            )
            run = load(*words, cwd=tmp_path, meanwhile=meanwhile)

        assert (run.code, run.left) == (6, []), run.said
        assert run.document["reasons"][-1].endswith(
            "locust_stats.csv could not be written: Is a directory"
        )
        assert "Traceback" not in run.said

    @pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.long)])
    def test_nothing(self, workers: str, tmp_path: Path) -> None:
        """Where not even load.json can be written, one sentence says so."""

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            wait_until(lambda: has_begun(process, out))
            (next(out.iterdir()) / "load.tmp").mkdir()

        with Miniature(sound) as server:
            words = (
                "issuance",
                target_file(tmp_path, target_text(server.url)),
                "--rate",
                "20",
                "--duration",
                "1s",
            )
            run = load(*words, "--workers", workers, cwd=tmp_path, meanwhile=meanwhile)

        assert (run.code, run.left) == (6, []), run.said
        assert "load.json could not be written: Is a directory" in run.stderr
        assert "Traceback" not in run.said


@pytest.mark.long
class TestThisMachine:
    """What this machine did is not held against the server."""

    @pytest.mark.parametrize("how", [("--rate", "40"), ("--users", "4")])
    def test_stands_still(self, how: tuple[str, str], tmp_path: Path) -> None:
        """A process that is stopped for two seconds causes no timeout and no missed objective."""

        def slowly(request: Received, connection: Connection) -> None:
            connection.wait(0.1)
            sound(request, connection)

        with Miniature(slowly) as server:

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                wait_until(is_loading(server))
                (pid,) = loading(process)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(2)
                os.kill(pid, signal.SIGCONT)

            file = target_file(tmp_path, target_text(server.url, under_target="timeout = 1"))
            run = load(
                "issuance",
                file,
                *how,
                "--duration",
                "6s",
                "--slo",
                "max<1s",
                cwd=tmp_path,
                meanwhile=meanwhile,
            )

        assert run.code == 3, run.said
        assert run.document["errors"] == {}
        assert run.document["pauses"]["longest_ms"] > 1_500
        assert any(reason.startswith("the generator was") for reason in run.document["reasons"])

    @pytest.mark.parametrize("how", [("--rate", "60"), ("--users", "60", "--ramp", "6s")])
    def test_has_no_file_left(self, how: tuple[str, ...], tmp_path: Path) -> None:
        """A connection that this machine cannot open is not the server's error."""

        def slowly(request: Received, connection: Connection) -> None:
            connection.wait(1.0 if how[0] == "--rate" else 0.0)
            sound(request, connection)

        with Miniature(slowly) as server:

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                wait_until(lambda: len(loading(process)) == 1)
                (pid,) = loading(process)
                wait_until(lambda: len(server.received) > 4)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (30, 30))

            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance", file, *how, "--duration", "3s", cwd=tmp_path, meanwhile=meanwhile
            )

        assert run.code == 3, run.said
        assert run.document["own_failures"]["files"] > 0
        assert run.document["errors"] == {}
        assert run.document["conservation"]["holds"]

    def test_gets_a_worker_too_late(self, tmp_path: Path) -> None:
        """A worker that joins a closed loop too late makes the run invalid."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        workers = []
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            joining = (
                "load",
                "issuance",
                file,
                "--worker",
                "--master-host",
                "127.0.0.1",
                "--master-port",
                port,
            )

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                workers.append(start(*joining, cwd=tmp_path, env={}))
                wait_until(is_loading(server))
                workers.append(start(*joining, cwd=tmp_path, env={}))

            leading = ("--master", "--workers", "1", "--master-port", port)
            words = ("--users", "8", "--duration", "25s", *leading)
            try:
                run = load("issuance", file, *words, cwd=tmp_path, meanwhile=meanwhile)
            finally:
                for worker in workers:
                    worker.terminate()
                    worker.communicate(timeout=20)

        assert run.code == 3, run.said
        assert any(
            "connected after the run had begun" in reason for reason in run.document["reasons"]
        )


BROKEN: dict[str, tuple[Answer, set[str]]] = {
    "resets": (reset, {"reset", "closed"}),
    "garbage": (always(b"%\x00\xff garbage\r\n\r\n"), {"garbage"}),
    "trickles": (trickling, {"timeout"}),
    "hangs": (silent, {"timeout"}),
    "errors": (always(response(503)), {"503"}),
}


@pytest.mark.long
class TestBrokenServers:
    """Failures of the server are counted by kind, and neither break the run nor hold it up."""

    @pytest.mark.parametrize("name", BROKEN)
    @pytest.mark.parametrize("how", ["--rate", "--users"])
    def test_answers(self, name: str, how: str, tmp_path: Path) -> None:
        """From some moment on every answer is broken in one way."""
        then, kinds = BROKEN[name]
        with Miniature(from_the(60, then)) as server:
            file = target_file(tmp_path, target_text(server.url, under_target="timeout = 1"))
            run = load(
                "issuance",
                file,
                how,
                "40" if how == "--rate" else "4",
                "--duration",
                "3s",
                cwd=tmp_path,
            )

        assert run.came_to(1), run.said
        assert run.left == []
        assert set(run.document["errors"]) <= kinds
        assert sum(run.document["errors"].values()) > 3
        assert run.document["violations"] == {}
        assert run.seconds < 25

    def test_another_page(self, tmp_path: Path) -> None:
        """A web page in place of a token answer is a violation of kind shape alone."""
        with Miniature(from_the(60, html)) as server:
            run = load(
                "issuance",
                target_file(tmp_path, target_text(server.url)),
                "--rate",
                "40",
                "--duration",
                "3s",
                cwd=tmp_path,
            )

        assert run.came_to(1), run.said
        assert set(run.document["violations"]) == {"shape"}

    @pytest.mark.parametrize("scenario", ["session", "refresh-race", "guarded", "time-to-deny"])
    def test_that_disappears(self, scenario: str, tmp_path: Path) -> None:
        """A server that goes away is counted as refused or cut off; what is left there is named."""
        with serving() as server:

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                wait_until(lambda: any(out.glob("*/locust_stats.csv")))
                time.sleep(3)
                kill(server.pid)

            file = target(tmp_path, server.text)
            run = load(
                scenario,
                file,
                "--rate",
                "40",
                "--duration",
                "6s",
                cwd=tmp_path,
                meanwhile=meanwhile,
            )

        assert run.came_to(7 if scenario in AROUND else 1), run.said
        assert run.left == []
        assert set(run.document["errors"]) & {"refused", "closed", "reset"}
        assert run.document["violations"] == {}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (result, "make_folder"),
        (launch, "sessions_coexist"),
        (launch, "_resolved"),
        (launch.LaunchedRun, "plan"),
    ],
)
@pytest.mark.parametrize("command", ["load", "capacity"])
def test_ctrl_c_between_two_steps(
    command: str, module: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C just after any step of the preparation: exit code 130, and a valid document."""
    step = getattr(module, name)

    def interrupted(*arguments: Any) -> None:
        step(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, name, interrupted)
    with Miniature(sound) as server:
        words = [command, "issuance"] if command == "load" else [command]
        file = str(target_file(tmp_path, target_text(server.url)))
        how = ["--rate", "5"] if command == "load" else []
        code = main([*words, file, *how, "--out", str(tmp_path / "runs")])

    (path,) = tmp_path.glob(f"runs/*/{command}.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (code, document["exit_code"]) == (130, 130)
    assert document["reasons"] == ["it was interrupted"]
    assert validation_errors(command, document) == []


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("how", ["--rate", "--users"])
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(0.0, marks=pytest.mark.long),
        pytest.param(0.5, marks=pytest.mark.nightly),
        pytest.param(1.2, marks=pytest.mark.long),
        pytest.param(2.5, marks=pytest.mark.nightly),
        pytest.param(4.0, marks=pytest.mark.long),
    ],
)
def test_ctrl_c(seconds: float, how: str, workers: str, tmp_path: Path) -> None:
    """Ctrl-C while it starts, in the ramp, under load: exit code 130."""
    with Miniature(sound) as server:
        file = target_file(tmp_path, target_text(server.url))
        words = (
            "issuance",
            file,
            how,
            "20",
            "--duration",
            "60s",
            "--ramp",
            "2s",
            "--workers",
            workers,
        )
        run = load(*words, cwd=tmp_path, meanwhile=interrupted_after(seconds, has_begun))

    ended(run, 130)
    assert run.document["reasons"] == ["it was interrupted"]


@pytest.mark.long
class TestEnded:
    """A run that is ended, in any way, leaves a valid load.json and no process."""

    @pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0])
    def test_ctrl_c_with_the_embedded_server(self, seconds: float, tmp_path: Path) -> None:
        """While the embedded server starts, while its users are made, and later."""
        words = ("issuance", "--rate", "20", "--duration", "60s")

        ended(load(*words, cwd=tmp_path, meanwhile=interrupted_after(seconds, has_begun)), 130)

    def test_ctrl_c_at_the_end(self, tmp_path: Path) -> None:
        """While the last answers are waited for."""
        with Miniature(from_the(60, silent)) as server:
            file = target_file(tmp_path, target_text(server.url, under_target="timeout = 8"))
            words = ("issuance", file, "--rate", "50", "--duration", "2s")
            run = load(*words, cwd=tmp_path, meanwhile=interrupted_after(2.0, is_loading(server)))

        ended(run, 130)
        assert run.document["requests"] > 20

    @pytest.mark.parametrize("rate", ["3000", "5000000"])
    def test_ctrl_c_at_a_rate_that_nobody_keeps(self, rate: str, tmp_path: Path) -> None:
        """Also where more is due than this machine can count, the word to end is heard, what was
        measured is kept, and every arrival has its end.
        """
        with Miniature(sound) as server:
            file = target_file(tmp_path, target_text(server.url))
            began = time.monotonic()
            run = load(
                "issuance",
                file,
                "--rate",
                rate,
                "--duration",
                "30s",
                cwd=tmp_path,
                meanwhile=interrupted_after(3.0, is_loading(server)),
            )

        ended(run, 130)
        found = run.document
        assert time.monotonic() - began < 40
        assert found["requests"] > 100
        assert found["scheduled"] == found["sent"] + found["dropped"]
        assert "Traceback" not in run.stderr

    def test_ctrl_c_of_a_search(self, tmp_path: Path) -> None:
        """A search for the capacity says what it knew: a valid capacity.json."""
        with Miniature(sound) as server:
            run = load(
                target_file(tmp_path, target_text(server.url)),
                "--most-rate",
                "50",
                cwd=tmp_path,
                command="capacity",
                meanwhile=interrupted_after(1.0, is_loading(server)),
            )

        found = json.loads((run.folder / "capacity.json").read_text(encoding="utf-8"))
        assert (run.code, found["exit_code"], run.left) == (130, 130, []), run.said
        assert validation_errors("capacity", found) == []

    def test_sigterm(self, tmp_path: Path) -> None:
        """What a CI system sends is heeded as Ctrl-C is."""
        with Miniature(sound) as server:

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                wait_until(is_loading(server))
                process.send_signal(signal.SIGTERM)

            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance",
                file,
                "--rate",
                "50",
                "--duration",
                "60s",
                "--workers",
                "2",
                cwd=tmp_path,
                meanwhile=meanwhile,
            )

        ended(run, 130)

    def test_the_parent_is_killed(self, tmp_path: Path) -> None:
        """Nothing goes on sending when the command was killed with no chance to say so."""
        left: list[tuple[int, str]] = []

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            # with the embedded server, a master and two workers
            wait_until(lambda: len(family(process)) >= 5)
            time.sleep(2)
            left.extend(process_ for process_ in family(process) if process_[0] != process.pid)
            kill(process.pid)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid, _ in left))

        words = ("issuance", "--rate", "50", "--duration", "60s", "--workers", "2")
        run = load(*words, cwd=tmp_path, meanwhile=meanwhile)

        assert (run.code, run.left) == (-signal.SIGKILL, [])

    @pytest.mark.parametrize("how", ["--rate", "--users"])
    def test_a_worker_is_killed(self, how: str, tmp_path: Path) -> None:
        """The run goes on, is invalid, and names the worker that died."""
        with Miniature(sound) as server:

            def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
                wait_until(is_loading(server))
                kill(next(pid for pid, line in family(process) if "--worker " in line))

            file = target_file(tmp_path, target_text(server.url))
            run = load(
                "issuance",
                file,
                how,
                "40",
                "--duration",
                "8s",
                "--workers",
                "2",
                cwd=tmp_path,
                meanwhile=meanwhile,
            )

        ended(run, 3)
        assert sorted(worker["state"] for worker in run.document["workers"]) == ["died", "finished"]
        (name,) = [
            worker["name"] for worker in run.document["workers"] if worker["state"] == "died"
        ]
        assert f"worker {name} died" in run.document["reasons"]


def ended(run: LoadRun, code: int) -> None:
    """Check the exit code, that no process is left, and that the document is valid."""
    assert run.document["exit_code"] == code, run.said
    assert run.document["verdict"] == "invalid"
    assert run.left == []
    assert "Traceback" not in run.said
