"""Measures whether the memory of a master and its worker stays flat at 2,000 requests a second.

Run it with ``python benchmarks/memory.py --minutes 10``, against the nginx of
``benchmarks/nginx_server.py``, with all invariants on. What counts is the growth after the first
minute, in which buffers and tables get their size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.nginx_server import ROOT, accounts, free_port, nginx

EVERY, SETTLED = 10.0, 60.0  # seconds
MEGABYTE = 1024 * 1024


def main() -> None:
    """Run, look, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--rate", type=int, default=2000, help="requests a second (default: %(default)s)"
    )
    parser.add_argument(
        "--scenario", default="Issuance", help="as the locustfile calls it (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx(folder) as place:
            watch(options, place.url, folder)


def watch(options: argparse.Namespace, url: str, folder: Path) -> None:
    """A master and a worker, with an eye on both."""
    port = free_port()
    locust = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(ROOT / "load" / "locustfile.py"),
        "--skip-log-setup",
        options.scenario,
    ]
    locust += ["--headless", "--host", url, "--accounts", accounts(folder), "--lone-sessions"]
    seconds = options.minutes * 60
    as_master = [
        "--master",
        "--master-bind-host=127.0.0.1",
        f"--master-bind-port={port}",
        "--expect-workers=1",
        "--silent",
    ]
    as_master += [
        f"--rate={options.rate}",
        f"--duration={seconds:g}s",
        f"--run-folder={folder / 'run'}",
    ]
    as_worker = ["--worker", "--master-host=127.0.0.1", f"--master-port={port}"]
    processes = {
        name: subprocess.Popen([*locust, *argv], stdout=subprocess.DEVNULL)
        for name, argv in (("master", as_master), ("worker", as_worker))
    }
    try:
        report(seen(processes, time.monotonic(), seconds), folder)
    finally:
        for process in processes.values():
            process.terminate()
            process.wait(20)


def seen(
    processes: dict[str, subprocess.Popen[bytes]], began: float, seconds: float
) -> list[tuple[float, float, float]]:
    """Seconds since the beginning, and megabytes of the master and the worker."""
    rows: list[tuple[float, float, float]] = []
    while processes["master"].poll() is None and time.monotonic() - began < seconds:
        time.sleep(EVERY)
        master, worker = (
            psutil.Process(process.pid).memory_info().rss / MEGABYTE
            for process in processes.values()
        )
        rows.append((time.monotonic() - began, master, worker))
        print("{:>6.0f} s   master {:>7.1f} MB   worker {:>7.1f} MB".format(*rows[-1]), flush=True)
    processes["master"].wait(60)
    return rows


def report(rows: list[tuple[float, float, float]], folder: Path) -> None:
    """What it grew by, and that the load was what it was to be."""
    document = json.loads((folder / "run" / "load.json").read_text(encoding="utf-8"))
    settled = next(row for row in rows if row[0] >= SETTLED)
    growth = [after - before for after, before in zip(rows[-1][1:], settled[1:], strict=True)]
    print(
        f"{document['requests']:,} requests, {document['rate']:,.0f} a second; verdict "
        f"{document['verdict']}; {document['reasons']}"
    )
    print(
        f"growth after the first minute, in {rows[-1][0] - settled[0]:.0f} s: master "
        f"{growth[0]:.1f} MB, worker {growth[1]:.1f} MB"
    )


if __name__ == "__main__":
    main()
