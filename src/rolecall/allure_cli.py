"""Renders ``allure-results/`` with an Allure command line, where one is installed.

Allure 3 (npm: allure) and Allure 2 (npm: allure-commandline, or its own packages) are called
``allure`` both. Their pages ask Google to count their readers, whatever is configured: that is
taken out of ours.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rolecall.errors import RolecallError, UsageError
from rolecall.whole_files import NotWrittenWhole

#: What is kept in a run's folder for the next run's page: the history of all runs until then.
HISTORY, _LINES = "allure-history", "history.jsonl"
#: An empty file in each page, by which it is known for one that may be replaced.
MARK = ".rolecall"
_TIMEOUT = 900.0  # seconds; a page of a whole run takes five where the machine is idle
_TAG = re.compile(
    r"<script\b[^>]*\bsrc=\"https://www\.googletagmanager\.com/[^>]*>\s*</script>\s*"
    r"(?:<script>(?:(?!</script>).)*\bgtag\((?:(?!</script>).)*</script>)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Allure:
    """An Allure command line: its path, and its major version."""

    path: str
    major: int

    def render(self, results: Path, page: Path, run: Path, earlier: Path | None) -> None:
        """Make the report ``page`` (a folder) of the results of a run.

        Args:
            run: the run's folder, where the history until now is kept.
            earlier: the folder of the run before, whose history goes on.

        Raises:
            NotWrittenWhole: the file system refused.
            RolecallError: Allure failed.
        """
        try:
            with tempfile.TemporaryDirectory(dir=page.parent, prefix=".allure-") as name:
                made = Path(name) / "page"
                make = self._make_3 if self.major >= 3 else self._make_2
                history = make(results, made, earlier)
                for document in made.rglob("*.html"):
                    text = document.read_text(encoding="utf-8")
                    document.write_text(without_analytics(text), encoding="utf-8")
                (made / MARK).touch()
                shutil.rmtree(page, ignore_errors=True)
                made.replace(page)
                if history.exists():
                    shutil.rmtree(run / HISTORY, ignore_errors=True)
                    shutil.move(history, run / HISTORY)
        except OSError as error:
            raise NotWrittenWhole(str(page), error.strerror or type(error).__name__) from None

    def _make_3(self, results: Path, made: Path, earlier: Path | None) -> Path:
        """Allure 3 goes on with a file of JSON lines; the folder with that file."""
        history = made.parent / HISTORY
        if earlier:
            shutil.copytree(earlier / HISTORY, history)
        history.mkdir(exist_ok=True)
        options = made.parent / "allurerc.json"
        options.write_text(
            json.dumps(
                {"name": "Rolecall", "output": str(made), "historyPath": str(history / _LINES)}
            ),
            encoding="utf-8",
        )
        self._run("generate", str(results), "--config", str(options), "--output", str(made))
        return history

    def _make_2(self, results: Path, made: Path, earlier: Path | None) -> Path:
        """Allure 2 goes on with a folder of its last page, among the results; that folder."""
        sources = made.parent / "results"
        shutil.copytree(results, sources)
        if earlier:
            shutil.copytree(earlier / HISTORY, sources / "history")
        self._run("generate", str(sources), "--output", str(made))
        history = made.parent / HISTORY
        shutil.copytree(made / "history", history)
        return history

    def _run(self, *words: str) -> None:
        try:
            subprocess.run(
                [self.path, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout).strip().splitlines()
            why = said[-1] if said else f"exit {error.returncode}"
            raise RolecallError(f"{self.path} could not make the report: {why}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            why = type(error).__name__
            raise RolecallError(f"{self.path} could not make the report: {why}") from None


def has_history(run: Path) -> bool:
    """Whether a page was made of this run, on whose history another can go on."""
    return (run / HISTORY).is_dir()


def find() -> Allure:
    """The newest Allure on PATH: version 3 before version 2.

    Raises:
        UsageError: there is none.
    """
    found = [
        Allure(path, major)
        for folder in os.get_exec_path()
        if (path := shutil.which("allure", path=folder)) and (major := _major(path))
    ]
    if not found:
        raise UsageError(
            "--format allure-html",
            "there is no command `allure` on PATH",
            "Install Allure 3 (npm install --global allure), or open the folder with another "
            "reader of Allure's results.",
        )
    return max(found, key=lambda allure: allure.major)


def _major(path: str) -> int:
    """The major version of a command line, or 0 if it does not say one."""
    try:
        said = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r"\d+", said)
    return int(version[0]) if version else 0


def without_analytics(page: str) -> str:
    """A page of Allure's without the tag that reports its readers to Google."""
    return _TAG.sub("", page)
