"""``rolecall certify --notify`` in real runs: those that never were, and those interrupted.

Each says what it was in its exit code, its summary and its notice, so that the right person is
called.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from rolecall.harness.clock_turn import clock_turn
from tests.conftest import Reference
from tests.support.command import Finished, finish, rolecall, start
from tests.support.miniatures import nobody

_TELL = (
    "import os, sys; open('told', 'w', encoding='utf-8').write("
    "os.environ['ROLECALL_EXIT_CODE'] + chr(10) + os.environ['ROLECALL_CHANGES'] + chr(10) + "
    "sys.stdin.read())"
)


@pytest.fixture(name="notify")
def _notify(tmp_path: Path) -> str:
    """A command that writes down what it is told."""
    (tmp_path / "tell.py").write_text(_TELL, encoding="utf-8")
    return f"{sys.executable} tell.py"


def check_said(done: Finished, folder: Path, code: int, words: str) -> None:
    """Exit code, summary and notice say the same."""
    assert code == done.code, done.said
    told = (folder / "told").read_text(encoding="utf-8")
    assert f"{code}\n{words}\n" in told
    summary = (done.folder / "summary.md").read_text(encoding="utf-8")
    assert summary.splitlines()[0].endswith(f"({words})")
    assert summary in told


def test_a_target_that_is_not_reached(reference: Reference, tmp_path: Path, notify: str) -> None:
    """Exit code 4: it is the network's or the server's being away, and no finding."""
    with nobody() as url:
        target = reference.target_file(tmp_path, url=url)
        done = rolecall("certify", target, "--notify", notify, cwd=tmp_path, env=reference.env)

    check_said(done, tmp_path, 4, "not run: the target was not reached")
    assert [] == done.results["findings"]


def test_credentials_that_are_wrong(reference: Reference, tmp_path: Path, notify: str) -> None:
    """Exit code 2: the target file's accounts are somebody else's matter than the server."""
    target = reference.target_file(tmp_path)
    text = target.read_text(encoding="utf-8")
    pattern = r'(\[accounts\.bot\]\n.*\npassword = ").*?"'
    target.write_text(re.sub(pattern, r'\1wrong-7Hq2-word"', text), encoding="utf-8")
    done = rolecall("certify", target, "--notify", notify, cwd=tmp_path, env=reference.env)

    check_said(done, tmp_path, 2, "not run: the target file is wrong, or a log-in was refused")
    assert "wrong-7Hq2-word" not in (tmp_path / "told").read_text(encoding="utf-8")


def test_a_target_file_that_is_wrong(tmp_path: Path, notify: str) -> None:
    """Exit code 2 before there is a run: notice and job page have the message."""
    (tmp_path / "target.toml").write_text("[target]\n", encoding="utf-8")
    page = tmp_path / "page.md"
    words = ["certify", "target.toml", "--notify", notify]
    done = rolecall(*words, cwd=tmp_path, env={"GITHUB_STEP_SUMMARY": str(page)})

    assert 2 == done.code
    assert "not run: the target file is wrong" in page.read_text(encoding="utf-8").splitlines()[0]
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert told.startswith("2\nnot run: the target file is wrong, or a log-in was refused\n")
    assert "[target]" in told


def test_a_run_that_is_interrupted(reference: Reference, tmp_path: Path, notify: str) -> None:
    """Exit code 130, and what failed until then is told of no server."""
    target = reference.target_file(tmp_path, under_target="rate_limit = 40")
    began = time.monotonic()
    process = start(
        "certify", target, "--notify", notify, "--quiet", cwd=tmp_path, env=reference.env
    )
    out = tmp_path / "reports" / "runs"
    while not [path for path in out.glob("*/ledger.jsonl") if b"intend" in path.read_bytes()]:
        assert process.poll() is None, "the run has ended"
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    done = finish(process, out, began)

    check_said(done, tmp_path, 130, "interrupted")
    assert [] == done.results["left_behind"]


def test_a_run_that_is_interrupted_before_it_begins(
    reference: Reference, tmp_path: Path, notify: str
) -> None:
    """Exit code 130 here too: a run that waited for another one of the same clock is told of."""
    url = "http://127.0.0.1:9/interrupted-while-it-waits"
    target = tmp_path / "target.toml"
    text = re.sub('clock_url = ".*"', f'clock_url = "{url}"', reference.text)
    target.write_text(text, encoding="utf-8")
    with clock_turn(url):
        process = start(
            "certify", target, "--notify", notify, cwd=tmp_path, env=reference.env, bufsize=1
        )
        assert process.stderr
        assert "waiting for another run" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        done = finish(process, tmp_path / "reports" / "runs", time.monotonic())

    assert 130 == done.code, done.said
    assert "interrupted before the run began" in done.stderr
    assert (tmp_path / "told").read_text(encoding="utf-8").startswith("130\ninterrupted\n")


def test_what_cannot_be_told_changes_nothing(reference: Reference, tmp_path: Path) -> None:
    """A webhook that is not there is one line on standard error, without its path; the exit code
    is that of the run.
    """
    with nobody() as url:
        target = reference.target_file(tmp_path, url=url)
        words = ["--quiet", "--notify", f"{url}/a-secret-path"]
        done = rolecall("certify", target, *words, cwd=tmp_path, env=reference.env)

    assert 4 == done.code, done.said
    (line,) = [line for line in done.stderr.splitlines() if "--notify" in line]
    assert "the webhook at 127.0.0.1 could not be reached" in line
    assert "a-secret-path" not in done.said
