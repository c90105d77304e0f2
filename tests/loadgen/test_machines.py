"""A load run over machines: a master, three workers and the target in network namespaces."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from rolecall.schema_validation import validation_errors
from tests.support.namespaces import Host, missing, network

RATE, SECONDS = 60, 12
WORKERS = ("one", "two", "three")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=missing() or "namespaces"),
]


@pytest.fixture(name="machines")
def _machines() -> Iterator[list[Host]]:
    """The target's, the master's and three workers'."""
    with network(["target", "master", *WORKERS]) as hosts:
        yield hosts


@dataclass
class Watched:
    """A target, and who asked it how often."""

    file: Path
    relay: subprocess.Popen[str]
    said: Path

    def asked(self, workers: Sequence[Host]) -> list[int]:
        """How many requests came from each worker; nothing is relayed any more."""
        self.relay.terminate()
        self.relay.wait(20)
        counts = json.loads(self.said.read_text(encoding="utf-8").splitlines()[-1])
        return [counts[worker.address] for worker in workers]


@pytest.fixture(name="target")
def _target(machines: list[Host], tmp_path: Path) -> Iterator[Watched]:
    """A reference server that lets itself be put under load, behind a relay that counts."""
    host = machines[0]
    inner, outer = f"{host.address}:8080", f"{host.address}:8081"
    with ExitStack() as stack:
        server = host.start(
            "serve",
            "--host",
            host.address,
            "--port",
            "8080",
            "--scrypt-n",
            "16",
            cwd=tmp_path / "target",
        )
        stack.callback(stop, server)
        text = ready(tmp_path / "target" / "stdout", server)
        relay = host.start(outer, inner, cwd=tmp_path / "relay", module="tests.support.counting")
        stack.callback(stop, relay)
        ready(tmp_path / "relay" / "stdout", relay)
        path = tmp_path / "target.toml"
        path.write_text(
            text.replace(inner, outer).replace("[target]\n", "[target]\nload_allowed = true\n"),
            encoding="utf-8",
        )
        yield Watched(path, relay, tmp_path / "relay" / "stdout")


def ready(said: Path, process: subprocess.Popen[str]) -> str:
    """Wait until a command says that it is ready; all that it said."""
    until(lambda: "# ready" in said.read_text(encoding="utf-8"), process)
    return said.read_text(encoding="utf-8")


def until(true: Callable[[], bool], *processes: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait for something, as long as these processes run."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        assert all(process.poll() is None for process in processes), "a process has ended"
        time.sleep(0.1)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for relative in family:
        if relative.is_running():
            relative.kill()


class Run:
    """A run over the machines, that has begun."""

    def __init__(
        self, machines: list[Host], target: Watched, folder: Path, stack: ExitStack
    ) -> None:
        self.folder = folder
        _, master, *workers = machines
        load = ("load", "issuance", target.file)
        self.master = master.start(
            *load,
            "--master",
            "--bind-host",
            master.address,
            "--workers",
            str(len(workers)),
            "--rate",
            str(RATE),
            "--duration",
            f"{SECONDS}s",
            "--out",
            folder / "runs",
            cwd=folder / "master",
        )
        stack.callback(stop, self.master)
        self.workers = []
        for name, host in zip(WORKERS, workers, strict=True):
            worker = host.start(
                *load, "--worker", "--master-host", master.address, cwd=folder / name
            )
            stack.callback(stop, worker)
            self.workers.append(worker)

    def said(self, name: str) -> str:
        """All that one of the machines printed."""
        return "".join(
            (self.folder / name / stream).read_text(encoding="utf-8")
            for stream in ("stdout", "stderr")
        )

    def begun(self) -> bool:
        """Whether the first seconds were reported."""
        return " p99 " in self.said("master")

    def end(self) -> dict[str, Any]:
        """Wait for the end; what load.json says."""
        self.code = self.master.wait(90)
        (folder,) = (self.folder / "runs").iterdir()
        document: dict[str, Any] = json.loads((folder / "load.json").read_text(encoding="utf-8"))
        assert [] == validation_errors("load", document)
        return document


def test_three_machines_carry_one_schedule(
    machines: list[Host], target: Watched, tmp_path: Path
) -> None:
    """Workers on three machines send exactly the schedule, a third each, and the run is a statement
    about the server.
    """
    with ExitStack() as stack:
        run = Run(machines, target, tmp_path, stack)
        document = run.end()
        codes = [worker.wait(30) for worker in run.workers]

    assert ("met", 0) == (document["verdict"], run.code), document["reasons"]
    assert RATE * SECONDS == document["scheduled"] == document["completed"]
    assert ["finished"] * 3 == [worker["state"] for worker in document["workers"]]
    assert counted(document, "finished") == sorted(target.asked(machines[2:]))
    assert [0, 0, 0] == codes
    assert ["", "", ""] == [run.said(name) for name in WORKERS]


def test_a_worker_that_is_killed_makes_the_run_invalid(
    machines: list[Host], target: Watched, tmp_path: Path
) -> None:
    """A run that lost a worker says so and is invalid; the others are counted exactly."""
    with ExitStack() as stack:
        run = Run(machines, target, tmp_path, stack)
        until(run.begun, run.master)
        for child in psutil.Process(run.workers[1].pid).children(recursive=True):
            child.send_signal(signal.SIGKILL)
        run.workers[1].send_signal(signal.SIGKILL)
        document = run.end()
        codes = [run.workers[number].wait(30) for number in (0, 2)]
    first, dead, last = target.asked(machines[2:])

    assert ("invalid", 3, 3) == (document["verdict"], document["exit_code"], run.code)
    assert ["died", "finished", "finished"] == sorted(
        worker["state"] for worker in document["workers"]
    )
    (lost,) = (worker["name"] for worker in document["workers"] if worker["state"] == "died")
    assert f"worker {lost} died" in document["reasons"]
    assert f"worker {lost} died" in run.said("master")
    assert counted(document, "finished") == sorted([first, last])
    assert counted(document, "died")[0] <= dead
    assert [0, 0] == codes


def counted(document: dict[str, Any], state: str) -> list[int]:
    """Requests of the workers in this state, each with its first log-in."""
    return sorted(
        worker["requests"] + 1 for worker in document["workers"] if worker["state"] == state
    )
