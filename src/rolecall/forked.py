"""Work in a second process that is a copy of this one, while this one goes on with something else."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")

_ENDS = (signal.SIGINT, signal.SIGTERM)


def beside(work: Callable[[], T]) -> Callable[[], T]:
    """Begin the work in a fork of this process; the function returned waits for it and gives what it returns.

    The work may be done twice, so it must change nothing: where no process can be forked, or the fork comes to nothing, it is
    done here, and what it raises is raised here.
    """
    if not hasattr(os, "fork"):  # Windows
        return work
    receiver, sender = os.pipe()
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # else Ctrl-C at this moment would have two processes tidy up
    try:
        child = os.fork()
        if not child:
            _work(work, receiver, sender)
    except OSError:  # no memory or no process is left
        os.close(receiver)
        return work
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)
        os.close(sender)

    def wait() -> T:
        with os.fdopen(receiver, "rb") as pipe:
            said = pipe.read()
        with contextlib.suppress(ChildProcessError):  # whoever started us does not want to hear of children
            os.waitpid(child, 0)
        try:
            result: T = pickle.loads(said)  # noqa: S301  # our own
        except (EOFError, pickle.UnpicklingError):
            return work()
        return result

    return wait


def _work(work: Callable[[], object], receiver: int, sender: int) -> NoReturn:
    """In the fork: work, tell, and leave, also when nobody listens any more. Ctrl-C goes to both; the other one decides."""
    with contextlib.suppress(BaseException):
        os.close(receiver)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        with os.fdopen(sender, "wb") as pipe:
            pickle.dump(work(), pipe)
    os._exit(0)
