"""Fixtures of several tests: a reference server in its own process, and one run against it."""

from __future__ import annotations

import fcntl
import itertools
import os
import pickle
import signal
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import Finished, rolecall, start
from tests.support.miniatures import Recorded, Tap

# A shell that starts something in the background lets it ignore Ctrl-C, and what it starts in turn:
# tests send Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def surroundings() -> tuple[Path, dict[str, str]]:
    """What a test's processes are begun in: the working directory and the environment."""
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return Path.cwd(), own


SURROUNDINGS = pytest.StashKey[tuple[Path, dict[str, str]]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Remember what is around a test."""
    item.stash[SURROUNDINGS] = surroundings()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """A test that leaves it changed fails itself: else one that comes later fails, now and then."""
    yield
    (folder, before), (now, after) = item.stash[SURROUNDINGS], surroundings()
    changed = sorted(name for name, _ in before.items() ^ after.items())
    assert folder == now, f"the working directory is left at {now}"
    assert not changed, f"the environment is left changed: {', '.join(changed)}"


SIGNING_KEY = "the signing key of the tests: not a secret, long enough"


@dataclass(frozen=True)
class Reference:
    """A reference server with a clock that can be moved; ``text`` is the target file that it
    printed.
    """

    url: str
    text: str

    #: What a command that reads the target file needs in its environment.
    env = {"ROLECALL_SIGNING_KEY": SIGNING_KEY}  # noqa: RUF012

    def target_file(
        self, folder: Path, *, url: str = "", under_target: str = "", more: str = ""
    ) -> Path:
        """The target file, with lines of one's own, and with ``url`` in the place of the server's
        own.
        """
        text = (
            self.text.replace(self.url, url or self.url).replace(
                "[target]\n", f"[target]\n{under_target}\n"
            )
            + more
        )
        path = folder / "reference.toml"
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    """One reference server for all tests; whatever a run makes there it deletes."""
    folder = tmp_path_factory.mktemp("reference")
    process = start(
        "serve",
        "--port",
        "0",
        "--clock",
        "--exit-with-parent",
        cwd=folder,
        env=Reference.env,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process.stdout:
        text = "".join(itertools.takewhile("# ready\n".__ne__, process.stdout))
        assert process.poll() is None, "the reference server did not start"
        try:
            yield Reference(text.partition('base_url = "')[2].partition('"')[0], text)
        finally:
            process.terminate()
            process.wait(10)


@dataclass(frozen=True)
class Watched:
    """A finished run, and every byte that passed between it and its target."""

    finished: Finished
    tap: Recorded


@pytest.fixture(scope="session")
def certified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One whole run against the reference server, watched on the wire.

    The first of the processes that test side by side makes it, for all of them.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / "certified.pickle"
    with (folder / "certified.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            run = watched(request.getfixturevalue("reference"), folder / "certified")
            made.write_bytes(pickle.dumps(run))
    run = pickle.loads(made.read_bytes())
    assert isinstance(run, Watched)
    return run


def watched(reference: Reference, folder: Path) -> Watched:
    """Run all of it, in this new folder."""
    folder.mkdir()
    with Tap(reference.url) as tap:
        target = reference.target_file(folder, url=tap.url, under_target="concurrency = 16")
        finished = rolecall("certify", target, "--out", "runs", cwd=folder, env=reference.env)
    return Watched(finished, Recorded(tap.sent, tap.answered))
