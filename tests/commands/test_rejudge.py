"""``rolecall rejudge``: a finished run is judged again without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rolecall.__main__ import main
from rolecall.finished_run import EVIDENCE, REPLAY
from tests.conftest import Watched
from tests.support.command import environment

#: The command in a process in which nothing connects, listens, or asks for a name's address.
_WITHOUT_NETWORK = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError("the network was used")

for name in ("connect", "connect_ex", "bind", "listen", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = refuse

from rolecall.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def rejudged(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What the command says where there is no network."""
    command = [sys.executable, "-c", _WITHOUT_NETWORK, "rejudge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


@pytest.mark.long
def test_a_run_is_judged_again_without_a_network(certified: Watched) -> None:
    """Every requirement has the outcome that it had, and all requests of tests are those of then in
    their order, however busy this machine is. (Other servers: harness/test_rejudging.py).
    """
    finished = rejudged(certified.finished.folder, "--json")
    assert finished.returncode == 0, finished.stdout
    said = json.loads(finished.stdout)
    assert (said["differences"], said["not_judged"], said["departure"]) == ([], [], None)
    assert said["then"]["verdict"] == said["now"]["verdict"] == "conformant"


@pytest.mark.long
def test_a_changed_answer_changes_the_verdict(certified: Watched, tmp_path: Path) -> None:
    """Where the evidence says that a guest was let in, the cell fails, and nothing else is said to
    be the same.
    """
    folder = tmp_path / "run"
    shutil.copytree(certified.finished.folder, folder)
    har = json.loads((folder / EVIDENCE).read_text(encoding="utf-8"))
    test = "test_a_refused_read_shows_nothing[list-users-guest-token]"
    (denied, *_) = (
        entry
        for entry in har["log"]["entries"]
        if entry["_test"].endswith(test) and entry["response"]["status"] == 403
    )
    denied["response"]["status"] = 200
    (folder / EVIDENCE).write_text(json.dumps(har), encoding="utf-8")
    finished = rejudged(folder, "--json")
    assert finished.returncode == 1, finished.stderr
    said = json.loads(finished.stdout)
    assert (said["then"]["verdict"], said["now"]["verdict"]) == ("conformant", "not-conformant")
    (cell,) = (entry for entry in said["differences"] if entry["requirement"] == "PERM-list-users")
    assert cell["tests"][test]["now"] == "failed"


@pytest.mark.long
def test_what_the_evidence_lacks_is_named(certified: Watched, tmp_path: Path) -> None:
    """Where an exchange is missing, its test is not judged again, and the rest is."""
    folder = tmp_path / "run"
    shutil.copytree(certified.finished.folder, folder)
    har = json.loads((folder / EVIDENCE).read_text(encoding="utf-8"))
    entries = har["log"]["entries"]
    test = "test_a_refused_read_shows_nothing[list-users-guest-token]"
    har["log"]["entries"] = [entry for entry in entries if not entry["_test"].endswith(test)]
    (folder / EVIDENCE).write_text(json.dumps(har), encoding="utf-8")
    finished = rejudged(folder, "--json")
    said = json.loads(finished.stdout)
    assert any(test in entry["tests"] for entry in said["not_judged"])
    assert finished.returncode in (1, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "replay.json: there is no such file"),
        ('{"format": 99}', "its format is not 2"),
        ('{"format": 2}', "it is not as a run writes it"),
    ],
)
def test_a_folder_that_cannot_be_replayed_is_a_usage_error(
    text: str, said: str, certified: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named, and the exit code is 2."""
    folder = tmp_path / "run"
    shutil.copytree(certified.finished.folder, folder)
    (folder / REPLAY).write_text(text) if text else (folder / REPLAY).unlink()
    assert main(["rejudge", str(folder)]) == 2
    assert said in capsys.readouterr().err
