"""Makes SIGTERM and SIGHUP end a run as Ctrl-C does, so that it is tidied up all the same.

The first signal ends the run, a second one the waiting for its clean-up. A SIGHUP is never the
second: shells and systemd send one after another signal, and it does not say that a user is
impatient.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Not all of them are there on Windows.
_HANGUP: int | None = getattr(signal, "SIGHUP", None)


class _Ending:
    """Whether a signal has come, and who wants to be told of the first one."""

    def __init__(self) -> None:
        self.has_begun = False
        self.note: Callable[[], None] | None = None


_ending = _Ending()


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM and SIGHUP end the run in order, also where SIGINT is ignored (a command that a
    script started with ``&``); a SIGHUP that is ignored (``nohup``) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if _HANGUP is not None:
        usual[signal.Signals(_HANGUP)] = signal.SIG_DFL
    for number, handler in usual.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, _interrupt)


@contextmanager
def ending_as_ctrl_c_does() -> Iterator[None]:
    """The same as long as the block lasts; afterwards the signals mean what they meant before."""
    numbers = [signal.SIGINT, signal.SIGTERM, *([] if _HANGUP is None else [_HANGUP])]
    before = {number: signal.getsignal(number) for number in numbers}
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
    if _ending.has_begun and number == _HANGUP:
        return
    is_first, _ending.has_begun = not _ending.has_begun, True
    if _ending.note and is_first:
        _ending.note()
    else:
        raise KeyboardInterrupt
