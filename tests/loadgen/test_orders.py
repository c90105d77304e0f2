"""A worker takes a few options from a master: no host, no path, no other type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from rolecall.errors import UsageError
from rolecall.loadgen import orders, plan
from rolecall.loadgen.messages import Prepare
from tests.support.command import target_file, target_text

OWN = "http://target.example:8080"


def job(options: Mapping[str, Any] | None = None) -> Prepare:
    """What a master sends."""
    return Prepare("session", clients=8, index=0, workers=2, options=dict(options or {}))


def test_what_a_master_says_is_taken() -> None:
    """All that `plan.shared` sends of a master's command line is taken, and nothing of the worker's
    own is lost.
    """
    # Longer than 40 lines because it lists all options.
    argv = [
        "--in-flight",
        "7",
        "--answer-timeout",
        "3",
        "--racers",
        "9",
        "--weights",
        "session=2",
        "--guarding",
        "refresh-get",
        "--think",
        "1..2s",
        "--deny-within",
        "9s",
    ]
    master = plan.parse(
        [
            "--host",
            OWN + "/",
            *argv,
            "--no-invariants",
            "--lone-sessions",
            "--capacity",
            "--accounts",
            "theirs",
        ]
    )
    options = orders.taken(plan.parse(["-H", OWN, "--accounts", "mine"]), job(plan.shared(master)))

    assert {name: getattr(options, name) for name in plan.SHARED} == {
        "in_flight": 7,
        "answer_timeout": 3.0,
        "weights": "session=2",
        "guarding": "refresh-get",
        "racers": 9,
        "think": "1..2s",
        "think_mean": "",
        "deny_within": "9s",
        "no_invariants": True,
        "lone_sessions": True,
        "capacity": True,
    }
    assert (options.host, options.accounts) == (OWN, "mine")


def test_a_job_does_not_last() -> None:
    """The options of one job do not last into the next."""
    own = plan.parse(["--host", OWN])
    orders.taken(own, job({"racers": 9}))

    assert orders.taken(own, job()).racers == own.racers == 5


@pytest.mark.parametrize(
    "host",
    [
        "http://evil.example",
        "http://target.example",
        "https://target.example:8080",
        OWN + "/other",
        "",
        "x",
        7,
        [OWN],
    ],
)
@pytest.mark.parametrize("by", ["host", "target"])
def test_another_host(host: object, by: str, tmp_path: Path) -> None:
    """A master that names another host is refused, however the worker's own command line says where
    to.
    """
    file = target_file(tmp_path, target_text(OWN, under_target="load_allowed = true"))
    own = plan.parse(["--host", OWN] if by == "host" else ["--target", str(file)])

    assert orders.taken(own, job({"host": OWN})).target == own.target
    with pytest.raises(UsageError):
        orders.taken(own, job({"host": host}))


def test_the_server_of_the_target_file_is_the_same_everywhere(tmp_path: Path) -> None:
    """A master says which server its target file names, so that none of a run's load goes to that
    of another file unseen.
    """
    allowed = "load_allowed = true"
    file = str(target_file(tmp_path, target_text(OWN, under_target=allowed)))
    (tmp_path / "other").mkdir()
    other = str(target_file(tmp_path / "other", target_text(OWN + "/v1", under_target=allowed)))
    said = job(plan.shared(plan.parse(["--target", file])))

    assert orders.taken(plan.parse(["--target", file]), said).target == file
    with pytest.raises(UsageError, match="it names another host"):
        orders.taken(plan.parse(["--target", other]), said)


def test_no_host_of_its_own() -> None:
    """A worker that was not told where to does not let itself be told by a master: it has accounts,
    and passwords.
    """
    with pytest.raises(UsageError, match="--host: is missing"):
        orders.taken(plan.parse(["--accounts", "users.csv"]), job({"host": "http://evil.example"}))


@pytest.mark.parametrize(
    "options",
    [
        {"target": "/etc/passwd"},
        {"accounts": "/etc/passwd"},
        {"run_folder": "/tmp"},
        {"parent": 1},
        {"__class__": "x"},
        {7: 7},
        {"in_flight": "7"},
        {"in_flight": True},
        {"in_flight": 0},
        {"in_flight": 10**9},
        {"racers": 2.0},
        {"answer_timeout": float("nan")},
        {"answer_timeout": -1},
        {"answer_timeout": "1"},
        {"lone_sessions": 1},
        {"weights": "mostly=1"},
        {"weights": ["session=1"]},
        {"guarding": "nothing"},
        {"guarding": ["session"]},
        {"capacity": None},
    ],
    ids=str,
)
def test_an_option_that_is_none(options: dict[Any, Any]) -> None:
    """A path, an unknown name, another type, a number beyond all measure: the job is refused in a
    sentence.
    """
    with pytest.raises(UsageError):
        orders.taken(plan.parse(["--host", OWN]), job(options))


def test_a_worker_is_told_by_its_own_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker needs a target of its own that allows load."""
    worker = ["load", "issuance", "--worker", "--master-host", "127.0.0.1"]
    elsewhere = target_file(tmp_path, target_text("http://192.0.2.1"))

    assert main([*worker, "--accounts", "users.csv"]) == 2
    assert "Give TARGET, as on the master" in capsys.readouterr().err
    assert main([*worker, str(elsewhere)]) == 2
    assert "load_allowed = true" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is not allowed"):
        plan.ResolvedTarget.of(plan.parse(["--target", str(elsewhere)]))


@pytest.mark.parametrize(
    "members",
    [
        {"options": None},
        {"options": [["racers", 5]]},
        {"scenario": "nothing"},
        {"scenario": None},
        {"scenario": ["session"]},
        {"index": 2},
        {"index": -1},
        {"index": "0"},
        {"workers": 0},
        {"clients": 1e3},
        {"clients": None},
    ],
    ids=str,
)
def test_a_job_that_is_none(members: dict[str, Any]) -> None:
    """So is one that no master of the same version sends."""
    with pytest.raises(UsageError):
        orders.understood(Prepare, job().pack() | members)
