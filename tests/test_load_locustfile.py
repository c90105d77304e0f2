"""``locust -f load/locustfile.py`` as Locust's own users run it: with its web page or without, and what it says where it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.command import environment
from tests.conftest import Reference
from tests.load_runs import wait_until
from tests.servers import credentials

LOCUSTFILE = Path(__file__).parent.parent / "load" / "locustfile.py"

#: A locustfile with a mistake of its own.
BROKEN = f"""
import runpy
from rolecall.load import scenarios

def broken(self, due):
    raise KeyError("the-token-of-somebody")

scenarios.Issuance.step = broken
globals().update(runpy.run_path({str(LOCUSTFILE)!r}))
"""


def accounts(reference: Reference, folder: Path) -> Path:
    """The accounts of the reference server as CSV."""
    path = folder / "users.csv"
    rows = [",".join((*credentials(reference.text, role), role)) for role in ("guest", "agent", "bot", "admin")]
    path.write_text("\n".join(["email,password,role", *rows, ""]), encoding="utf-8")
    return path


def locust(*words: str | Path, cwd: Path, file: Path = LOCUSTFILE) -> subprocess.CompletedProcess[str]:
    """Locust, to its end."""
    command = [sys.executable, "-m", "locust", "-f", str(file), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.long
class TestHeadless:
    """Without the web page."""

    def test_a_closed_run(self, reference: Reference, tmp_path: Path) -> None:
        """Users for some seconds: Locust's own table has them, and its exit code is 0."""
        words = ("--host", reference.url, "--accounts", accounts(reference, tmp_path), "--headless", "-u", "3", "-t", "3s")
        finished = locust(*words, "Session", "--csv", "stock", cwd=tmp_path)
        rows = (tmp_path / "stock_stats.csv").read_text(encoding="utf-8")

        assert finished.returncode == 0, finished.stderr
        assert "Traceback" not in finished.stderr
        assert "GET,list-contacts," in rows
        assert "POST,refresh-post," in rows

    def test_an_open_run(self, reference: Reference, tmp_path: Path) -> None:
        """At a rate Locust's table has just those who were due."""
        words = (
            "--host",
            reference.url,
            "--accounts",
            accounts(reference, tmp_path),
            "--headless",
            "--rate",
            "20",
            "--duration",
            "2s",
        )
        finished = locust(*words, "Issuance", "--csv", "stock", cwd=tmp_path)

        assert finished.returncode in {0, 3}, finished.stderr  # 3: this machine was busy
        assert "POST,issue,40,0," in (tmp_path / "stock_stats.csv").read_text(encoding="utf-8")

    def test_without_accounts(self, reference: Reference, tmp_path: Path) -> None:
        """Nobody to log in as: it is said, and ends, without a traceback."""
        finished = locust("--host", reference.url, "--headless", "-u", "3", "-t", "5s", cwd=tmp_path)

        assert finished.returncode == 2, finished.stderr
        assert "nobody said as whom" in finished.stderr
        assert "Traceback" not in finished.stderr

    @pytest.mark.parametrize("how", [["-u", "3", "-t", "20s"], ["--rate", "20", "--duration", "20s"]])
    def test_a_client_that_breaks(self, how: list[str], reference: Reference, tmp_path: Path) -> None:
        """A mistake of ours ends the run at once, as what it is; what it was about is not repeated."""
        (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
        words = ("--host", reference.url, "--accounts", accounts(reference, tmp_path), "--headless", *how, "Issuance")
        finished = locust(*words, cwd=tmp_path, file=tmp_path / "broken.py")

        assert finished.returncode == 6, finished.stderr
        assert "rolecall itself broke: KeyError in broken.py:6" in finished.stderr
        assert "the-token-of-somebody" not in finished.stdout + finished.stderr


@contextmanager
def web(*words: str | Path, cwd: Path) -> Iterator[httpx.Client]:
    """Locust with its web page, as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--web-host", "127.0.0.1", "--web-port", str(port), *words]
    with (cwd / "log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, env=environment(), stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until(lambda: is_there(client))
            yield client
    finally:
        process.terminate()
        process.wait(20)


def is_there(client: httpx.Client) -> bool:
    """Whether anybody answers."""
    try:
        return client.get("/").status_code == 200
    except httpx.TransportError:
        return False


def rows(client: httpx.Client) -> Mapping[str, Any]:
    """Locust's figures by name; ``state`` is that of the run."""
    document = client.get("/stats/requests").json()
    return {"state": document["state"]} | {row["name"]: row["num_requests"] for row in document["stats"]}


@pytest.mark.long
class TestWebPage:
    """With the web page."""

    def test_twice(self, reference: Reference, tmp_path: Path) -> None:
        """A run is begun, is seen, is stopped, and so is another after it."""
        with web("--host", reference.url, "--accounts", accounts(reference, tmp_path), "Session", cwd=tmp_path) as client:
            for _ in range(2):
                assert client.post("/swarm", data={"user_count": "3", "spawn_rate": "3"}).json()["success"]
                wait_until(lambda: rows(client).get("refresh-post", 0) > 20)
                assert client.post("/stop").json()["success"]
                wait_until(lambda: rows(client)["state"] == "stopped")
            assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")

    def test_without_accounts(self, reference: Reference, tmp_path: Path) -> None:
        """The run stops, and the log says why."""
        with web("--host", reference.url, cwd=tmp_path) as client:
            assert client.post("/swarm", data={"user_count": "3", "spawn_rate": "3"}).json()["success"]
            wait_until(lambda: "nobody said as whom" in (tmp_path / "log").read_text(encoding="utf-8"))
            wait_until(lambda: rows(client)["state"] == "stopped")
