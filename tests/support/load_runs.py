"""``rolecall load`` as its users run it: what it leaves is read and validated, and that no process
of it is left is seen.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.schema_validation import validation_errors
from tests.support.command import ROLES, Finished, finish, start

#: In the environment of a command and of all that it starts.
_MARK = "ROLECALL_TEST_MARK"


@dataclass(frozen=True)
class LoadRun(Finished):
    """A load run that has ended; ``left`` are the command lines of processes it left behind."""

    left: list[str]

    @property
    def document(self) -> dict[str, Any]:
        """The load.json of the only run, which is valid."""
        document: dict[str, Any] = json.loads(
            (self.folder / "load.json").read_text(encoding="utf-8")
        )
        assert validation_errors("load", document) == []
        # Where Ctrl-C meets an import, Python may die of it once more in the end (-2); to a shell
        # that is 130, too.
        assert document["exit_code"] == (130 if self.code == -signal.SIGINT else self.code), (
            self.code,
            document["exit_code"],
            self.said,
        )
        return document

    def came_to(self, code: int) -> bool:
        """Whether the run ended with this exit code; or was void, for no other reason than that
        this machine was busy just then.
        """
        busy = ("the generator was", "used ")
        return self.code == code or (
            self.code == 3
            and all(any(word in why for word in busy) for why in self.document["reasons"])
        )

    def entry(self, name: str) -> dict[str, Any]:
        """The row of this name."""
        (found,) = [entry for entry in self.document["entries"] if entry["name"] == name]
        row: dict[str, Any] = found
        return row


Meanwhile = Callable[[subprocess.Popen[str], Path], None]


def load(
    *words: str | Path,
    cwd: Path,
    meanwhile: Meanwhile | None = None,
    command: str = "load",
    **env: str,
) -> LoadRun:
    """Run the command to its end; ``meanwhile`` gets the process and the folder of its runs."""
    mark = secrets.token_hex(8)
    out, began = cwd / "runs", time.monotonic()
    process = start(command, *words, "--out", out, cwd=cwd, env={_MARK: mark, **env})
    try:
        if meanwhile:
            meanwhile(process, out)
        finished = finish(process, out, began)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()
    left = [line for _, line in processes(mark)]
    return LoadRun(finished.code, finished.stdout, finished.stderr, finished.seconds, out, left)


def processes(mark: str) -> list[tuple[int, str]]:
    """The processes that have this mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"{_MARK}={mark}".encode() in environment.split(b"\0"):
                found.append((int(folder.name), line))
    return found


def family(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """The processes of a running command; none while it is about to begin."""
    variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    marks = [
        variable.partition(b"=")[2].decode()
        for variable in variables
        if variable.startswith(_MARK.encode())
    ]
    return processes(marks[0]) if marks else []


def wait_until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is so, and return it."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)
    return found


def interrupted_after(
    seconds: float, condition: Callable[[subprocess.Popen[str], Path], Any] = lambda *_: True
) -> Meanwhile:
    """Ctrl-C so many seconds after a condition has come about."""

    def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
        wait_until(lambda: condition(process, out))
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)

    return meanwhile


def kill(pid: int) -> None:
    """As the kernel does when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def accounts_file(folder: Path, text: str = "") -> Path:
    """A CSV with a user of each role."""
    path = folder / "users.csv"
    lines = [f"{role}@example.org,password-of-{role}-7Hq2,{role}" for role in ROLES]
    path.write_text(text or "\n".join(["email,password,role", *lines, ""]), encoding="utf-8")
    return path


def free_port() -> int:
    """A port of this machine that is free just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
