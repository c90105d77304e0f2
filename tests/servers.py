"""Reference servers that a test starts for itself, with switches of its own, and a hand on their clock."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.command import Finished, rolecall, start
from tests.conftest import Reference

#: The folder of the project.
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Served(Reference):
    """A reference server and its process."""

    process: subprocess.Popen[str]


@contextmanager
def serving(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A reference server in a process of its own with these options, as long as the block lasts."""
    process = start(
        "serve", "--port", "0", "--exit-with-parent", *options, cwd=folder, env=env, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout:
        lines: list[str] = []
        for line in process.stdout:
            if line == "# ready\n":
                break
            lines.append(line)
        else:
            raise AssertionError(f"the server did not start: exit {process.wait()}")
        text = "".join(lines)
        try:
            yield Served(text.partition('base_url = "')[2].partition('"')[0], text, process)
        finally:
            process.terminate()
            process.wait(10)


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


def certify(file: Path, select: str = "", *, env: Mapping[str, str] | None = None) -> Finished:
    """``rolecall certify`` on a target file, its run in a folder of its own beside it; ``select`` as in --select."""
    number = len(list(file.parent.glob("out-*")))
    words = ["--select", select] if select else []
    return rolecall("certify", file, "--out", f"out-{number}", *words, cwd=file.parent, env=env)


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
        answer = httpx.post(f"{self._url}/v2/auth/token", json={"email": email, "password": password})
        self._headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    def list(self, collection: str) -> list[dict[str, Any]]:
        """Everything in a collection."""
        answer = httpx.get(f"{self._url}/v2/{collection}", params={"limit": 1000}, headers=self._headers)
        assert answer.status_code == 200
        items: list[dict[str, Any]] = answer.json()
        return items

    def left_by(self, run: str = "rolecall-") -> list[str]:
        """The things that carry a run's id, in any collection that a run writes to."""
        return [
            f"{collection}: {item}" for collection in COLLECTIONS for item in self.list(collection) if run in str(item)
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
    email, password = (table.partition(f'{key} = "')[2].partition('"')[0] for key in ("email", "password"))
    return email, password
