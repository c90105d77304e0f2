"""Work in a second process that is a copy of this one, while this one goes on with something else."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def beside(work: Callable[[], T]) -> Callable[[], T]:
    """Begin the work in a fork of this process; the function returned waits for it and gives what it returns.

    The work may be done twice, so it must change nothing: where no process can be forked, or the fork comes to nothing, it is
    done here, and what it raises is raised here.
    """
    receiver, sender = os.pipe()
    try:
        child = os.fork()
    except (AttributeError, OSError):  # Windows; no memory or no process left
        os.close(receiver)
        os.close(sender)
        return work
    if not child:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to both; the other one decides
            with os.fdopen(sender, "wb") as pipe:
                pickle.dump(work(), pipe)
        os._exit(0)
    os.close(sender)

    def wait() -> T:
        with os.fdopen(receiver, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        try:
            result: T = pickle.loads(said)  # noqa: S301  # our own
        except (EOFError, pickle.UnpicklingError):
            return work()
        return result

    return wait
