"""Other connections than those of the clients, on which new tokens are tried.

A server of several processes answers each connection by one of them, usually. Where a token is
tried on the connection on which it was given, it may be tried by the only process that knows it.

What they do must not be told of the server as if clients had done it. So a connection is open, and
has had an answer, before anything is measured on it, and one that was idle is opened anew: a server
ends such. Where there is no answer, the server has no more connections to give, as one that works
for so many clients at a time, and the clients try their tokens themselves for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rolecall.loadgen.client_context import LoadConnection
    from rolecall.loadgen.transport.wire import Response

#: Seconds after which a connection that is idle may be ended by the server.
_WARM = 1.0
#: Seconds for which none is asked for where one had no answer.
_REST = 30.0
#: Times that a late token was waited for in vain, until the time for that is short.
_IN_VAIN, BRIEFLY = 3, 0.3  # the latter in seconds
#: Seconds between the first two looks; each pause is twice as long as the one before.
FIRST_PAUSE = 0.02


class Elsewhere:
    """The connections of one process on which tokens are tried.

    Args:
        connect: makes one.
        ask: sends a request beside the load; None where there is no answer.
    """

    def __init__(
        self,
        connect: Callable[[], LoadConnection],
        ask: Callable[[LoadConnection, bytes], Response | None],
    ) -> None:
        self._connect = connect
        self._ask = ask
        self._idle: list[LoadConnection] = []
        self._rests_until = 0.0

    @contextmanager
    def connection(self, request: bytes) -> Iterator[LoadConnection | None]:
        """One that has just had an answer; None where there is none.

        Args:
            request: what it is opened with, if it has to be.
        """
        if perf_counter() < self._rests_until:
            yield None
            return
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            if self._is_open(connection, request):
                yield connection
            else:
                self._rests_until = perf_counter() + _REST
                yield None
        finally:
            self._idle.append(connection)

    def _is_open(self, connection: LoadConnection, request: bytes) -> bool:
        if perf_counter() - connection.received < _WARM:
            return True
        connection.close()
        return self._ask(connection, request) is not None

    def close(self) -> None:
        """Close those that nobody uses just now."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class Lag:
    """For how long what was given on one connection may be unknown on another one.

    Nothing is said of replicas (AMB-17): what is refused elsewhere is asked for again before that
    is held against the server. Where three waits were in vain, and nothing was ever known late, the
    others are short: else a server whose processes know nothing of each other would have its
    clients wait, and little load.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._in_vain = 0
        self._was_seen = False

    @property
    def seconds(self) -> float:
        """How long that is."""
        if self._in_vain < _IN_VAIN or self._was_seen:
            return self._seconds
        return min(BRIEFLY, self._seconds)

    def note(self, *, came: bool) -> None:
        """Note whether what was waited for was known in the end."""
        self._was_seen = self._was_seen or came
        self._in_vain += not came
