"""Shared set-up: awaited once, however many tests ask for it at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from rolecall.evidence import recalled
from rolecall.outcomes import TransientFailure

#: The name of tasks that are waited for when everything else is cancelled.
UNCANCELLED = "uncancelled"

_is_shared: ContextVar[bool] = ContextVar("_is_shared", default=False)

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def shared_setup(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Run an async method once per object and arguments; all callers share result or failure.

    `TransientFailure` is forgotten, so that the next who asks tries again.
    """

    @wraps(method)
    async def wrapper(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        tasks: dict[Hashable, asyncio.Task[R]] = self.__dict__.setdefault("_shared_results", {})
        # the function itself: two modules may call theirs the same
        key = (method, args, tuple(kwargs.items()))
        task = tasks.get(key)
        if task is None:
            task = tasks[key] = asyncio.ensure_future(_set_up(method(self, *args, **kwargs)))
        try:
            # Shielded: a test that is cancelled must not take the set-up of the others with it.
            return await asyncio.shield(task)
        except TransientFailure:
            if tasks.get(key) is task:  # another waiter may have begun anew already
                del tasks[key]
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, everybody who waits gets a copy
            raise _copy(error) from None

    return wrapper  # type: ignore[return-value]  # the same signature; `wraps` gives `self` a name of its own


async def _set_up(work: Coroutine[Any, Any, R]) -> R:
    _is_shared.set(True)  # for this task alone, and those that it begins
    return await work


def is_shared() -> bool:
    """Whether what is made just now is for more tests than one."""
    return _is_shared.get()


def _copy(error: Exception) -> Exception:
    """The same failure for one more test: an exception that is raised by hundreds grows a traceback
    of thousands of frames.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    return copy


async def uncancelled(work: Coroutine[Any, Any, R]) -> R:
    """Finish an awaitable even when its caller is cancelled: its answer tells what was made."""
    task = asyncio.create_task(work, name=UNCANCELLED)
    # perhaps no waiter is left to look
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


def invalidate(owner: object, method: str, *args: Hashable) -> None:
    """Forget the shared results of a method, all or those for ``args``, so that it runs again."""
    tasks: dict[tuple[Any, ...], Any] = owner.__dict__.get("_shared_results", {})
    for key in [key for key in tasks if key[0].__name__ == method and (not args or key[1] == args)]:
        del tasks[key]


def share(owner: object, method: str, result: object, *args: Hashable) -> None:
    """Let a shared method have this result for ``args`` from now on."""
    key = (getattr(type(owner), method).__wrapped__, args, ())
    done = asyncio.get_running_loop().create_future()
    done.set_result(result)
    owner.__dict__.setdefault("_shared_results", {})[key] = done


class SingleFlight(Generic[R]):
    """A probe whose one answer serves all who asked before it was sent.

    ``after(moment)`` returns a result whose request left after ``moment`` (monotonic seconds).
    """

    def __init__(self, probe: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self._probe = probe
        self._lock = asyncio.Lock()
        self._started = float("-inf")
        self._result: R | None = None

    async def after(self, moment: float) -> R:
        """The newest result, or a new one when that is older than ``moment``."""
        async with self._lock:
            is_old = recalled("a new look", lambda: self._started <= moment)
            if is_old or self._result is None:
                started = time.monotonic()
                self._result = await self._probe()
                self._started = started
            return self._result
