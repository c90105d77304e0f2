"""A load run whose terminal or ssh session is closed ends in order, as with Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolecall.schema_validation import validation_errors
from tests.support.command import environment, target_file
from tests.support.load_runs import load, wait_until
from tests.support.servers import clock_offset, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Let the signal have its usual meaning, also where these tests were started with ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_hangup_puts_back_the_clock(tmp_path: Path) -> None:
    """SIGHUP while the target's clock is ahead: it is put back, what was measured is kept, and no
    file with a password or a token is left.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with serving("--clock", "--scrypt-n", "128") as server:
        file = target_file(tmp_path, server.text)

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            wait_until(lambda: clock_offset(server.url) > 3600)
            process.send_signal(signal.SIGHUP)

        words = ("guarded", file, "--rate", "10", "--duration", "30s")
        run = load(*words, cwd=tmp_path, meanwhile=meanwhile, TMPDIR=str(temporary))

        assert clock_offset(server.url) == pytest.approx(0, abs=60)
    assert run.document["exit_code"] == 130, run.said
    assert run.document["reasons"] == ["it was interrupted"]
    assert run.left == []
    assert list(temporary.iterdir()) == []


@pytest.mark.long
def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """The run can print nothing any more, and leaves its document and no file of passwords."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    out = tmp_path / "runs"
    words = ("load", "issuance", "--rate", "10", "--duration", "30s", "--out", str(out))
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rolecall", *words],
        cwd=tmp_path,
        env=environment(TMPDIR=str(temporary)),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    try:
        wait_until(lambda: b"plan" in os.read(terminal, 4096))
        os.close(terminal)
        process.send_signal(signal.SIGHUP)  # as the shell in that terminal does
        code = process.wait(60)
    finally:
        process.kill()

    (folder,) = out.iterdir()
    document = json.loads((folder / "load.json").read_text(encoding="utf-8"))
    assert validation_errors("load", document) == []
    assert (code, document["exit_code"]) == (130, 130)
    assert list(temporary.iterdir()) == []
