"""Compares what a stall of one second does to percentiles: by schedule, ours, stock Locust.

Run it with ``python benchmarks/stall.py``; it takes a minute. The server is ``rolecall serve
--variant stalls-once``, from which no answer leaves for one second, once. Whoever was due in that
second waits until its end: of the arrivals of an open schedule these are known beforehand, and so
are the percentiles. Stock Locust (FastHttpUser, constant_throughput) is asked for the same rate by
10 users and by 100: a user who waits sends nothing meanwhile, and is not asked to catch up, so
those who would have come are not in its percentiles.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STALL = 1.0  # seconds, as the variant has it
RATE, DURATION = 200, 10
PERCENTS = (50.0, 95.0, 99.0, 99.9)
STOCK_USERS = (10, 100)
#: Passwords are hashed in no time: what is measured is the stall, and not how the server works off
#: what has come meanwhile.
SERVER = ("--variant=stalls-once", "--scrypt-n=16")
STOCK = """
import os
from locust import FastHttpUser, constant_throughput, task

class Stock(FastHttpUser):
    wait_time = constant_throughput(float(os.environ["EACH"]))

    @task
    def log_in(self):
        account = {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]}
        self.client.post("/v2/auth/token", json=account)
"""


def computed(
    percent: float, rate: float = RATE, duration: float = DURATION, stall: float = STALL
) -> float:
    """A percentile of the waits in seconds: of all arrivals, those due in the stall wait from then
    until its end.
    """
    waits = [stall - number / rate for number in range(int(rate * stall))]
    waits += [0.0] * (int(rate * duration) - len(waits))
    return sorted(waits)[math.ceil(percent / 100 * len(waits)) - 1]


def ours(folder: Path) -> list[float]:
    """The response times of log-ins, in seconds, as ``rolecall load`` has them."""
    argv = [
        "load",
        "issuance",
        f"--rate={RATE}",
        f"--duration={DURATION}s",
        "--json",
        f"--out={folder}",
    ]
    command = [
        sys.executable,
        "-m",
        "rolecall",
        *argv,
        *(f"--serve-option={option}" for option in SERVER),
    ]
    document = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=False).stdout
    )
    (entry,) = [entry for entry in document["entries"] if entry["name"] == "issue"]
    return [entry["response_ms"][f"p{percent:g}"] / 1000 for percent in PERCENTS]


def stock(folder: Path, users: int) -> tuple[int, list[float]]:
    """How many requests stock Locust sent, and their percentiles."""
    file, tables = folder / "stock.py", folder / f"stock-{users}"
    file.write_text(STOCK, encoding="utf-8")
    argv = [
        "-f",
        str(file),
        "--headless",
        "-u",
        str(users),
        "-r",
        str(users),
        "-t",
        f"{DURATION}s",
        "--csv",
        str(tables),
    ]
    with server() as (url, email, password):
        variables = {**os.environ, "EACH": str(RATE / users), "EMAIL": email, "PASSWORD": password}
        command = [sys.executable, "-m", "locust", *argv, "--host", url]
        subprocess.run(command, env=variables, capture_output=True, check=False)
    with Path(f"{tables}_stats.csv").open(encoding="utf-8") as rows:
        total = next(row for row in csv.DictReader(rows) if row["Name"] == "Aggregated")
    return int(total["Request Count"]), [
        float(total[f"{percent:g}%"]) / 1000 for percent in PERCENTS
    ]


@contextmanager
def server() -> Iterator[tuple[str, str, str]]:
    """The server that stalls: its URL, and an account."""
    command = [
        sys.executable,
        "-m",
        "rolecall",
        "serve",
        "--port",
        "0",
        "--exit-with-parent",
        *SERVER,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = "".join(itertools.takewhile("# ready\n".__ne__, process.stdout))
        url, email, password = (
            re.search(rf'^{key} = "([^"]+)"', text, re.MULTILINE)
            for key in ("base_url", "email", "password")
        )
        assert url
        assert email
        assert password
        try:
            yield url[1], email[1], password[1]
        finally:
            process.terminate()


def main() -> None:
    """Run both and print the table."""
    rows: list[tuple[str, int, list[float]]] = [
        ("computed from the schedule", RATE * DURATION, [*map(computed, PERCENTS)])
    ]
    with tempfile.TemporaryDirectory() as name:
        rows.append(("rolecall load", RATE * DURATION, ours(Path(name))))
        rows += [
            (f"stock Locust, {users} users", *stock(Path(name), users)) for users in STOCK_USERS
        ]
    print(f"{RATE}/s for {DURATION} s; no answer for {STALL:g} s. Milliseconds.")
    print(f"{'':<28}{'requests':>10}" + "".join(f"{f'p{percent:g}':>9}" for percent in PERCENTS))
    for title, requests, seconds in rows:
        print(
            f"{title:<28}{requests:>10,}" + "".join(f"{1000 * value:>9,.0f}" for value in seconds)
        )


if __name__ == "__main__":
    main()
