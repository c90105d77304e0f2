"""``locust -f load/locustfile.py`` as users of Locust run it, with its web page and without.

Longer than 400 lines because it holds a peer that speaks with Locust over the wire.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgpack
import psutil
import pytest
import zmq

from rolecall.loadgen import plan
from tests.conftest import Reference
from tests.support.command import environment
from tests.support.load_runs import free_port, load, wait_until
from tests.support.miniatures import Miniature, always, response
from tests.support.servers import credentials, target

LOCUSTFILE = Path(__file__).parents[2] / "load" / "locustfile.py"

#: A locustfile with a mistake of its own.
BROKEN = f"""
import runpy, sys
from rolecall.loadgen import scenarios

def broken(self, due):
    raise KeyError("the-token-of-somebody")

scenarios.IssuanceScenario.step = broken
sys.path.insert(0, {str(LOCUSTFILE.parent)!r})  # as Locust does for the file that it is given
globals().update(runpy.run_path({str(LOCUSTFILE)!r}))
"""


def accounts(reference: Reference, folder: Path) -> Path:
    """The accounts of the reference server as CSV."""
    path = folder / "users.csv"
    rows = [
        ",".join((*credentials(reference.text, role), role))
        for role in ("guest", "agent", "bot", "admin")
    ]
    path.write_text("\n".join(["email,password,role", *rows, ""]), encoding="utf-8")
    return path


def command_of(*words: str | Path, file: Path = LOCUSTFILE) -> list[str]:
    """Locust's command line."""
    return [sys.executable, "-m", "locust", "-f", str(file), *map(str, words)]


def locust(
    *words: str | Path, cwd: Path, file: Path = LOCUSTFILE
) -> subprocess.CompletedProcess[str]:
    """Locust, to its end."""
    command = command_of(*words, file=file)
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.long
class TestHeadless:
    """Without the web page."""

    def test_a_closed_run(self, reference: Reference, tmp_path: Path) -> None:
        """Users for some seconds: Locust's own table has them, and its exit code is 0."""
        words = ("--host", reference.url, "--accounts", accounts(reference, tmp_path), "--headless")
        for seconds in (3, 12, 40):  # exit code 3: this machine was too busy, and needs longer
            length = ("-u", "3", "-t", f"{seconds}s")
            finished = locust(*words, *length, "Session", "--csv", "stock", cwd=tmp_path)
            if finished.returncode != 3:
                break
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
        """Without accounts it ends with a sentence, and without a traceback."""
        finished = locust(
            "--host", reference.url, "--headless", "-u", "3", "-t", "5s", cwd=tmp_path
        )

        assert finished.returncode == 2, finished.stderr
        assert "--accounts: is missing" in finished.stderr
        assert "Traceback" not in finished.stderr

    @pytest.mark.parametrize(
        "how", [["-u", "3", "-t", "20s"], ["--rate", "20", "--duration", "20s"]]
    )
    def test_a_client_that_breaks(
        self, how: list[str], reference: Reference, tmp_path: Path
    ) -> None:
        """A bug of ours ends the run at once, and is named without what it was about."""
        (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
        words: tuple[str | Path, ...] = (
            "--host",
            reference.url,
            "--accounts",
            accounts(reference, tmp_path),
            "--headless",
            *how,
            "Issuance",
        )
        finished = locust(*words, cwd=tmp_path, file=tmp_path / "broken.py")

        assert finished.returncode == 6, finished.stderr
        assert f"itself broke: KeyError in {tmp_path.name}/broken.py, line 6" in finished.stderr
        assert "the-token-of-somebody" not in finished.stdout + finished.stderr


@contextmanager
def page(*words: str | Path, cwd: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Locust with its web page, as long as the block lasts; the page, and the process."""
    port = free_port()
    with (cwd / "log").open("w") as log:
        command = command_of("--web-port", str(port), *words)
        process = subprocess.Popen(command, cwd=cwd, env=environment(), stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until(lambda: is_there(client))
            yield client, process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def web(*words: str | Path, cwd: Path) -> Iterator[httpx.Client]:
    """The page alone, at the address that is named."""
    with page("--web-host", "127.0.0.1", *words, cwd=cwd) as (client, _):
        yield client


def is_there(client: httpx.Client) -> bool:
    """Whether a server answers."""
    try:
        return client.get("/").status_code == 200
    except httpx.TransportError:
        return False


def rows(client: httpx.Client) -> Mapping[str, Any]:
    """Locust's figures by name; ``state`` is that of the run."""
    document = client.get("/stats/requests").json()
    return {"state": document["state"]} | {
        row["name"]: row["num_requests"] for row in document["stats"]
    }


@pytest.mark.long
class TestWebPage:
    """With the web page."""

    def test_twice(self, reference: Reference, tmp_path: Path) -> None:
        """A run is begun, is seen, is stopped, and so is another after it."""
        with web(
            "--host",
            reference.url,
            "--accounts",
            accounts(reference, tmp_path),
            "Session",
            cwd=tmp_path,
        ) as client:
            for _ in range(2):
                assert client.post("/swarm", data={"user_count": "3", "spawn_rate": "3"}).json()[
                    "success"
                ]
                wait_until(lambda: rows(client).get("refresh-post", 0) > 20)
                assert client.post("/stop").json()["success"]
                wait_until(lambda: rows(client)["state"] == "stopped")
            assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")

    def test_a_scenario_is_chosen(self, reference: Reference, tmp_path: Path) -> None:
        """Where no class is named, the page offers the scenarios, sessions first: a run is of one
        of them, and not of all seven together.
        """
        users = accounts(reference, tmp_path)
        with web("--host", reference.url, "--accounts", users, cwd=tmp_path) as client:
            text = client.get("/").text
            assert "what the clients do" in text
            assert "Clients run the scenario session" in (tmp_path / "log").read_text("utf-8")
            swarm, none = {"user_count": "2", "spawn_rate": "2"}, dict[str, str]()
            for chosen, row in ((none, "refresh-post"), ({"scenario": "issuance"}, "issue")):
                assert client.post("/swarm", data=swarm | chosen).json()["success"]
                wait_until(lambda: rows(client).get(row, 0) > 20)  # noqa: B023  # it ends here
                assert client.post("/stop").json()["success"]
                wait_until(lambda: rows(client)["state"] == "stopped")
                names = rows(client).keys()
                assert ("issue" in names) is bool(chosen)
                assert not any("race" in name for name in names)

    def test_without_accounts(self, reference: Reference, tmp_path: Path) -> None:
        """The run stops, and the log says why."""
        with web("--host", reference.url, cwd=tmp_path) as client:
            assert client.post("/swarm", data={"user_count": "3", "spawn_rate": "3"}).json()[
                "success"
            ]
            wait_until(
                lambda: "--accounts: is missing" in (tmp_path / "log").read_text(encoding="utf-8")
            )
            wait_until(lambda: rows(client)["state"] == "stopped")


EVIL = "http://evil.example"


def listening(process: subprocess.Popen[Any]) -> set[str]:
    """The addresses at which a process listens."""
    return {
        connection.laddr.ip
        for connection in psutil.Process(process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def secrets_in(file: Path) -> list[bytes]:
    """The passwords of a CSV with accounts."""
    return [
        line.split(",")[1].encode() for line in file.read_text(encoding="utf-8").splitlines()[1:]
    ]


@pytest.mark.long
class TestStrangers:
    """Nothing listens beyond loopback, and no secret goes to another host, unless asked for."""

    def test_a_page_of_another_origin(self, reference: Reference, tmp_path: Path) -> None:
        """The page is on loopback; another page, and another name, start and read nothing."""
        with (
            Miniature(always(response(200))) as evil,
            stock("--host", reference.url, cwd=tmp_path, reference=reference) as (
                client,
                process,
            ),
        ):
            assert listening(process) == {"127.0.0.1"}
            swarm = {"user_count": "3", "spawn_rate": "3", "host": evil.url}
            for headers in (
                {"Origin": EVIL},
                {"Origin": "null"},
                {"Host": "evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
                {},
            ):
                answer = client.post("/swarm", data=swarm, headers=headers)
                assert (answer.status_code, len(answer.text) > 30) == (403, True)
                if headers:
                    assert client.get("/logs", headers=headers).status_code == 403
            answer = client.post(
                "/swarm", data={"user_count": "3", "spawn_rate": "3", "accounts": "/etc/passwd"}
            )
            assert answer.status_code == 403
            assert client.post(
                "/swarm",
                data=swarm | {"host": reference.url},
                headers={"Origin": str(client.base_url)},
            ).is_success
            wait_until(lambda: rows(client).get("refresh-post", 0) > 0)

        assert evil.received == []

    def test_the_defaults_of_a_master(self, reference: Reference, tmp_path: Path) -> None:
        """It waits for its workers on loopback, too."""
        words = ("--host", reference.url, "--master", "--master-bind-port", str(free_port()))
        with stock(*words, cwd=tmp_path, reference=reference) as (_, process):
            assert listening(process) == {"127.0.0.1"}

    def test_a_host_of_the_environment(
        self, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """LOCUST_HOST and configuration files do not override a target file."""
        file = target(tmp_path, reference.text.partition("[expiry]")[0])
        with Miniature(always(response(200))) as evil:
            monkeypatch.setenv("LOCUST_HOST", evil.url)
            (tmp_path / "locust.conf").write_text(
                f"host = {evil.url}\nheadless = false\nweb-host = 0.0.0.0\n", encoding="utf-8"
            )
            finished = locust(
                "--target",
                file,
                "--headless",
                "--rate",
                "5",
                "--duration",
                "1s",
                "Issuance",
                cwd=tmp_path,
            )
            run = load("issuance", file, "--rate", "5", "--duration", "1s", cwd=tmp_path)

        assert finished.returncode in {0, 3}, finished.stderr
        assert run.came_to(0), run.said
        assert evil.received == []

    @pytest.mark.parametrize("own", [True, False])
    def test_a_master_that_is_none(self, reference: Reference, tmp_path: Path, own: bool) -> None:
        """It gets a worker to send load where the worker's own command line says, and neither a
        password, a token nor a file.
        """
        # Longer than 40 lines because it plays the master from hello to end.
        csv, other = accounts(reference, tmp_path), tmp_path / "other.csv"
        other.write_text(
            "email,password,role\nada@example.org,another-password,guest\n", encoding="utf-8"
        )
        words = ("--worker", "--accounts", str(csv), *(("--host", reference.url) if own else ()))
        with Miniature(always(response(200))) as evil, master(*words, cwd=tmp_path) as peer:
            options = {
                "target": "/etc/passwd",
                "accounts": str(other),
                "run_folder": str(tmp_path / "stolen"),
            }
            peer.say(
                "spawn",
                timestamp=time.time(),
                user_classes_count={"Issuance": 1},
                host=evil.url,
                stop_timeout=0,
                parsed_options=options,
            )
            # before the worker even knows what it is to be
            assert peer.hear("spawning") is not None
            peer.say("ack", index=0)
            for said in (
                {"host": evil.url},
                {"host": evil.url, "accounts": str(other)},
                options,
                {"target": str(other)},
                {"racers": "x"},
            ):
                assert peer.prepared(said)
            error = peer.prepared({})
            if own:
                assert error == ""
                peer.say(
                    "rolecall.go",
                    number=1,
                    delay=0.0,
                    width=1.0,
                    schedule=None,
                    grace=1.0,
                    abandon=False,
                    index=0,
                    workers=1,
                )
                assert wait_until(lambda: peer.hear("rolecall.report")["measured"])
            else:
                assert "--host: is missing" in error

        assert evil.received == []
        assert not (tmp_path / "stolen").exists()
        assert not any(
            secret in b"".join(peer.heard)
            for secret in (*secrets_in(csv), *secrets_in(other), b"root:", b"eyJ")
        )

    def test_a_worker_that_is_none(self, reference: Reference, tmp_path: Path) -> None:
        """It is told how to send, and what the master's files are called; not what is in them."""
        csv, port = accounts(reference, tmp_path), free_port()
        leading = ("--master", "--master-bind-port", str(port), "--expect-workers", "1")
        open_loop = ("--headless", "--rate", "5", "--duration", "5s", "Issuance")
        command = command_of("--host", reference.url, "--accounts", csv, *leading, *open_loop)
        with (
            (tmp_path / "log").open("w") as log,
            zmq.Context() as context,
            context.socket(zmq.DEALER) as wire,
        ):
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environment(), stderr=log, stdout=log
            )
            try:
                wire.setsockopt(zmq.IDENTITY, b"stranger_1")
                wire.connect(f"tcp://127.0.0.1:{port}")
                peer = Peer(wire, "stranger_1")
                peer.say("locustfile", version=version("locust"))
                peer.send("client_ready", version("locust"))
                job = peer.hear("rolecall.prepare")
                peer.say("rolecall.ready", error="", exit_code=0)
                peer.hear("rolecall.go")
            finally:
                process.kill()
                process.wait()

        assert set(job["options"]) <= {"host", *plan.SHARED}
        assert b"error" in next(said for said in peer.heard if b"locustfile" in said)
        everything = b"".join(peer.heard)
        assert not any(secret in everything for secret in (*secrets_in(csv), b"eyJ", b"import "))


class Peer:
    """The other end of Locust's wire, in its own message format: a type, data, and whose it is
    (locust/rpc/protocol.py).
    """

    def __init__(self, wire: zmq.Socket[bytes], name: str, *, address: bytes = b"") -> None:
        self._wire = wire
        self._name = name
        self._address = address
        self.heard: list[bytes] = []

    def say(self, kind: str, **data: Any) -> None:
        """Send a message with these members."""
        self.send(kind, data)

    def send(self, kind: str, data: Any) -> None:
        """Send a message."""
        packed = msgpack.dumps((kind, data, self._name))
        self._wire.send_multipart([self._address, packed] if self._address else [packed])

    def prepared(self, options: Mapping[str, Any]) -> str:
        """What a worker says to a job with these options; one that has only just come may not have
        heard of it.
        """
        answer = None
        for _ in range(10):
            if answer is None:
                self.say(
                    "rolecall.prepare",
                    scenario="issuance",
                    clients=0,
                    index=0,
                    workers=1,
                    options=options,
                )
                answer = self.hear("rolecall.ready", 3)
        assert answer is not None
        return str(answer["error"])

    def hear(self, kind: str, seconds: float = 30) -> Any:
        """The data of the next message of this type, None without any; all others are kept."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._wire.poll(500):
                self.heard.append(self._wire.recv_multipart()[-1])
                said, data, _ = msgpack.loads(self.heard[-1], strict_map_key=False)
                if said == kind:
                    return data or {}
        return None


@contextmanager
def master(*words: str, cwd: Path) -> Iterator[Peer]:
    """Pose as the master of a worker that is started with these words."""
    with (
        zmq.Context() as context,
        context.socket(zmq.ROUTER) as wire,
        (cwd / "log").open("w") as log,
    ):
        port = wire.bind_to_random_port("tcp://127.0.0.1")
        command = command_of(*words, "--master-host", "127.0.0.1", "--master-port", str(port))
        process = subprocess.Popen(command, cwd=cwd, env=environment(), stderr=log, stdout=log)
        try:
            assert wire.poll(30_000)
            address, first = wire.recv_multipart()
            yield Peer(wire, msgpack.loads(first, strict_map_key=False)[2], address=address)
        finally:
            process.kill()
            process.wait()


@contextmanager
def stock(
    *words: str, cwd: Path, reference: Reference
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Locust with its web page and its defaults; the page, and the process."""
    with page("--accounts", accounts(reference, cwd), *words, "Session", cwd=cwd) as (
        client,
        process,
    ):
        yield client, process
