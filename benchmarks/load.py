"""Compares load generators on one core: ours, stock Locust, wrk, hey, ab and autocannon.

Run it with ``python benchmarks/load.py``. It installs nothing; what is not there is left
out, nginx has to be.

All of them log in over the same number of connections, at nginx, which has the first core and
answers with a token body of the usual size that is another one each time: nginx's ``$request_id``
is in the signature and in the refresh token, so that looking for repetitions is real work, and
finds none. The generators have the second core, one after the other, in as many rounds as asked
for. Requests are counted by nginx, in the middle of each run; CPU is that of all processes of a
generator. A run beside which something else used the machine is made again. What ours measured is
looked at: one violation, or one answer uncounted, and there is no table.

Longer than 400 lines because the comparison is one command, and each generator needs a function.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.nginx_server import (
    ACCOUNT,
    CONNECTIONS,
    PATH,
    ROOT,
    START_UP,
    Place,
    accounts,
    nginx,
    wait_for,
)

GENERATOR_CORE = "1"  # nginx has the other
BODY = json.dumps(ACCOUNT, separators=(",", ":"))
WARM_UP = 2.0  # seconds of requests before the counting begins
SLACK = 1.5  # seconds of requests after it
TOO_NOISY = 0.10  # of the machine, used by somebody else
TRIES = 3

FAST_HTTP_USER = f"""
from locust import FastHttpUser, task

class Stock(FastHttpUser):
    @task
    def log_in(self):
        self.client.post({PATH!r}, json={ACCOUNT!r})
"""
WRK_SCRIPT = f"""
wrk.method = "POST"
wrk.body = {BODY!r}
wrk.headers["Content-Type"] = "application/json"
"""


@dataclass(frozen=True)
class Generator:
    """A load generator: its command for a number of seconds, and what its run must leave."""

    name: str
    tool: str
    command: Callable[[Place, int], Sequence[str]]
    check: Callable[[Place, int], None] = lambda place, least: None

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.tool) is not None


def ours(*options: str) -> Callable[[Place, int], Sequence[str]]:
    """The scenario `issuance` under Locust, as `rolecall load` runs it."""

    def command(place: Place, seconds: int) -> Sequence[str]:
        argv = locust(place, ROOT / "load" / "locustfile.py")
        argv += ["--accounts", accounts(place.folder), "--duration", f"{seconds}s"]
        return [*argv, "--run-folder", str(place.folder / "run"), *options, "Issuance"]

    return command


def stock(place: Place, seconds: int) -> Sequence[str]:
    """What comes with Locust."""
    file = place.folder / "stock.py"
    file.write_text(FAST_HTTP_USER, encoding="utf-8")
    return [*locust(place, file), "--run-time", f"{seconds}s"]


def locust(place: Place, file: Path) -> list[str]:
    """The beginning of a Locust command line."""
    argv = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(file),
        "--headless",
        "--only-summary",
        "--host",
        place.url,
    ]
    return [*argv, "--users", str(CONNECTIONS), "--spawn-rate", str(CONNECTIONS)]


def wrk(place: Place, seconds: int) -> Sequence[str]:
    """One thread."""
    script = place.folder / "post.lua"
    script.write_text(WRK_SCRIPT, encoding="utf-8")
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), place.url + PATH]


def hey(place: Place, seconds: int) -> Sequence[str]:
    """One processor."""
    argv = ["hey", "-z", f"{seconds}s", "-c", str(CONNECTIONS), "-cpus", "1", "-m", "POST"]
    return [*argv, "-T", "application/json", "-d", BODY, place.url + PATH]


def ab(place: Place, seconds: int) -> Sequence[str]:
    """With keep-alive; without an own limit on the number of requests."""
    file = place.folder / "body.json"
    file.write_text(BODY, encoding="utf-8")
    argv = ["ab", "-q", "-k", "-c", str(CONNECTIONS), "-t", str(seconds), "-n", "100000000"]
    return [*argv, "-p", str(file), "-T", "application/json", place.url + PATH]


def autocannon(place: Place, seconds: int) -> Sequence[str]:
    """One worker."""
    argv = [
        "autocannon",
        "--no-progress",
        "-c",
        str(CONNECTIONS),
        "-d",
        str(seconds),
        "-m",
        "POST",
    ]
    return [*argv, "-H", "content-type=application/json", "-b", BODY, place.url + PATH]


def looked_at_all(place: Place, least: int) -> None:
    """Whether ours counted at least what nginx did in the middle of the run, and found nothing
    wrong.

    Raises:
        SystemExit: it did not.
    """
    file = place.folder / "run" / "load.json"
    if not file.exists():
        raise SystemExit(
            "the run has left "
            f"nothing:\n{(place.folder / 'output').read_text(errors='replace')[-2000:]}"
        )
    document = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    if document["requests"] < least or document["errors"] or document["violations"]:
        raise SystemExit(
            f"the run is not what it should be: {document['requests']} requests, "
            f"{document['reasons']}"
        )


GENERATORS = (
    Generator("Rolecall, all invariants", sys.executable, ours(), looked_at_all),
    Generator("Rolecall, no invariants", sys.executable, ours("--no-invariants"), looked_at_all),
    Generator("Locust FastHttpUser", sys.executable, stock),
    Generator("wrk", "wrk", wrk),
    Generator("hey", "hey", hey),
    Generator("ab", "ab", ab),
    Generator("autocannon", "autocannon", autocannon),
)
STOCK, WRK = GENERATORS[2], GENERATORS[3]
#: What ours is to reach at least, as times another.
GOALS = {
    (GENERATORS[0].name, STOCK.name): 6.0,
    (GENERATORS[1].name, STOCK.name): 11.0,
    (GENERATORS[1].name, WRK.name): 0.5,
}


@dataclass(frozen=True)
class Run:
    """One run: requests per second, and shares of a core; ``noise`` is the share of the machine
    that others used.
    """

    rate: float
    generator_cpu: float
    server_cpu: float
    noise: float


def measure(generator: Generator, place: Place, seconds: int) -> Run:
    """One run of a generator.

    Raises:
        SystemExit: it does not send, ends early, or is not what it should be.
    """
    command = [
        "taskset",
        "-c",
        GENERATOR_CORE,
        *generator.command(place, int(seconds + WARM_UP + SLACK + 1)),
    ]
    before = place.requests()
    with (
        (place.folder / "output").open("w+b") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=place.folder) as process,
    ):
        try:
            wait_for(
                lambda: process.poll() is not None or place.requests() > before + 10 * CONNECTIONS
            )
            time.sleep(WARM_UP)
            first = Reading.of(place, process.pid)
            time.sleep(seconds)
            if process.poll() is not None:
                output.seek(0)
                raise SystemExit(
                    f"{generator.name} ended "
                    f"early:\n{output.read()[-2000:].decode(errors='replace')}"
                )
            last = Reading.of(place, process.pid)
            process.wait(START_UP)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
    run = last.since(first)
    generator.check(place, last.requests - first.requests)
    return run


@dataclass(frozen=True)
class Reading:
    """What the clocks and counters say at a moment; seconds of CPU."""

    moment: float
    requests: int
    generator: float
    server: float
    machine: float

    @classmethod
    def of(cls, place: Place, pid: int) -> Reading:
        """Read them all."""
        all_of_it = psutil.cpu_times()
        return cls(
            time.monotonic(),
            place.requests(),
            cpu(psutil.Process(pid)),
            cpu(place.server),
            sum(all_of_it) - all_of_it.idle,
        )

    def since(self, first: Reading) -> Run:
        """What lies between two readings."""
        seconds = self.moment - first.moment
        generator, server = self.generator - first.generator, self.server - first.server
        noise = (
            (self.machine - first.machine - generator - server) / seconds / (os.cpu_count() or 1)
        )
        return Run(
            (self.requests - first.requests) / seconds, generator / seconds, server / seconds, noise
        )


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU of a process and its children."""
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return sum(member.user + member.system for member in times)


def table(runs: dict[str, list[Run]]) -> Iterator[str]:
    """The lines of the table; ratios are medians of the rounds'."""
    yield (
        f"{'':<26}{'requests/s':>12}{'min - max':>21}{'CPU us each':>13}{'its CPU':>9}{'nginx':>7}"
        f"{'x Fast':>8}{'x wrk':>8}   at least"
    )
    for name, rounds in runs.items():
        rates = [run.rate for run in rounds]
        ratios = [
            statistics.median(
                mine.rate / its.rate for mine, its in zip(rounds, runs[other.name], strict=True)
            )
            if other.name in runs
            else None
            for other in (STOCK, WRK)
        ]
        goals = [
            f"{goal:g} x {other}{'' if ratio is None or ratio >= goal else ': MISSED'}"
            for other, ratio in zip((STOCK.name, WRK.name), ratios, strict=True)
            if (goal := GOALS.get((name, other)))
        ]
        each_takes = statistics.median(1e6 * run.generator_cpu / run.rate for run in rounds)
        shares = [
            statistics.median(getattr(run, figure) for run in rounds)
            for figure in ("generator_cpu", "server_cpu")
        ]
        yield (
            f"{name:<26}{statistics.median(rates):>12,.0f}"
            f"{f'{min(rates):,.0f} - {max(rates):,.0f}':>21}"
            f"{each_takes:>13.1f}{shares[0]:>9.0%}{shares[1]:>7.0%}"
            + "".join(f"{'' if ratio is None else format(ratio, '.2f'):>8}" for ratio in ratios)
            + f"   {', '.join(goals)}".rstrip()
        )


def machine() -> str:
    """Where this was measured."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    nginx_says = subprocess.run(
        ["nginx", "-v"],  # noqa: S607  # wherever it is
        capture_output=True,
        text=True,
        check=True,
    ).stderr.strip()
    processor = found[1] if found else platform.processor()
    return (
        f"{os.cpu_count()} cores of {processor}, Linux {platform.release()}, Python "
        f"{platform.python_version()}, {nginx_says}"
    )


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=int, default=5, help="counted in each run (default: %(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="generators with this in their name; repeatable",
    )
    return parser.parse_args()


def main() -> None:
    """Measure and print one table."""
    options = parsed()
    chosen = [
        generator
        for generator in GENERATORS
        if not options.only or any(word.lower() in generator.name.lower() for word in options.only)
    ]
    missing = [generator.name for generator in chosen if not generator.is_there]
    chosen = [generator for generator in chosen if generator.is_there]
    for needed in ("nginx", "taskset"):
        if not shutil.which(needed):
            raise SystemExit(f"{needed} is not installed")
    print(f"{machine()}\n{CONNECTIONS} connections, {options.repeat} rounds of {options.seconds} s")
    print(f"not installed: {', '.join(missing)}\n" if missing else "")
    runs: dict[str, list[Run]] = {generator.name: [] for generator in chosen}
    again = 0
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder)) as place:
        for _ in range(options.repeat):
            for generator in chosen:
                tries = [measure(generator, place, options.seconds)]
                while tries[-1].noise > TOO_NOISY and len(tries) < TRIES:
                    tries.append(measure(generator, place, options.seconds))
                again += len(tries) - 1
                runs[generator.name].append(min(tries, key=lambda run: run.noise))
    print("\n".join(table(runs)))
    noise = max(run.noise for rounds in runs.values() for run in rounds)
    print(
        f"\nOthers used at most {noise:.0%} of the machine beside a run in this table; {again} "
        "runs were made again for that."
    )


if __name__ == "__main__":
    main()
