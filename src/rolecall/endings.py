"""Makes SIGTERM end a run as Ctrl-C does, so that it is tidied up all the same."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM end the run in order, also where SIGINT is ignored (a command that a script
    started with ``&``).
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt
