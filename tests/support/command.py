"""The ``rolecall`` command as its users run it: a process of its own, with the output it leaves and
the folder it fills.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.report.artefacts import WRITERS

ROLES = ("guest", "agent", "bot", "admin")
#: What every run of ``rolecall certify`` leaves.
FILES = {*WRITERS, "results.json", "evidence.har", "replay.json", "ledger.jsonl"}


@dataclass(frozen=True)
class Finished:
    """A command that has come to its end. ``out`` is the folder that it was given for its runs."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    out: Path

    @property
    def said(self) -> str:
        """Everything it printed."""
        return self.stdout + self.stderr

    @property
    def folders(self) -> list[Path]:
        """The folders of its runs."""
        return sorted(filter(Path.is_dir, self.out.iterdir())) if self.out.exists() else []

    @property
    def folder(self) -> Path:
        """The folder of its only run."""
        (folder,) = self.folders
        return folder

    @property
    def results(self) -> dict[str, Any]:
        """The results.json of its only run."""
        document: dict[str, Any] = json.loads(
            (self.folder / "results.json").read_text(encoding="utf-8")
        )
        return document


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without what would change a run, and with ``more``."""
    return (
        {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ROLECALL_") and name != "GITHUB_STEP_SUMMARY"
        }
        | {"NO_COLOR": "1"}
        | more
    )


def start(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """The command, running."""
    return start_module("rolecall", *words, cwd=cwd, env=env, **options)


def start_module(
    module: str,
    *words: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:
    """A module that is a command (``python -m``), running."""
    command = [sys.executable, "-m", module, *map(str, words)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(**(env or {})),
        text=True,
        stdin=subprocess.DEVNULL,
        **pipes,
    )


def finish(process: subprocess.Popen[str], out: Path, began: float) -> Finished:
    """Wait for a running command."""
    try:
        stdout, stderr = process.communicate(timeout=240)  # a guard: machines are busy
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Finished(process.returncode, stdout or "", stderr or "", time.monotonic() - began, out)


def rolecall(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end in the folder ``cwd``; runs that name no --out land in its
    reports/runs.
    """
    began = time.monotonic()
    out = next(
        (Path(words[index + 1]) for index, word in enumerate(words) if word == "--out"),
        cwd / "reports" / "runs",
    )
    return finish(start(*words, cwd=cwd, env=env), cwd / out, began)


def target_text(url: str, *, under_target: str = "", more: str = "") -> str:
    """A target file for a server without accounts, or for one that ignores them."""
    accounts = "".join(
        f'\n[accounts.{role}]\nemail = "{role}@example.org"\npassword = "password-of-{role}-7Hq2"\n'
        for role in ROLES
    )
    return f'[target]\nname = "miniature"\nbase_url = "{url}"\n{under_target}\n{accounts}\n{more}'


def target_file(folder: Path, text: str) -> Path:
    """A target file with this text."""
    path = folder / "target.toml"
    path.write_text(text, encoding="utf-8")
    return path
