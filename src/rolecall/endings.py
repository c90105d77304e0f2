r"""Makes signals end a run as Ctrl-C does, so that it is tidied up all the same.

Besides SIGTERM and SIGHUP these are SIGQUIT (Ctrl-\; containers may be stopped by it), and what is
sent as a warning some time before SIGKILL: SIGXCPU where the processor time is limited (``ulimit
-t``), SIGUSR1 and SIGUSR2 by batch systems.

The first signal ends the run, a second one the waiting for its clean-up. A SIGHUP is never the
second: shells and systemd send one after another signal, and it does not say that a user is
impatient. Neither is SIGXCPU, which comes every second.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _there(*names: str) -> tuple[signal.Signals, ...]:
    """Those of the signals that this system has: Windows lacks most."""
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


_ENDS = _there("SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")
_NEVER_SECOND = _there("SIGHUP", "SIGXCPU")


class _Ending:
    """Whether a signal has come, and who wants to be told of the first one."""

    def __init__(self) -> None:
        self.has_begun = False
        self.note: Callable[[], None] | None = None


_ending = _Ending()


def end_as_ctrl_c_does() -> None:
    """Let the signals end the run in order, also where SIGINT is ignored (a command that a script
    started with ``&``); one that is ignored (SIGHUP under ``nohup``), or that somebody else minds,
    stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for number in _ENDS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def expect_no_end() -> None:
    """End here if a signal has come whose exception was lost: Python ignores what is raised in a
    callback of its own, such as that of a lock of an import, and the run would begin all the same.

    Raises:
        KeyboardInterrupt: one has come.
    """
    if _ending.has_begun:
        raise KeyboardInterrupt


@contextmanager
def ending_as_ctrl_c_does() -> Iterator[None]:
    """The same as long as the block lasts; afterwards the signals mean what they meant before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDS)}
    end_as_ctrl_c_does()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # else it was not set from Python
                    signal.signal(number, handler)


@contextmanager
def first_noted(note: Callable[[], None]) -> Iterator[None]:
    """Inside the block the signal that ends the run calls ``note``, instead of raising
    KeyboardInterrupt in the middle of anything; a second one is raised.
    """
    _ending.note = note
    try:
        yield
    finally:
        _ending.note = None


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the run, or the waiting for its end.

    Raises:
        KeyboardInterrupt: it is not noted.
    """
    if _ending.has_begun and number in _NEVER_SECOND:
        return
    is_first, _ending.has_begun = not _ending.has_begun, True
    if _ending.note and is_first:
        _ending.note()
    else:
        raise KeyboardInterrupt
