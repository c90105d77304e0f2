"""Measures whether two workers carry twice as much as one, and their CPU time per request.

Run it with ``python benchmarks/workers.py``, against the nginx of
``benchmarks/nginx_server.py``, with all invariants on. A server that is not the limit needs a
core or more, and so does each worker: on two cores three processes cannot be as fast as each alone,
and what counts is the CPU time of a request. If that stays what it was, two workers with a core
each carry twice as much.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.nginx_server import ACCOUNT, CONNECTIONS, accounts, nginx
from rolecall.spec.loading import load_specification


def written(folder: Path, url: str) -> list[str]:
    """A target file and its only user, as the command line names them; the other roles are never
    asked for.
    """
    lines = ["[target]", f'base_url = "{url}"']
    for role in load_specification().roles:
        lines += [
            f"[accounts.{role}]",
            f'email = "{role}@example.org"',
            f'password = "{ACCOUNT["password"]}"',
        ]
    (folder / "nginx.toml").write_text("\n".join(lines), encoding="utf-8")
    return [str(folder / "nginx.toml"), "--accounts", accounts(folder), "--out", str(folder)]


def measure(whereto: list[str], workers: int, rate: int, seconds: int) -> tuple[float, float]:
    """A run: requests per second, and microseconds of the workers' CPU for each.

    Raises:
        SystemExit: it is not what it should be.
    """
    command = [sys.executable, "-m", "rolecall", "load", "issuance", *whereto, "--json"]
    load = ["--rate", str(rate * workers)] if rate else ["--users", str(CONNECTIONS)]
    done = subprocess.run(
        [*command, *load, "--workers", str(workers), "--duration", f"{seconds}s"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    if document["violations"] or document["errors"]:
        raise SystemExit(f"the run is not what it should be: {document['reasons']}")
    cpu = sum(worker["cpu"] for worker in document["workers"]) * document["duration_s"]
    return document["requests"] / document["duration_s"], 1e6 * cpu / document["requests"]


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run (default: %(default)s)")
    parser.add_argument(
        "--rate",
        type=int,
        default=5000,
        help="requests per second and worker where there is room (default: %(default)s)",
    )
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, {options.repeat} rounds of {options.seconds} s, medians; with "
        f"room: {options.rate:,}/s and worker\n"
    )
    print(f"{'':<34}{'requests/s':>12}{'CPU us each':>13}")
    with tempfile.TemporaryDirectory() as name, nginx(Path(name)) as place:
        whereto = written(Path(name), place.url)
        for label, rate in (("with room", options.rate), ("as fast as this machine can", 0)):
            rounds = [
                [measure(whereto, workers, rate, options.seconds) for workers in (1, 2)]
                for _ in range(options.repeat)
            ]
            for workers in (1, 2):
                rates, cpus = zip(*(measured[workers - 1] for measured in rounds), strict=True)
                medians = f"{statistics.median(rates):>12,.0f}{statistics.median(cpus):>13.1f}"
                print(f"{f'{workers} worker(s), {label}':<34}{medians}")
            rate_ratio = statistics.median(both[0] / alone[0] for alone, both in rounds)
            cpu_ratio = statistics.median(both[1] / alone[1] for alone, both in rounds)
            print(f"{'two against one':<34}{rate_ratio:>12.2f}{cpu_ratio:>13.2f}\n")


if __name__ == "__main__":
    main()
