"""The command line, a contract with scripts: options, exit codes, and what is printed where.

Longer than 400 lines because the whole contract is in one place.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall import __version__
from rolecall.errors import ExitCode
from rolecall.schema_validation import validation_errors
from rolecall.spec.loading import load_specification
from tests.conftest import Reference, Watched
from tests.support import miniatures
from tests.support.command import ROLES, Finished, finish, rolecall, start, target_file, target_text
from tests.support.miniatures import Miniature, Tap
from tests.support.servers import Admin, certify, serving

#: A requirement whose tests take no time.
QUICK = "ISSUE-lifetime"


@pytest.fixture(scope="module")
def part(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of one requirement that passes, with the output for people."""
    folder = tmp_path_factory.mktemp("part")
    return rolecall(
        "certify",
        reference.target_file(folder),
        "--out",
        "runs",
        "--select",
        QUICK,
        cwd=folder,
        env=reference.env,
    )


def names_in(finished: Finished) -> set[str]:
    """The names of the tests that a run consisted of."""
    return {test["name"] for entry in finished.results["requirements"] for test in entry["tests"]}


class TestUsage:
    """What is wrong with the command line is said before anything is sent, with exit code 2."""

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            pytest.param(["certify", "--no-such-option"], "--no-such-option", id="unknown option"),
            pytest.param(["certifi"], "invalid choice", id="unknown command"),
            pytest.param([], "COMMAND", id="no command"),
            pytest.param(["certify", "a.toml", "b.toml"], "b.toml", id="two targets"),
            pytest.param(
                ["certify", "nowhere.toml"],
                "nowhere.toml: the target file cannot be read",
                id="no target file",
            ),
            pytest.param(["certify", "--rate", "fast"], "--rate", id="rate of text"),
            pytest.param(["certify", "--rate", "-1"], "--rate", id="rate below nothing"),
            pytest.param(["certify", "--rate", "nan"], "--rate", id="rate that is no number"),
            pytest.param(["certify", "--rate", "inf"], "--rate", id="rate without end"),
            pytest.param(
                ["certify", "--concurrency", "0"], "--concurrency", id="nothing in flight"
            ),
            pytest.param(["certify", "--concurrency", "2.5"], "--concurrency", id="half a request"),
            pytest.param(
                ["certify", "--json", "--quiet"], "not allowed with", id="two ways to print"
            ),
            pytest.param(["certify", "--select"], "--select", id="select without expression"),
            pytest.param(["certify", "--select="], "--select: it is empty", id="empty expression"),
            pytest.param(
                ["certify", "--select", " or ".join(["guest"] * 3000)],
                "--select: it has more than 1,500 words",
                id="expression without end",
            ),
            pytest.param(
                ["plan", "--select", f"{'(' * 400}guest{')' * 400}"],
                "--select: it has more than 1,500 words",
                id="deep expression",
            ),
            pytest.param(["certify", "--notify", ""], "--notify: it is empty", id="empty receiver"),
            pytest.param(["certify", ""], "an argument: it is empty", id="empty file name"),
            pytest.param(["prune", "--keep", "3", ""], "an argument", id="empty folder"),
            pytest.param(["certify", "--out", ""], "--out: it is empty", id="empty out"),
            pytest.param(["serve", "--port", "65536"], "is no port", id="port above all"),
            pytest.param(["serve", "--port=-1"], "is no port", id="port below all"),
            pytest.param(["capacity", "--most-rate=-1"], "--most-rate", id="most below nothing"),
            pytest.param(
                ["load", "issuance", "--users", "1", "--baseline", "nowhere"],
                "nowhere: cannot be read: No such file or directory\n",
                id="baseline that is not there",
            ),
        ],
    )
    def test_mistakes(self, words: list[str], says: str, tmp_path: Path) -> None:
        """A mistake is named on stderr, stdout stays empty, and no run's folder is made."""
        finished = rolecall(*words, cwd=tmp_path)

        assert finished.code == ExitCode.USAGE
        assert finished.stdout == ""
        assert says in finished.stderr
        assert "Traceback" not in finished.stderr
        assert not finished.folders

    @pytest.mark.parametrize("expression", ["no-such-operation", "list-users or and guest"])
    def test_select_that_selects_nothing(self, expression: str, tmp_path: Path) -> None:
        """An expression that matches no test, or is none, is a mistake: nothing was proven, and
        nothing is asked for.
        """
        with Miniature(miniatures.html) as server:
            file = target_file(tmp_path, target_text(server.url))
            finished = rolecall("certify", file, "--select", expression, cwd=tmp_path)

        assert finished.code == ExitCode.USAGE, finished.said
        assert "select" in finished.stderr
        assert len(finished.stderr.splitlines()) <= 3, finished.stderr
        assert "Traceback" not in finished.stderr
        assert server.connections == 0
        assert not finished.folders

    def test_out_that_cannot_be_written(self, tmp_path: Path) -> None:
        """An --out that is not a folder is reported before the target is asked anything."""
        (tmp_path / "file").write_text("", encoding="utf-8")
        with Miniature(miniatures.html) as server:
            file = target_file(tmp_path, target_text(server.url))
            finished = rolecall("certify", file, "--out", "file/runs", cwd=tmp_path)

        assert finished.code == ExitCode.USAGE
        assert "file/runs" in finished.stderr
        assert "--out" in finished.stderr
        assert server.connections == 0

    def test_version(self, tmp_path: Path) -> None:
        """--version prints name and version, and nothing else."""
        finished = rolecall("--version", cwd=tmp_path)

        assert (finished.code, finished.stdout, finished.stderr) == (
            0,
            f"rolecall {__version__}\n",
            "",
        )

    @pytest.mark.parametrize("words", [["--help"], ["certify", "--help"]])
    def test_help(self, words: list[str], tmp_path: Path) -> None:
        """--help names commands or options and succeeds."""
        finished = rolecall(*words, cwd=tmp_path)

        assert finished.code == 0
        assert {"--help": "certify", "certify": "--select EXPR"}[words[0]] in finished.stdout


class TestSelect:
    """A part of the suite, chosen by what a user knows."""

    def test_by_requirement(self, part: Finished) -> None:
        """--select takes the id of a requirement and runs its tests, and no others."""
        assert names_in(part) == {
            "test_the_token_of_every_login_lives_24_hours",
            *(f"test_a_token_lives_24_hours[{role}]" for role in ROLES),
        }

    def test_by_operation_and_role(self, tmp_path: Path, reference: Reference) -> None:
        """--select takes operations, roles and credentials, combined as with pytest's -k."""
        finished = certify(
            reference.target_file(tmp_path), "list-contacts and admin and token", env=reference.env
        )

        assert names_in(finished) == {
            "test_an_allowed_read_shows_the_thing[list-contacts-admin-token]"
        }

    def test_a_part_proves_no_conformance(self, part: Finished) -> None:
        """A part of the suite that passes whole is no more than that: part-passed, exit code 0, and
        it says that the rest was not looked at.
        """
        document = part.results

        assert part.code == ExitCode.CONFORMANT
        assert (document["verdict"], document["selected"], document["exit_code"]) == (
            "part-passed",
            True,
            0,
        )
        assert {entry["outcome"] for entry in document["requirements"] if entry["id"] == QUICK} == {
            "passed"
        }
        assert "only a part of the suite was selected" in part.stdout


class TestOutput:
    """What scripts read is printed alone, what people read is printed whole."""

    def test_json_is_the_results_file(self, tmp_path: Path, reference: Reference) -> None:
        """--json prints exactly what results.json holds, and nothing besides."""
        words = ["--out", "runs", "--select", QUICK, "--json"]
        finished = rolecall(
            "certify", reference.target_file(tmp_path), *words, cwd=tmp_path, env=reference.env
        )

        assert finished.stdout == (finished.folder / "results.json").read_text(encoding="utf-8")
        assert finished.stderr == ""
        assert validation_errors("results", json.loads(finished.stdout)) == []
        assert json.loads(finished.stdout)["exit_code"] == finished.code == ExitCode.CONFORMANT

    def test_quiet_is_one_line(self, tmp_path: Path, reference: Reference) -> None:
        """--quiet prints one line with the verdict, the target and the exit code."""
        words = ["--out", "runs", "--select", QUICK, "--quiet"]
        finished = rolecall(
            "certify", reference.target_file(tmp_path), *words, cwd=tmp_path, env=reference.env
        )

        (line,) = finished.stdout.splitlines()
        assert re.search(rf"PART PASSED: .* at {re.escape(reference.url)} .*exit 0", line)
        assert finished.stderr == ""

    def test_no_colours_and_no_bar_in_a_file(self, part: Finished) -> None:
        """Output that goes to a file or a pipe holds no control characters."""
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", part.said)

    @pytest.mark.long
    def test_of_a_whole_run(self, certified: Watched) -> None:
        """A whole run against the reference server ends conformant, exit 0, with a map of all 376
        cells and nothing left over.
        """
        finished = certified.finished
        document = finished.results
        rows = re.findall(r"^([a-z-]+) +((?:[-+] *){8})$", finished.stdout, re.MULTILINE)

        assert finished.code == ExitCode.CONFORMANT, finished.said
        assert document["verdict"] == "conformant"
        assert document["counts"]["cells"]["passed"] == 376
        assert [name for name, _ in rows] == list(load_specification().operations)
        for name, marks in rows:
            allowed = [
                "+" if load_specification().allows(name, role) else "-"
                for role in load_specification().roles
            ]
            assert marks.split() == allowed * 2, name
        assert "CONFORMANT: reference at" in finished.stdout.splitlines()[-1]
        assert document["left_behind"] == []

    def test_other_encodings(self, tmp_path: Path) -> None:
        """A terminal that knows only ASCII gets a readable message and the right exit code, not a
        traceback.
        """
        with miniatures.nobody() as url:
            file = target_file(tmp_path, target_text(url).replace('"miniature"', '"Prüfling ✓"'))
            finished = rolecall(
                "certify", file, "--out", "runs", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"}
            )

        assert finished.code == ExitCode.UNREACHABLE, finished.said
        assert r"Pr\xfcfling" in finished.stdout

    def test_a_reader_that_leaves(self, tmp_path: Path) -> None:
        """When the reader of the output has gone (``| head``), the exit code is the run's all the
        same, and nobody complains.
        """
        with miniatures.nobody() as url:
            file = target_file(tmp_path, target_text(url))
            reader, writer = os.pipe()
            os.close(reader)
            process = start("certify", file, "--out", "runs", "--json", cwd=tmp_path, stdout=writer)
            os.close(writer)
            _, stderr = process.communicate(timeout=60)

        assert process.returncode == ExitCode.UNREACHABLE
        assert stderr == f"rolecall: {url} cannot be reached: no server listens there\n"

    def test_no_standard_streams(self, tmp_path: Path) -> None:
        """Where the parent process has closed all three, a run with a server of its own goes on."""
        words = [sys.executable, "-m", "rolecall", "certify", "--select", QUICK]
        done = subprocess.run(
            ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *words], cwd=tmp_path, check=False, timeout=120
        )

        assert done.returncode == 0

    @pytest.mark.parametrize("option", ["--quiet", "--json"])
    def test_no_output_at_all(self, option: str, tmp_path: Path) -> None:
        """Where the parent process has closed standard output, the exit code is the run's all the
        same.
        """
        with miniatures.nobody() as url:
            file = target_file(tmp_path, target_text(url))
            words = [
                sys.executable,
                "-m",
                "rolecall",
                "certify",
                str(file),
                "--out",
                str(tmp_path / "runs"),
                option,
            ]
            done = subprocess.run(
                ["sh", "-c", '"$@" >&-', "sh", *words],
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )

        assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.UNREACHABLE, False), (
            done.stderr
        )


class TestLimits:
    """How much is sent, and how fast."""

    def test_rate_and_concurrency_override_the_target_file(
        self, tmp_path: Path, reference: Reference
    ) -> None:
        """--rate 10 and --concurrency 1 on a target without limit: ten requests in a second, one at
        a time.
        """
        with Tap(reference.url) as tap:
            file = reference.target_file(tmp_path, url=tap.url, under_target="concurrency = 16")
            words = ["--select", "PERM-list-contacts", "--rate", "10", "--concurrency", "1"]
            finished = rolecall(
                "certify", file, "--out", "runs", *words, cwd=tmp_path, env=reference.env
            )

        har = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))["log"][
            "entries"
        ]
        assert len(har) >= 12
        assert len(tap.sent) == 1  # one at a time needs one connection
        assert finished.seconds > (len(har) - 1) / 10

    @pytest.mark.long
    def test_read_only_writes_nothing(self, tmp_path: Path, reference: Reference) -> None:
        """--read-only sends nothing but reads and log-ins, moves no clock, and leaves what it could
        not prove undecided.
        """
        with Tap(reference.url) as tap:
            file = reference.target_file(tmp_path, url=tap.url)
            finished = rolecall(
                "certify", file, "--out", "runs", "--read-only", cwd=tmp_path, env=reference.env
            )

        sent = {(method, path.partition("?")[0]) for method, path in tap.requests()}
        writes = {
            (method, path)
            for method, path in sent
            if method not in ("GET", "HEAD", "OPTIONS", "TRACE")
        }
        assert writes == {("POST", "/v2/auth/token")}
        assert finished.code == ExitCode.INCONCLUSIVE, finished.said
        document = finished.results
        assert document["read_only"]
        assert document["counts"]["requirements"]["failed"] == 0
        assert document["counts"]["requirements"]["error"] == 0
        assert document["counts"]["cells"]["passed"] > 0
        assert document["left_behind"] == []


class TestEmbedded:
    """Without a target file, the embedded server."""

    def test_the_environment_of_another_target_does_no_harm(self, tmp_path: Path) -> None:
        """Passwords and a signing key that are exported for a real target do not keep the embedded
        server from starting.
        """
        env = {
            "ROLECALL_SIGNING_KEY": "short",
            "ROLECALL_ADMIN_PASSWORD": "x",
            "ROLECALL_BOT_KEY": "y",
        }
        finished = rolecall("certify", "--out", "runs", "--select", QUICK, cwd=tmp_path, env=env)

        assert finished.code == ExitCode.CONFORMANT, finished.said
        assert finished.results["counts"]["tests"]["passed"] == len(ROLES) + 1

    @pytest.mark.skipif(
        not Path("/proc/self/task").exists(), reason="who started whom is read from /proc"
    )
    def test_a_run_that_is_killed_leaves_no_server(self, tmp_path: Path) -> None:
        """The embedded server does not outlive a run that was killed."""
        process = start("certify", "--out", "runs", cwd=tmp_path)
        wait_for(lambda: bool(list(tmp_path.glob("runs/*/ledger.jsonl"))))
        (child,) = children_of(process.pid)
        process.kill()
        process.communicate(timeout=10)

        wait_for(lambda: not Path(f"/proc/{child}").exists())


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [
        int(word)
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(600):
        if what():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen")


def test_sigterm_ends_a_run_tidily(tmp_path: Path) -> None:
    """SIGTERM, as CI systems send it, ends with exit 130; what was made is deleted, and
    results.json says why.
    """
    with serving("--scrypt-n", "2", "--variant", "latency-50ms") as server:
        file = server.target_file(tmp_path, under_target="concurrency = 16")
        process = start("certify", file, "--out", "runs", "--select", "PERM", cwd=tmp_path)
        wait_for(
            lambda: any(
                path.read_text().count('"created"') > 10
                for path in tmp_path.glob("runs/*/ledger.jsonl")
            )
        )
        process.terminate()
        finished = finish(process, tmp_path / "runs", time.monotonic())
        left = Admin(server).left_by(finished.results["run"])

    assert finished.code == ExitCode.INTERRUPTED, finished.said
    assert finished.stderr == "rolecall: interrupted\n"
    assert finished.results["reasons"][0] == "interrupted"
    assert finished.results["left_behind"] == left == []


@pytest.mark.long
@pytest.mark.parametrize("command", ["plan", "rejudge"])
def test_ctrl_c_is_no_outcome(command: str, certified: Watched, tmp_path: Path) -> None:
    """A rehearsal or a replay that is broken off says nothing of the target: exit code 130."""
    folder = [certified.finished.folder] if command == "rejudge" else []
    process = start(command, *folder, cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    wait_for(lambda: any(tmp_path.iterdir()))  # the folder of the run that is nobody's
    process.send_signal(signal.SIGINT)
    finished = finish(process, tmp_path, time.monotonic())

    assert finished.code == ExitCode.INTERRUPTED, finished.said
    assert finished.stdout == ""
    assert finished.stderr == "rolecall: interrupted\n"
