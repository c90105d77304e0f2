"""The server of the benchmarks: an nginx on the first core that answers each log-in with a new
token.

``load.py``, ``memory.py`` and ``workers.py`` start it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
SERVER_CORE = "0"
CONNECTIONS = 64
PATH = "/v2/auth/token"
ACCOUNT = {"email": "guest@example.org", "password": "nobody's password"}
USER, ORGANIZATION = "65a5d2ae3ef14b00116bc5e9", "5f1e7a2b9c3d4e5f6a7b8c9d"
LIFETIME = 24 * 3600  # seconds
START_UP = 30.0  # seconds until nginx answers, and until a generator sends at all
NGINX = """
daemon off; worker_processes 1; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT;
    location = /status { stub_status; }
    location = /v2/auth/token { return 200 'TOKEN'; }
    location = /v2/users/USER { return 200 '{"id":"USER","email":"guest@example.org"}'; }
  }
}
"""


def token_body() -> str:
    """The answer to a log-in, for nginx to fill in: its claims hold, its signature is no
    signature.
    """

    def part(document: dict[str, Any]) -> str:
        return (
            urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode())
            .decode()
            .rstrip("=")
        )

    now = int(time.time())
    claims = {
        "_id": USER,
        "organization": ORGANIZATION,
        "scope": "guest",
        "grant_type": "access_token",
    }
    times = {"iat": now, "exp": now + LIFETIME}
    token = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims | times)}"
    return json.dumps(
        {
            "tokenType": "Bearer",
            "token": f"{token}.$request_id-of-nobody_",
            "refreshToken": f"{USER}.$request_id${{request_id}}{ORGANIZATION}",
            "user": USER,
            "scope": "guest",
            "organization": ORGANIZATION,
            "expiresAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now + LIFETIME)),
        },
        separators=(",", ":"),
    )


@dataclass(frozen=True)
class Place:
    """Where a run takes place: the server's URL, its process, and a folder for what generators read
    and write.
    """

    url: str
    server: psutil.Process
    folder: Path

    def requests(self) -> int:
        """How many requests nginx has had."""
        with urllib.request.urlopen(f"{self.url}/status", timeout=5) as answer:  # noqa: S310  # our own
            return int(answer.read().split()[9])


def free_port() -> int:
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def accounts(folder: Path) -> str:
    """The path of a file with the only user of that nginx."""
    file = folder / "accounts.csv"
    file.write_text(
        f"email,password,role\n{ACCOUNT['email']},{ACCOUNT['password']},guest\n", encoding="utf-8"
    )
    return str(file)


@contextmanager
def nginx(folder: Path) -> Iterator[Place]:
    """The server, on its core."""
    port = free_port()
    text = (
        NGINX.replace("FOLDER", str(folder))
        .replace("PORT", str(port))
        .replace("TOKEN", token_body())
        .replace("USER", USER)
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    command = ["taskset", "-c", SERVER_CORE, "nginx", "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as process:
        try:
            place = Place(f"http://127.0.0.1:{port}", psutil.Process(process.pid), folder)
            wait_for(lambda: process.poll() is not None or serves(place))
            if process.poll() is not None:
                raise SystemExit("nginx does not start")  # it has said why
            yield place
        finally:
            process.terminate()


def serves(place: Place) -> bool:
    """Whether the server answers."""
    try:
        return place.requests() > 0
    except OSError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is so.

    Raises:
        SystemExit: it does not become so.
    """
    end = time.monotonic() + START_UP
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("nothing has happened for too long")
        time.sleep(0.05)
