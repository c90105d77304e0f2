"""Measures a whole run against two baselines, in the same minute on the same server.

1. Without latency: a run, and a bare sequential ``httpx.Client`` that sends the same number of
   requests.
2. With 50 ms of added latency: a run, and the time that the latency alone takes (requests x 50 ms /
   concurrency).

A run before those that are measured compiles what Python keeps, as a user's first one does; what is
kept is in a folder of its own, whatever the environment says.

Run it with ``python benchmarks/certify.py``. Beside each time stands the CPU time per request of
the process that sends, and how many of the requests were log-ins: those of the target file's
accounts, and all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from rolecall.embedded import embedded_target
from rolecall.http.gate import TOKEN_PATH
from rolecall.spec.loading import load_specification
from rolecall.target import EMBEDDED_CONCURRENCY, Target

LATENCY = 0.050  # seconds
LATENCY_VARIANT = "latency-50ms"


@contextmanager
def server(*options: str) -> Iterator[tuple[Target, Path]]:
    """An embedded server and a target file that describes it."""
    with (
        embedded_target(load_specification().roles, options) as target,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "target.toml"
        lines = [
            "[target]",
            f'base_url = "{target.base_url}"',
            f"concurrency = {EMBEDDED_CONCURRENCY}",
        ]
        for account in target.accounts.values():
            lines += [
                f"[accounts.{account.name}]",
                f'email = "{account.email}"',
                f"password = {json.dumps(account.password)}",
            ]
        lines += [
            "[api_keys]",
            f'create_path = "{target.api_keys.create_path}"',
            "[expiry]",
            f'clock_url = "{target.expiry.clock_url}"',
        ]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield target, file


def certify(file: Path, out: Path) -> tuple[float, float, int, str]:
    """A whole run in a process of its own, with all its files: seconds, CPU seconds, requests,
    log-ins.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [sys.executable, "-m", "rolecall", "certify", str(file), "--json", "--out", str(out)]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(out.with_name(f"{out.name}-bytecode"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(
            f"the run failed (exit {done.returncode}):\n{done.stderr or done.stdout[-2000:]}"
        )
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = json.loads(done.stdout)
    return seconds, cpu, int(results["requests"]), log_ins(file, out / results["run"])


def log_ins(file: Path, run: Path) -> str:
    """How many log-ins a run sent, right and wrong ones: of the accounts of its target file, and of
    all users.
    """
    emails = [
        account["email"]
        for account in tomllib.loads(file.read_text(encoding="utf-8"))["accounts"].values()
    ]
    entries = json.loads((run / "evidence.har").read_text(encoding="utf-8"))["log"]["entries"]
    sent = [entry["request"] for entry in entries if entry["request"]["url"].endswith(TOKEN_PATH)]
    bodies = [
        request.get("postData", {}).get("text", "")
        for request in sent
        if request["method"] == "POST"
    ]
    bodies = [body for body in bodies if '"password"' in body]
    return f"{sum(any(email in body for email in emails) for body in bodies)} of {len(bodies)}"


def sequential(target: Target, requests: int) -> tuple[float, float]:
    """The same number of requests, one after the other, with nothing around them: seconds, CPU
    seconds.
    """
    account = target.accounts["admin"]
    with httpx.Client(base_url=target.base_url, trust_env=False) as client:
        grant = client.post(
            "/v2/auth/token", json={"email": account.email, "password": account.password}
        ).json()
        headers = {"authorization": f"Bearer {grant['token']}"}
        started, cpu = time.monotonic(), time.process_time()
        for _ in range(requests):
            client.get(f"/v2/users/{grant['user']}", headers=headers).raise_for_status()
        return time.monotonic() - started, time.process_time() - cpu


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeat", type=int, default=3, help="pairs of runs (default: %(default)s)"
    )
    repeat = parser.parse_args().repeat
    # Runs' files are deleted at the very end: for minutes after that, ext4 takes a second longer to
    # make those of a run.
    with tempfile.TemporaryDirectory() as folder:
        measure(repeat, Path(folder) / "runs")


def measure(repeat: int, out: Path) -> None:
    """Measure and print one table."""
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {repeat} pairs, medians\n")
    with server() as (_, file):
        certify(file, out)
    runs, bare, cpu_run, cpu_bare = [], [], [], []
    for _ in range(repeat):
        with server() as (target, file):
            seconds, cpu, requests, logged_in = certify(file, out)
            runs.append(seconds)
            cpu_run.append(cpu / requests)
        with server() as (target, _):
            seconds, cpu = sequential(target, requests)
            bare.append(seconds)
            cpu_bare.append(cpu / requests)
    slow, bound = [], []
    for _ in range(repeat):
        with server("--variant", LATENCY_VARIANT) as (_, file):
            seconds, _, requests, _ = certify(file, out)
            slow.append(seconds)
            bound.append(requests * LATENCY / EMBEDDED_CONCURRENCY)
    ratios = (
        statistics.median([a / b for a, b in zip(runs, bare, strict=True)]),
        statistics.median([a / b for a, b in zip(slow, bound, strict=True)]),
    )
    show(
        Row("whole run", runs, requests, logged_in, cpu_run, ratios[0], 2),
        Row("bare sequential httpx.Client", bare, requests, cpu=cpu_bare),
        Row("whole run, 50 ms latency", slow, requests, ratio=ratios[1], most=3),
        Row("the latency alone", bound, requests),
    )


@dataclass
class Row:
    """A row of the table: seconds and CPU seconds for each request, of all rounds."""

    name: str
    seconds: Sequence[float]
    requests: int
    logged_in: int | str = ""
    cpu: Sequence[float] = ()
    ratio: float = 0.0
    most: int = 0


def show(*rows: Row) -> None:
    """Print a table of medians."""
    print(
        f"{'':<30}{'seconds':>9}{'requests':>10}{'log-ins':>11}{'CPU ms/request':>16}"
        f"{'ratio':>8}{'at most':>9}"
    )
    for row in rows:
        cpu_ms = f"{1000 * statistics.median(row.cpu):.2f}" if row.cpu else ""
        ratio = f"{row.ratio:.2f}" if row.ratio else ""
        print(
            f"{row.name:<30}{statistics.median(row.seconds):>9.2f}{row.requests:>10}"
            f"{row.logged_in:>11}{cpu_ms:>16}{ratio:>8}{row.most or '':>9}"
        )


if __name__ == "__main__":
    main()
