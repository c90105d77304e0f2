"""Checks before Locust starts: how many processes, where the master listens, what Linux shows."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.wording import counted

#: More than any run has use for; a slip of the pen would fill the machine with processes.
MOST_WORKERS = 1_000


def see_that_so_many_may_send(workers: int) -> None:
    """Check ``--workers`` before any process is started.

    Raises:
        UsageError: it is out of bounds.
    """
    if workers < 0:
        raise UsageError("--workers", "must be 0 or more")
    if workers > MOST_WORKERS:
        raise UsageError("--workers", f"must be at most {MOST_WORKERS:,}")


def see_that_locust_finds_itself(proc: Path = Path("/proc")) -> None:
    """Check that Linux shows a process of ours: Locust itself would end in a traceback.

    Raises:
        UsageError: it does not.
    """
    if sys.platform == "linux" and not (proc / str(os.getpid())).exists():
        raise UsageError(
            str(proc),
            "does not show this process: Locust reads there how busy it is",
            f"Mount it: mount -t proc proc {proc}",
        )


def see_that_workers_can_read_the_target(target: object) -> None:
    """Check that a master's workers have a target file to read: each reads its own.

    Raises:
        UsageError: there is none, since the server would be the embedded one.
    """
    if not target:
        raise UsageError(
            "TARGET",
            "is missing: each worker reads host and accounts from a copy of the target file",
            "Give TARGET; the embedded server is for --workers without --master.",
        )


def waits_for(workers: int, host: str, port: int) -> str:
    """What a master waits for, as it is said beside the plan; empty where nobody has to come."""
    if not host:
        return ""
    return (
        f"\nmaster        it waits until {counted(workers, 'worker')} came to {host}:{port}: "
        f"rolecall load SCENARIO TARGET --worker --master-host HOST --master-port {port}"
    )


def see_that_it_can_listen(host: str, port: int) -> None:
    """Check that a master can be reached where it is told to be: Locust itself would end in a
    traceback. Nothing is checked without a ``host``, nor at the name of a network interface.

    Raises:
        UsageError: the address is none of this machine's, or another program has the port.
    """
    if not host or host in {name for _, name in socket.if_nameindex()}:
        return
    if not 0 < port < 65536:
        raise UsageError("--master-port", f"{port} is not a port")
    try:
        family, *_, address = socket.getaddrinfo(
            None if host == "*" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UsageError("--bind-host", f"{host!r} is no address of this machine") from None
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        if os.name != "nt":  # as Locust does: a port of a run that has just ended is free
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(address)
        except OSError as error:
            raise UsageError(
                "--master-port", f"port {port} of {host} cannot be had: {error.strerror}"
            ) from None
