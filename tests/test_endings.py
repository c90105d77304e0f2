"""How signals end a run: the first is noted, a second one raised; SIGHUP is never the second."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from rolecall import endings
from rolecall.endings import end_as_ctrl_c_does, expect_no_end, first_noted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
ENDING = (
    [
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGXCPU,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ]
    if sys.platform != "win32"
    else [signal.SIGINT]
)
NEVER_SECOND = [signal.SIGHUP, signal.SIGXCPU] if sys.platform != "win32" else []


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals as a process finds them that a terminal started; none has come yet."""
    monkeypatch.setattr(endings, "_ending", endings._Ending())
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", ENDING)
@pytest.mark.parametrize("second", ENDING)
def test_the_first_is_noted_and_a_second_raised(
    first: signal.Signals, second: signal.Signals
) -> None:
    """Whatever they are; a SIGHUP after another signal is what shells and systemd send anyway, and
    SIGXCPU comes every second.
    """
    noted: list[str] = []
    end_as_ctrl_c_does()

    with first_noted(lambda: noted.append("first")):
        signal.raise_signal(first)
        assert noted == ["first"]
        if second in NEVER_SECOND:
            signal.raise_signal(second)
        else:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(second)

    assert noted == ["first"]


@pytest.mark.parametrize("number", ENDING)
def test_where_it_is_not_noted_it_is_raised(number: signal.Signals) -> None:
    """Outside of such a block it does what Ctrl-C does; inside the next block one is the second."""
    noted: list[str] = []
    end_as_ctrl_c_does()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    with first_noted(lambda: noted.append("first")), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)

    assert noted == []


def test_a_signal_whose_exception_was_lost_ends_the_run_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python ignores what is raised in a callback of its own: the run asks before it begins."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: lost.append(error.exc_type))
    lock = threading.Event()
    watched = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGINT))
    end_as_ctrl_c_does()
    expect_no_end()

    del lock

    assert watched() is None
    assert lost == [KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        expect_no_end()


def test_sigterm_works_where_ctrl_c_is_ignored() -> None:
    """A script's ``&`` ignores SIGINT, nohup SIGHUP: these stay ignored, and SIGTERM is noted."""
    noted: list[str] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_as_ctrl_c_does()

    with first_noted(lambda: noted.append("first")):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        assert noted == []
        signal.raise_signal(signal.SIGTERM)

    assert noted == ["first"]


def test_what_others_mind_is_left_alone() -> None:
    """A handler of somebody else stays, and in another thread nothing is changed."""
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    thread = threading.Thread(target=end_as_ctrl_c_does)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    end_as_ctrl_c_does()

    with first_noted(lambda: seen.append(-1)):
        signal.raise_signal(signal.SIGINT)

    assert seen == [signal.SIGINT]


@pytest.mark.parametrize("number", ENDING)
def test_only_as_long_as_the_block_lasts(number: signal.Signals) -> None:
    """Inside the block each of them raises KeyboardInterrupt; afterwards they are as before."""
    before = [signal.getsignal(each) for each in ENDING]

    with pytest.raises(KeyboardInterrupt), endings.ending_as_ctrl_c_does():
        signal.raise_signal(number)

    assert [signal.getsignal(each) for each in ENDING] == before
