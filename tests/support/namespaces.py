"""A small network on one machine: Linux network namespaces on a bridge that is in one, too, so that
nothing of the host is touched.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import environment

_ROOT = Path(__file__).parents[2]
_SUBNET = "10.77.0"


@functools.cache
def missing() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if not shutil.which("ip"):
        return "no ip command: install iproute2"
    name = f"rolecall-{os.getpid()}-try"
    if failed := _ip("netns", "add", name).stderr:
        return f"network namespaces are not permitted: {failed.strip()}"
    try:
        for words in (
            ("link", "add", "bridge", "type", "bridge"),
            ("link", "add", "one", "type", "veth", "peer", "name", "other"),
        ):
            if failed := _ip("-n", name, *words).stderr:
                return f"no bridge between namespaces: {failed.strip()}"
    finally:
        _ip("netns", "del", name)
    return ""


@dataclass(frozen=True)
class Host:
    """A namespace with one address."""

    namespace: str
    address: str

    def start(
        self, *words: str | Path, cwd: Path, module: str = "rolecall"
    ) -> subprocess.Popen[str]:
        """Run a Python module as a command; it prints to ``stdout`` and ``stderr`` in ``cwd``."""
        command = [
            "ip",
            "netns",
            "exec",
            self.namespace,
            sys.executable,
            "-m",
            module,
            *map(str, words),
        ]
        cwd.mkdir(parents=True, exist_ok=True)
        with (cwd / "stdout").open("w") as stdout, (cwd / "stderr").open("w") as stderr:
            return subprocess.Popen(
                command,
                cwd=cwd,
                env=environment(PYTHONPATH=str(_ROOT)),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )


@contextmanager
def network(names: Sequence[str]) -> Iterator[list[Host]]:
    """Hosts of these names, which reach each other and no other host."""
    prefix = f"rolecall-{os.getpid()}"
    switch = f"{prefix}-switch"
    hosts = [
        Host(f"{prefix}-{name}", f"{_SUBNET}.{number}") for number, name in enumerate(names, 1)
    ]
    try:
        _must("netns", "add", switch)
        _must("-n", switch, "link", "add", "bridge", "type", "bridge")
        _must("-n", switch, "link", "set", "bridge", "up")
        for number, host in enumerate(hosts):
            _must("netns", "add", host.namespace)
            end = (
                "link",
                "add",
                f"port{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                host.namespace,
            )
            _must("-n", switch, *end)
            _must("-n", switch, "link", "set", f"port{number}", "master", "bridge", "up")
            _must("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _must("-n", host.namespace, "link", "set", "eth0", "up")
            _must("-n", host.namespace, "link", "set", "lo", "up")
        yield hosts
    finally:
        for namespace in (*(host.namespace for host in hosts), switch):
            _ip("netns", "del", namespace)


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=10)


def _must(*words: str) -> None:
    done = _ip(*words)
    assert not done.returncode, done.stderr
