"""Reference servers that a test starts with switches of its own, and whose clock it moves."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from rolecall.__main__ import main
from rolecall.selftest.running import _PRELOAD as PRELOAD
from tests.conftest import Reference
from tests.support.command import Finished, environment
from tests.support.miniatures import Received, response

#: The folder of the project.
ROOT = Path(__file__).parents[2]
#: Makes processes that have imported everything already: half of a small run's time is imports.
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(PRELOAD)


@dataclass(frozen=True)
class Served(Reference):
    """A reference server and the id of its process."""

    pid: int


@contextmanager
def serving(*options: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """``rolecall serve`` with these options in a process of its own, as long as the block lasts."""
    says, stdout = FORK.Pipe(duplex=False)
    words = ["serve", "--port", "0", "--exit-with-parent", *options]
    process = FORK.Process(target=_serve, args=(words, environment(**(env or {})), stdout))
    process.start()
    stdout.close()
    lines: list[str] = []
    with says, os.fdopen(says.fileno(), encoding="utf-8", closefd=False) as stream:
        for line in stream:
            if line == "# ready\n":
                break
            lines.append(line)
        else:
            raise AssertionError(f"the server did not start: {lines}")
        text = "".join(lines)
        assert process.pid is not None
        try:
            yield Served(text.partition('base_url = "')[2].partition('"')[0], text, process.pid)
        finally:
            process.terminate()
            process.join(10)


def _serve(words: list[str], variables: dict[str, str], stdout: Connection) -> None:
    """In a process of its own: the command, with its output in a pipe."""
    os.environ.clear()
    os.environ.update(variables)
    os.dup2(stdout.fileno(), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.exit(main(words))


def without(text: str, table: str) -> str:
    """A target file's text without one of its tables."""
    before, heading, after = text.partition(f"[{table}]\n")
    assert heading, f"there is no [{table}]"
    _, next_table, rest = after.partition("\n[")
    return before + (f"[{rest}" if next_table else "")


def target(folder: Path, text: str, name: str = "target.toml") -> Path:
    """A target file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def certify(
    file: Path,
    select: str = "",
    *,
    env: Mapping[str, str] | None = None,
    more: Iterable[str] = (),
    seconds: float = 120,
) -> Finished:
    """Run ``rolecall certify`` on a target file, in a folder beside it, for so many seconds at
    most; ``select`` as --select.
    """
    out = file.parent / f"out-{len(list(file.parent.glob('out-*')))}"
    words = [
        "certify",
        str(file),
        "--out",
        str(out),
        *(["--select", select] if select else []),
        *more,
    ]
    said = [file.parent / f"{out.name}.{stream}" for stream in ("stdout", "stderr")]
    began = time.monotonic()
    process = FORK.Process(target=_run, args=(words, environment(**(env or {})), *said))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode is not None
    stdout, stderr = (path.read_text(encoding="utf-8") for path in said)
    return Finished(process.exitcode, stdout, stderr, time.monotonic() - began, out)


def _run(words: list[str], variables: dict[str, str], stdout: Path, stderr: Path) -> None:
    """In a process of its own: the command, with its output in files."""
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(stdout.parent)
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2)
    )
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def advance(url: str, seconds: float) -> float:
    """Move a reference server's clock; its distance from the real time."""
    answer = httpx.post(f"{url}/__clock", json={"advance": seconds})
    assert answer.status_code == 200
    offset: float = answer.json()["offset"]
    return offset


def clock_offset(url: str) -> float:
    """How far a reference server's clock is from the real time, in seconds."""
    offset: float = httpx.get(f"{url}/__clock").json()["offset"]
    return offset


class Admin:
    """The admin of a reference server: looks at what a run has left there."""

    def __init__(self, reference: Reference) -> None:
        self._url = reference.url
        email, password = credentials(reference.text, "admin")
        answer = httpx.post(
            f"{self._url}/v2/auth/token", json={"email": email, "password": password}
        )
        self._headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    def list(self, collection: str) -> list[dict[str, Any]]:
        """Everything in a collection."""
        answer = httpx.get(
            f"{self._url}/v2/{collection}", params={"limit": 1000}, headers=self._headers
        )
        assert answer.status_code == 200
        items: list[dict[str, Any]] = answer.json()
        return items

    def make_key(self, scopes: Sequence[str]) -> str:
        """A new API key."""
        answer = httpx.post(
            f"{self._url}/v2/apikeys",
            json={"name": "ready", "scopes": scopes},
            headers=self._headers,
        )
        key: str = answer.json()["token"]
        return key

    def left_by(self, run: str = "rolecall-") -> Sequence[str]:
        """The things that carry a run's id, in any collection that a run writes to."""
        return [
            f"{collection}: {item}"
            for collection in COLLECTIONS
            for item in self.list(collection)
            if run in str(item)
        ]


COLLECTIONS = (
    "organizations",
    "orggroups",
    "users",
    "conversations",
    "contacts",
    "kbitems",
    "forms",
    "services",
    "apikeys",
)


def credentials(text: str, account: str) -> tuple[str, str]:
    """The e-mail and the password of an account in a target file's text."""
    table = text.partition(f"[accounts.{account}]\n")[2]
    email, password = (
        table.partition(f'{key} = "')[2].partition('"')[0] for key in ("email", "password")
    )
    return email, password


def forwarded(url: str, request: Received, *, method: str = "", path: str = "") -> bytes:
    """The answer of a server to a request that a miniature received, ready to be sent."""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in ("host", "content-length")
    }
    method = method or request.method
    with httpx.Client(trust_env=False) as client:
        answer = client.request(
            method, url + (path or request.path), headers=headers, content=request.body
        )
    kept = ("content-type", "link", "date")
    fields = {
        name.replace("-", "_"): answer.headers[name] for name in kept if name in answer.headers
    }
    return response(answer.status_code, answer.content, **fields)
