"""Tells how busy this machine was, from the kernel's own accounts (Linux; zeros elsewhere).

A process that is late is late for one of several reasons, and each is helped by something else: it
used up its core; it waited for a core that other processes used; the hypervisor gave the core to
another machine (steal); or its container had used up its share of CPU time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

_NANOSECONDS, _MICROSECONDS = 1e-9, 1e-6
#: The columns of the line ``cpu`` in /proc/stat (proc(5)) that are time at work, and that are not.
_AT_WORK = ("user", "nice", "system", "irq", "softirq", "steal")
_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_QUOTAS = (
    (Path("/sys/fs/cgroup/cpu.stat"), "throttled_usec", _MICROSECONDS),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), "throttled_time", _NANOSECONDS),
)


@dataclass(frozen=True)
class MachineTimes:
    """Seconds since a moment.

    Attributes:
        waited: in which this process could have run and was given no core.
        busy: of all cores together in which they ran something, whatever it was.
        stolen: of all cores together in which the hypervisor ran another machine.
        quota: in which this container was not let run, since its share was used up.
        cores: seconds of all cores together that went by.
    """

    waited: float = 0.0
    busy: float = 0.0
    stolen: float = 0.0
    quota: float = 0.0
    cores: float = 0.0

    def __add__(self, other: MachineTimes) -> MachineTimes:
        return self._each(other, float.__add__)

    def __sub__(self, other: MachineTimes) -> MachineTimes:
        return self._each(other, lambda new, old: max(new - old, 0.0))

    def _each(self, other: MachineTimes, how: Callable[[float, float], float]) -> MachineTimes:
        return MachineTimes(*map(how, astuple(self), astuple(other)))

    def pack(self) -> list[float]:
        """All of it, for a message."""
        return list(astuple(self))

    def shares(self, seconds: float) -> dict[str, float]:
        """As a worker of ``load.json`` has them: of so many seconds, or of all cores."""

        def share(part: float, whole: float) -> float:
            return round(min(part / whole, 1.0), 3) if whole else 0.0

        return {
            "waited": share(self.waited, seconds),
            "quota": share(self.quota, seconds),
            "machine_busy": share(self.busy, self.cores),
            "stolen": share(self.stolen, self.cores),
        }


def now() -> MachineTimes:
    """The times since the machine, or this process, began."""
    waited = quota = 0.0
    columns: dict[str, float] = {}
    words = _read(Path("/proc/self/schedstat")).split()
    if len(words) == 3:
        waited = float(words[1]) * _NANOSECONDS
    first = _read(Path("/proc/stat")).partition("\n")[0].split()
    if first[:1] == ["cpu"]:
        ticks = os.sysconf("SC_CLK_TCK")
        columns = {
            name: int(value) / ticks for name, value in zip(_COLUMNS, first[1:], strict=False)
        }
    for path, name, unit in _QUOTAS:
        for line in _read(path).splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                quota = float(value) * unit
    return MachineTimes(
        waited=waited,
        busy=sum(columns.get(name, 0.0) for name in _AT_WORK),
        stolen=columns.get("steal", 0.0),
        quota=quota,
        cores=sum(columns.values()),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):  # another system, or no file is left
        return ""
