"""What lies in the working directory, or that it is gone, is no part of a command."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import Finished, environment, finish

#: Names of modules that Python, Locust or we import; users have files of such names.
NAMES = (
    "email",
    "token",
    "random",
    "signal",
    "rolecall",
    "starlette",
    "locust",
    "conftest",
    "msgspec",
)
#: As the command is installed: Python does not look for modules in the working directory.
COMMAND = (sys.executable, "-P", "-m", "rolecall")


def rolecall(*words: str, cwd: Path) -> Finished:
    """Run the command in a folder, as its script does."""
    began = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process, cwd / "reports" / "runs", began)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules of the user's, each of which says that it was run."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')\n")
    return tmp_path


def test_modules_of_the_user_are_not_run_by_the_server(folder: Path) -> None:
    """The embedded server imports none of them."""
    finished = rolecall("check", cwd=folder)

    assert "was run" not in finished.said
    assert finished.code == 0, finished.said


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param((), id="one"),
        pytest.param(("--workers", "2"), id="workers", marks=pytest.mark.long),
    ],
)
def test_modules_of_the_user_are_not_run_under_load(folder: Path, processes: list[str]) -> None:
    """Locust's processes import none of them, which Locust does for locustfiles of the user's."""
    words = ("load", "issuance", "--rate", "5", "--duration", "1s", *processes)
    finished = rolecall(*words, cwd=folder)

    assert "was run" not in finished.said
    assert finished.code in {0, 3}, finished.said  # 3: this machine was busy
    assert "POST issue" in finished.stdout


def test_locusts_configuration_files_are_not_read(tmp_path: Path) -> None:
    """Neither one that is broken, nor one with options that nobody typed."""
    (tmp_path / "pyproject.toml").write_text("[tool.locust\n")
    (tmp_path / "locust.conf").write_text("users = many\n")
    words = ("load", "issuance", "--rate", "5", "--duration", "1s", "--workers", "1")
    finished = rolecall(*words, cwd=tmp_path)

    assert finished.code in {0, 3}, finished.said  # 3: this machine was busy
    assert "POST issue" in finished.stdout


def test_a_generator_without_files_says_so(tmp_path: Path) -> None:
    """Files are short on this machine, and the target is not called unreachable."""
    words = ("load", "issuance", "--rate", "5", "--duration", "1s")
    finished = subprocess.run(
        ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *COMMAND, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert "out of files: raise ulimit -n" in finished.stdout
    assert "cannot be reached" not in finished.stdout


@pytest.mark.long
def test_modules_of_the_user_are_not_run_by_the_self_test(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The processes from which servers and runs are forked import none of them."""
    script = tmp_path_factory.mktemp("bin") / "rolecall-of-a-script"  # as an installed one: no -P
    script.write_text(
        'from rolecall.__main__ import script\nif __name__ == "__main__":\n    script()\n',
        encoding="utf-8",
    )

    ended = subprocess.run(
        [sys.executable, script, "selftest", "--fault", "denied-401"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "was run" not in ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("command", ["certify", "plan"])
def test_a_folder_that_is_gone(command: str, tmp_path: Path) -> None:
    """A working directory that was deleted is one clear message, and no bug of ours."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = (
        f"import os; os.rmdir(os.getcwd()); os.execv({sys.executable!r}, {[*COMMAND, command]!r})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=gone, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2, ended.stderr
    assert "the working directory: it has been deleted" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "bug" not in ended.stderr
