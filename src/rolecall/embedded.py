"""Starts the embedded reference server, ``rolecall serve``, on a free port of this machine."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rolecall.errors import ExitCode, RolecallError, UsageError
from rolecall.target import EMBEDDED_CONCURRENCY, Target, parse_target

#: A throw-away server with random passwords: no hash of one is worth a millisecond of anybody's
#: time.
CHEAP = ("--clock", "--scrypt-n", "128")
_READY = "# ready"
#: What a session of its own is on Windows.
_APART = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
#: The environment variable that the server has its signing key from.
SIGNING_KEY = "ROLECALL_SIGNING_KEY"


class EmbeddedServerFailed(RolecallError):
    """The embedded server did not start; the text is what it said."""


@contextmanager
def embedded_target(roles: Iterable[str], options: Sequence[str] = ()) -> Iterator[Target]:
    """Run the embedded server, with the clock hook and a signing key that both sides know, as long
    as the block lasts.

    Raises:
        UsageError: it does not know one of the options.
        EmbeddedServerFailed: it stopped before it was ready.
    """
    # A signing key that is there is meant for another target.
    environment = {**os.environ, SIGNING_KEY: secrets.token_urlsafe(48)}
    with _server(options, environment) as server:
        text = _target_file(server, options)
        target = parse_target(text, roles, source="the embedded server", environ=environment)
        yield replace(target, name="embedded reference server", concurrency=EMBEDDED_CONCURRENCY)


@contextmanager
def _server(options: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The server's process, as long as the block lasts."""
    command = [
        sys.executable,
        "-P",  # a user's own module in the working directory is none of ours
        "-m",
        "rolecall",
        "serve",
        "--port",
        "0",
        *CHEAP,
        "--exit-with-parent",
        *options,
    ]
    # In a session of its own: a terminal sends Ctrl-C to all processes of ours, and the run still
    # has to tidy up there.
    server = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        creationflags=_APART,
    )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout:
            server.stdout.close()


def _target_file(server: subprocess.Popen[str], options: Sequence[str]) -> str:
    """The target file that the server prints when it is ready.

    Raises:
        UsageError, EmbeddedServerFailed: it stopped instead.
    """
    assert server.stdout is not None
    lines: list[str] = []
    for line in server.stdout:
        lines.append(line)
        if line.strip() == _READY:
            return "".join(lines)
    code = server.wait()
    if code == ExitCode.USAGE and options:
        raise UsageError(
            "--serve-option", "the embedded server does not take it, and has said why above"
        )
    raise EmbeddedServerFailed(
        f"the embedded server stopped at once (exit {code}); see what it printed above"
    )
