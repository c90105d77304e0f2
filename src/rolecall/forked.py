"""Does work in a forked process while this one goes on with something else."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

T = TypeVar("T")

_ENDS = (signal.SIGINT, signal.SIGTERM)
_LOOKS = 0.5  # seconds between two looks of the fork at whether the other process is there


class Beside(Generic[T]):
    """Work that is done in a fork of this process meanwhile; call it to wait for what it returns.

    The work may be done twice, so it must change nothing: where no process can be forked, or the
    fork comes to nothing, it is done here, and what it raises is raised here. Leaving the ``with``
    block without waiting ends the fork.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._here = work
        self._child = 0
        self._receiver: int | None = None
        if not hasattr(os, "fork"):  # Windows
            return
        receiver, sender = os.pipe()
        parent = os.getpid()
        # else Ctrl-C at this moment would have two processes tidy up
        usual = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            self._child = os.fork()
            if not self._child:
                _work(work, receiver, sender, parent)
            self._receiver = receiver
        except OSError:  # no memory or no process is left
            os.close(receiver)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, usual)
            os.close(sender)

    def __call__(self) -> T:
        """Wait for the result."""
        if self._receiver is None:
            return self._here()
        receiver, self._receiver = self._receiver, None
        with os.fdopen(receiver, "rb") as pipe:
            said = pipe.read()
        self._bury()
        try:
            result: T = pickle.loads(said)  # noqa: S301  # our own
        except (EOFError, pickle.UnpicklingError):
            return self._here()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._receiver is not None:
            os.close(self._receiver)
            self._receiver = None
        if self._child:  # its result is wanted no more
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._bury()

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored, as our parent left it
            os.waitpid(self._child, 0)
        self._child = 0


def beside(work: Callable[[], T]) -> Beside[T]:
    """Begin the work in a fork of this process."""
    return Beside(work)


def _work(work: Callable[[], object], receiver: int, sender: int, parent: int) -> NoReturn:
    """In the fork: work, send the result, and leave, even if the parent is gone. Ctrl-C goes to
    both processes; the parent decides.
    """
    with contextlib.suppress(BaseException):
        os.close(receiver)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # the parent was killed
        signal.signal(signal.SIGALRM, lambda *_: os.getppid() == parent or os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, _LOOKS, _LOOKS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        with os.fdopen(sender, "wb") as pipe:
            pickle.dump(work(), pipe)
    os._exit(0)
