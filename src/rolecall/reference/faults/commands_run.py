"""Faults of running what a request brings: a script in credentials, a command in a key's id."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import decode_segment

_SCRIPT = re.compile(rb'"\$where":\s*"sleep\(([\d.]+)\)')  # milliseconds
_COMMAND = re.compile(r";\s*sleep ([\d.]+)")  # seconds


def _sleeping(server: Server, asked: Callable[[Call], float]) -> None:
    """Sleep for the seconds that a request asks for, and answer it as ever."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def obedient(call: Call) -> Answer | None:
        await asyncio.sleep(asked(call))
        return await before(call)


@fault("scripts-in-credentials-run", finding="SEC-I06")
def scripts_in_credentials_run(server: Server) -> None:
    """A script in place of an e-mail or a password is run by the database, and then refused."""

    def asked(call: Call) -> float:
        found = _SCRIPT.search(call.body) if call.path == "/v2/auth/token" else None
        return float(found[1]) / 1000 if found else 0.0

    _sleeping(server, asked)


@fault("kid-in-a-command", finding="SEC-J12")
def kid_in_a_command(server: Server) -> None:
    """The kid becomes a part of a command that fetches the key."""

    def asked(call: Call) -> float:
        head = (call.header(b"authorization") or "").partition(" ")[2].partition(".")[0]
        with contextlib.suppress(ValueError):
            header = loads(decode_segment(head))
            found = _COMMAND.search(str(header.get("kid"))) if isinstance(header, dict) else None
            return float(found[1]) if found else 0.0
        return 0.0

    _sleeping(server, asked)
