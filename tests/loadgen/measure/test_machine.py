"""How busy the machine was is read from the kernel's accounts, and added up over reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.loadgen.measure import machine
from rolecall.loadgen.measure.machine import MachineTimes
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals

FILES = {
    "/proc/self/schedstat": "123456789 2500000000 42\n",
    "/proc/stat": "cpu  100 20 30 800 10 1 2 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n",
    "/sys/fs/cgroup/cpu.stat": "usage_usec 5\nthrottled_usec 1500000\n",
}


def read(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> MachineTimes:
    """The times of a machine whose kernel says this."""
    monkeypatch.setattr(machine, "_read", lambda path: files.get(str(path), ""))
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    return machine.now()


def test_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nanoseconds without a core, hundredths of seconds of all cores, microseconds of a quota."""
    found = read(monkeypatch, FILES)

    assert found.waited == pytest.approx(2.5)
    assert found.busy == pytest.approx(1.6)
    assert found.stolen == pytest.approx(0.07)
    assert found.quota == pytest.approx(1.5)
    assert found.cores == pytest.approx(9.7)


@pytest.mark.parametrize("files", [{}, {"/proc/self/schedstat": "0 0", "/proc/stat": "intr 1 2"}])
def test_where_there_are_no_such_accounts(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another system has zeros, which say nothing, and no error."""
    assert read(monkeypatch, files) == MachineTimes()


def test_a_file_that_cannot_be_read() -> None:
    """Where no file is left, nothing is known, and the run goes on."""
    assert machine._read(Path("/proc/nowhere/at/all")) == ""


def test_the_reports_of_a_worker_add_up() -> None:
    """Two reports of a second each: half of a second without a core is a quarter of the time."""
    totals = Totals()
    for waited in (0.5, 0.0):
        times = MachineTimes(waited=waited, busy=1.8, stolen=0.1, cores=2.0)
        report = {**Recorder(0.0).take(), "cpu": [0.1, 1.0], "machine": times.pack()}
        totals.merge("one", report)

    (worker,) = totals.document()["workers"]
    assert (worker["waited"], worker["quota"]) == (0.25, 0.0)
    assert (worker["machine_busy"], worker["stolen"]) == (0.9, 0.05)


@pytest.mark.parametrize("packed", [[1.0], [0.0, 0.0, 0.0, 0.0, -1.0], ["a"] * 5, None])
def test_a_report_that_is_none_is_refused(packed: object) -> None:
    """What comes from another machine is read by type and bound."""
    with pytest.raises((ValueError, TypeError)):
        Totals().merge("one", {**Recorder(0.0).take(), "machine": packed})
