"""``rolecall completion``: what a real bash completes, and what the other scripts hold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rolecall.__main__ import COMMANDS, main
from rolecall.harness.options import OPTIONS

#: Asks bash as its Tab key does: the last word is the one that is begun.
_ASK = """
. ./completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_rolecall
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(name="script")
def _script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """The folder with bash's script in it."""
    assert 0 == main(["completion", "bash"])
    (tmp_path / "completion").write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path


def completed(folder: Path, *words: str) -> set[str]:
    """What bash offers after these words."""
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("no bash here")
    done = subprocess.run(
        [bash, "--norc", "-u", "-c", _ASK, "bash", "rolecall", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_commands(script: Path) -> None:
    """The first word is a command."""
    assert {*COMMANDS, "--help", "--version"} == completed(script, "")
    assert {"certify"} == completed(script, "cer")


def test_options(script: Path) -> None:
    """A dash begins an option of the command at hand, and of no other."""
    assert completed(script, "certify", "-") >= {*OPTIONS, "--notify", "--json"}
    assert {"--since"} == completed(script, "certify", "staging.toml", "--sin")
    assert {"--keep"} == completed(script, "prune", "--k")


def test_choices(script: Path) -> None:
    """A choice is completed by its values: of an option, and of an argument."""
    assert {"skipped", "error"} == completed(script, "certify", "--junit-inconclusive", "")
    assert {"bash", "fish", "zsh"} == completed(script, "completion", "")
    assert {"issuance"} == completed(script, "load", "iss")


def test_files(script: Path) -> None:
    """Where a file is meant nothing is offered, and bash completes files itself."""
    assert set() == completed(script, "certify", "")
    assert set() == completed(script, "certify", "--out", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Their scripts name every command and option; where the shell is there, it reads them."""
    assert 0 == main(["completion", shell])
    text = capsys.readouterr().out

    for command in COMMANDS:
        assert command in text
    assert "since" in text
    path = tmp_path / "completion"
    path.write_text(text, encoding="utf-8")
    if program := shutil.which(shell):
        subprocess.run([program, "-n", str(path)], check=True)
