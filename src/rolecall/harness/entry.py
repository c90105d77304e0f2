"""Runs the suite by one call of pytest, shielded from the user's own configuration and plugins."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rolecall.errors import ExitCode, RolecallError, UsageError
from rolecall.harness.collection import requirement_of

if TYPE_CHECKING:
    from rolecall.harness.progress import Progress
    from rolecall.harness.run import Run

#: A library's warning, or something that Python throws away, says nothing of the target and must
#: not end a run.
_UNMOVED = ("-W", "ignore", "-p", "no:unraisableexception", "-p", "no:threadexception")


def run_suite(options: Sequence[str], progress: Progress, plugins: Sequence[object] = ()) -> Run:
    """Run the suite with options of the plugin (``--target FILE``) and of pytest (``-k EXPR``), and
    return the run.

    What pytest itself prints is dropped: everything it knows is in the run's results.

    Raises:
        UsageError: an option or the target file is wrong, or nothing is selected.
        RolecallError: the run could not be brought to its end.
        KeyboardInterrupt: there was one before the run began.
    """
    code, said = _pytest(options, [progress, *plugins])
    progress.clear()
    run = progress.run
    if run and run.fatal:
        raise run.fatal
    if run is None or not run.document:
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise UsageError(
                "--select",
                "this selects no test",
                "Try a requirement (rolecall requirements lists them), an operation or a role.",
            )
        if code == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code == pytest.ExitCode.USAGE_ERROR:
            raise _complaint(said)
        raise RolecallError(f"the suite could not be run:\n{said.strip()}")
    return run


def _pytest(options: Sequence[str], plugins: Sequence[object]) -> tuple[int, str]:
    """Call pytest on the suite, and return its exit code and what it printed."""
    _see_that_the_working_directory_is_there()
    said = io.StringIO()
    with as_file(files("rolecall.conformance")) as folder:
        words = ["-c", str(folder / "pytest.toml"), "--disable-plugin-autoload", "-qq"]
        words += ["--capture=no", "--color=no", "--tb=native", *_UNMOVED, *options, str(folder)]
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            _unmoved_by_the_environment(),
        ):
            return pytest.main(words, plugins=list(plugins)), said.getvalue()


def list_tests() -> dict[str, list[str]]:
    """The tests that prove each requirement, as ``test_issuance.py::test_a_token_is_issued``,
    without their parameters. Nothing is run.

    Raises:
        RolecallError: the suite could not be read.
    """
    collector = _Collector()
    code, said = _pytest(["--collect-only", "-q"], [collector])
    if code != pytest.ExitCode.OK:
        raise RolecallError(f"the suite could not be read:\n{said.strip()}")
    return {name: list(tests) for name, tests in collector.tests.items()}


class _Collector:
    """A plugin that keeps the names of what was collected; a dict keeps them in their order."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, None]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
            self.tests.setdefault(requirement_of(item), {})[name] = None


def run_without_target(
    options: Sequence[str], progress: Progress, plugins: Sequence[object] = ()
) -> Run:
    """The same for a rehearsal or a replay, which sends nothing: half of it is worth nothing.

    Raises:
        UsageError, RolecallError: as for `run_suite`.
        KeyboardInterrupt: there was one.
    """
    run = run_suite(options, progress, plugins)
    if run.exit_code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return run


def _see_that_the_working_directory_is_there() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError(
            "the working directory", "it has been deleted", "Go to another folder first."
        ) from None


@contextlib.contextmanager
def _unmoved_by_the_environment() -> Iterator[None]:
    """Without what the environment tells every pytest: options and plugins that are meant for the
    user's own tests.
    """
    meant_for_others = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")
    }
    try:
        yield
    finally:
        os.environ.update(meant_for_others)


def _complaint(said: str) -> UsageError:
    """What pytest complains about, without its header."""
    errors = [
        line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")
    ]
    what = "\n".join(errors) or said.strip()
    where = "--select" if what.startswith("Wrong expression") else "certify"
    return UsageError(where, what.removeprefix("Wrong expression passed to '-k': "))
