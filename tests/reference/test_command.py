"""The server as a program."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rolecall.reference.__main__ import main

KEY = "a key that is long enough for HS256"


PROGRAM = ("-m", "rolecall.reference")
#: The program on a loop like those of Windows, which know no handlers of signals.
AS_ON_WINDOWS = """
import asyncio, sys
from rolecall.reference.__main__ import main
class Loop(asyncio.SelectorEventLoop):
    def add_signal_handler(self, number, callback, *args):
        raise NotImplementedError
Policy = type("Policy", (asyncio.DefaultEventLoopPolicy,), {"_loop_factory": Loop})
asyncio.set_event_loop_policy(Policy())
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def serving(
    *options: str, program: Sequence[str] = PROGRAM, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program, running, and its target file."""
    command = [sys.executable, *program, "--port", "0", "--scrypt-n", "2", *options]
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("ROLECALL_")
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**variables, **environment}
    ) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                if line == "# ready\n":
                    break
                lines.append(line)
            yield process, tomllib.loads("".join(lines))
        finally:
            process.kill()


CLIENT = httpx.Client(verify=False)  # made once: loading certificates takes longer than a login


def login(target: dict[str, Any], account: str, password: str | None = None) -> httpx.Response:
    """A login with what the target file says."""
    one = target["accounts"][account]
    body = {"email": one["email"], "password": password or one["password"]}
    return CLIENT.post(f"{target['target']['base_url']}/v2/auth/token", json=body)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("program", [PROGRAM, ("-c", AS_ON_WINDOWS)], ids=["posix", "windows"])
def test_target_file_and_end(program: Sequence[str], number: signal.Signals) -> None:
    """It prints a target file with which every account logs in, and exits 0 at a signal."""
    with serving(program=program) as (process, target):
        assert list(target["accounts"]) == ["guest", "guest2", "agent", "bot", "admin"]
        assert target["api_keys"] == {"create_path": "/v2/apikeys"}
        assert "expiry" not in target
        assert CLIENT.get(f"{target['target']['base_url']}/__clock").status_code == 404
        for account in target["accounts"]:
            assert login(target, account).json()["scope"] == account.rstrip("2")
        process.send_signal(number)

        assert process.wait(timeout=5) == 0


def test_signing_key_and_clock() -> None:
    """With a signing key and --clock the target file names both, and the clock moves."""
    with serving("--clock", ROLECALL_SIGNING_KEY=KEY) as (_, target):
        assert target["expiry"]["signing_key_env"] == "ROLECALL_SIGNING_KEY"
        token = login(target, "guest").json()
        url = target["expiry"]["clock_url"]
        moved = CLIENT.post(url, json={"advance": 86400}).json()
        assert moved["offset"] == 86400
        own = f"{target['target']['base_url']}/v2/users/{token['user']}"
        headers = {"Authorization": f"Bearer {token['token']}"}
        assert CLIENT.get(own, headers=headers).status_code == 403
        assert CLIENT.post(url, json={"advance": -86400}).json()["offset"] == 0
        assert CLIENT.get(own, headers=headers).status_code == 200
        assert CLIENT.get(url).json()["offset"] == 0
        wrong: list[Any] = [{"advance": "1"}, {"advance": True}, {}, [], {"advance": 10**10}]
        for body in wrong:
            assert CLIENT.post(url, json=body).status_code == 400


def test_vendors_dialect_is_in_the_target_file() -> None:
    """A server in the vendor's dialect says so."""
    with serving("--dialect", "sdk") as (_, target):
        assert target["dialect"]["expired"] == [401]
        assert login(target, "bot").status_code == 201


def test_data_is_kept(tmp_path: Path) -> None:
    """With --data accounts, tokens and resources outlive the server; passwords are shown once."""
    data = str(tmp_path / "data.sqlite")
    with serving("--data", data) as (_, first):
        issued = login(first, "admin").json()
        headers = {"Authorization": f"Bearer {issued['token']}"}
        url = first["target"]["base_url"]
        form = CLIENT.post(f"{url}/v2/forms", json={"name": "Kept"}, headers=headers).json()
    with serving("--data", data) as (_, second):
        assert second["accounts"]["admin"] == {
            "email": "admin@example.org",
            "password_env": "ROLECALL_ADMIN_PASSWORD",
        }
        assert login(second, "admin", first["accounts"]["admin"]["password"]).status_code == 200
        url = second["target"]["base_url"]
        assert CLIENT.get(f"{url}/v2/forms/{form['id']}", headers=headers).json() == form
    with serving("--data", data, ROLECALL_ADMIN_PASSWORD="chosen") as (_, third):
        assert third["accounts"]["admin"]["password"] == "chosen"
        assert login(third, "admin").status_code == 200


def test_stops_with_its_parent() -> None:
    """With --exit-with-parent the server ends when the process that started it does."""
    command = [sys.executable, "-m", "rolecall.reference", "--port", "0", "--exit-with-parent"]
    script = (
        "import subprocess, sys\n"
        f"server = subprocess.Popen({command!r}, stdout=subprocess.PIPE, text=True)\n"
        "for line in server.stdout:\n"
        "    if line.startswith('base_url'): print(line, end='')\n"
        "    if line == '# ready\\n': break\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    url = tomllib.loads(printed)["base_url"]
    port = int(url.rsplit(":", 1)[1])
    for _ in range(100):
        with socket.socket() as probe:
            probe.settimeout(0.05)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
            time.sleep(0.05)
    pytest.fail("the server is still there")


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is one sentence and exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["--port", str(port)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert (
            printed.err
            == f"rolecall serve: cannot listen on 127.0.0.1:{port}: Address already in use\n"
        )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--fault", "flip-list-user-guest"],
            "there is no fault called flip-list-user-guest; did you mean",
        ),
        (["--variant", "zip"], "there is no variant called zip; did you mean gzip?"),
        (["--host", "256.1.1.1"], "cannot listen on 256.1.1.1:0: "),
        (["--data", "/nowhere/file"], "unable to open database file"),
        (["--scrypt-n", "3"], "the cost of scrypt has to be a power of two above 1"),
        (["--scrypt-n", str(2**20)], "the cost of scrypt has to be at most 524,288"),
    ],
)
def test_wrong_options(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be served is one sentence and exit code 2."""
    assert main(["--port", "0", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_the_data_of_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database with somebody else's tables is left as it is, to the byte."""
    file = tmp_path / "theirs.db"
    with contextlib.closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE accounts (balance)")
        theirs.execute("CREATE TABLE invoices (amount)")
    before = file.read_bytes()

    assert main(["--port", "0", "--data", str(file)]) == 2
    assert f"{file} holds the data of another program" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_short_signing_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signing key that could be guessed is refused."""
    monkeypatch.setenv("ROLECALL_SIGNING_KEY", "secret")

    assert main(["--port", "0"]) == 2
    assert "at least 32 bytes" in capsys.readouterr().err


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """The switches are listed with what they concern and do."""
    assert main(["--list-faults", "--list-variants"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line.split("\t")) == 4 for line in lines)
    assert {"flip-list-users-guest", "accepts-alg-none", "gzip"} <= {
        line.split("\t")[0] for line in lines
    }
