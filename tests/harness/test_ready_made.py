"""Runs that may make little or nothing on the target, counted at the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from rolecall.reference.app import Server
from rolecall.reference.census import Census
from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.target import target_file
from tests.support.command import Finished
from tests.support.servers import certify, credentials, target

RESOURCES = (
    "organization",
    "organization-group",
    "user",
    "conversation",
    "message",
    "contact",
    "knowledge-item",
    "form",
    "service",
)
NOTHING = "".join(f"[fixtures.{resource}]\ncreate = false\n" for resource in RESOURCES)
_SAFE = ("GET", "HEAD", "OPTIONS")


class Watched:
    """A reference server that has a contact, and remembers every request that may write."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.writes: list[tuple[str, str]] = []
        server.app = self._watching(server.app)

    def _watching(self, app: ASGIApp) -> ASGIApp:
        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            if (
                scope["type"] == "http"
                and scope["method"] not in _SAFE
                and scope["path"] != "/v2/auth/token"
            ):
                self.writes.append((scope["method"], scope["path"]))
            await app(scope, receive, send)

        return watching

    def begin(self, url: str) -> None:
        """Put a contact there, and take the census."""
        self.text = target_file(self._server, url)
        email, password = credentials(self.text, "admin")
        logged_in = httpx.post(f"{url}/v2/auth/token", json={"email": email, "password": password})
        made = httpx.post(
            f"{url}/v2/contacts",
            json={"profile": {"name": "somebody"}},
            headers={"Authorization": f"Bearer {logged_in.json()['token']}"},
        )
        self.contact = made.json()["id"]
        self.writes.clear()
        self._census = Census(self._server)

    def damage(self) -> list[str]:
        """What is not as it was."""
        return self._census.damage()

    def created(self) -> list[str]:
        """Where things were made, but for the log-ins."""
        return [path for method, path in self.writes if method == "POST"]


@pytest.fixture
def server() -> Iterator[Watched]:
    """One, for a test."""
    made: list[Watched] = []
    with running(Settings(scrypt_n=2), lambda server: made.append(Watched(server))) as served:
        made[0].begin(served.base_url)
        yield made[0]


def outcomes(finished: Finished, operation: str) -> Mapping[str, tuple[str, str]]:
    """By role, what became of an operation's cells, and the reason."""
    return {
        cell["role"]: (cell["outcome"], cell["reason"])
        for cell in finished.results["cells"]
        if cell["operation"] == operation and cell["credential"] == "token"
    }


def without_keys(text: str) -> str:
    """A target file's text without the place where keys are made."""
    return text.replace('create_path = "/v2/apikeys"', "")


@pytest.mark.long
def test_where_nothing_may_be_made_nothing_is(server: Watched, tmp_path: Path) -> None:
    """With create = false for every resource the server counts no creation; reads are proven on
    what is there, what cannot be proven is not tested and names the setting, and all is as it was.
    """
    text = f"{without_keys(server.text)}\n{NOTHING}"
    text = text.replace("[fixtures.contact]", f'[fixtures.contact]\nid = "{server.contact}"')

    finished = certify(target(tmp_path, text))

    assert server.created() == []
    assert server.damage() == []
    assert finished.results["findings"] == [], finished.said
    assert finished.results["verdict"] == "inconclusive"
    assert finished.code == 3
    for role, (outcome, _) in outcomes(finished, "fetch-contact").items():
        assert outcome == "passed", role
    for operation in ("create-contact", "update-contact", "delete-contact"):
        for role, (outcome, reason) in outcomes(finished, operation).items():
            assert outcome == "not-tested", (operation, role)
            assert "[fixtures.contact] create = false" in reason, (operation, role)


def test_a_ready_made_thing_is_what_is_read(server: Watched, tmp_path: Path) -> None:
    """A thing that the target file names is what every role fetches, and none is made for it."""
    text = f'{server.text}\n[fixtures.fetch-contact]\nid = "{server.contact}"\n'

    finished = certify(target(tmp_path, text), "fetch-contact and test_permissions")

    fetched = {
        row["request"]["url"].rpartition("/")[2] for row in entries(finished) if is_contact(row)
    }
    assert finished.code == 0, finished.said
    assert fetched == {server.contact}
    assert set(server.created()) == {"/v2/apikeys"}
    assert server.damage() == []


def test_a_ready_made_thing_that_is_not_there_is_nobodys_fault(
    server: Watched, tmp_path: Path
) -> None:
    """A wrong id in the target file is held against the target by no cell."""
    text = f'{server.text}\n[fixtures.contact]\nid = "599e1fcd9da1c72645c95886"\n'

    finished = certify(target(tmp_path, text), "fetch-contact and not SEC")

    assert finished.results["findings"] == []
    assert finished.code == 3
    for outcome, reason in outcomes(finished, "fetch-contact").values():
        assert outcome == "inconclusive"
        assert "no answer shows it" in reason


@pytest.mark.long
def test_a_read_only_run_sends_no_write(server: Watched, tmp_path: Path) -> None:
    """With --read-only the server counts no request that may write; what reads can prove is
    proven, on what is there.
    """
    text = f'{server.text}\n[fixtures.contact]\nid = "{server.contact}"\n'

    finished = certify(target(tmp_path, text), more=["--read-only"])

    assert server.writes == []
    assert server.damage() == []
    assert finished.results["findings"] == [], finished.said
    for role, (outcome, reason) in outcomes(finished, "fetch-contact").items():
        assert outcome == "passed", (role, reason)
    for role, (outcome, reason) in outcomes(finished, "create-contact").items():
        assert outcome == "not-tested", role
        assert "--read-only" in reason


@pytest.mark.parametrize(
    "fault", [pytest.param("", marks=pytest.mark.long), "flip-create-contact-guest"]
)
def test_denied_writes_are_tried_where_the_file_allows_it(fault: str, tmp_path: Path) -> None:
    """With attempt_denied_writes a read-only run lets the roles try that may not create: what is
    let in is found and deleted again, what is refused is not proven, and nobody else writes.
    """
    made: list[Watched] = []
    settings = Settings(scrypt_n=2, faults=(fault,) if fault else ())
    with running(settings, lambda server: made.append(Watched(server))) as served:
        (server,) = made
        server.begin(served.base_url)
        text = server.text.replace("[target]", "[target]\nattempt_denied_writes = true")

        finished = certify(
            target(tmp_path, text), "create-contact and test_permissions", more=["--read-only"]
        )
        damage = server.damage()

    outcome, reason = outcomes(finished, "create-contact")["guest"]
    assert outcome == ("failed" if fault else "not-tested"), reason
    assert {outcome for outcome, _ in outcomes(finished, "create-contact").values()} <= {
        "failed",
        "not-tested",
    }
    assert finished.code == (1 if fault else 3), finished.said
    assert {method for method, _ in server.writes} == ({"POST", "DELETE"} if fault else {"POST"})
    assert finished.results["left_behind"] == []
    assert damage == []


def entries(finished: Finished) -> list[dict[str, Any]]:
    """The requests and answers of a run."""
    document = json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = document["log"]["entries"]
    return found


def is_contact(entry: Mapping[str, Any]) -> bool:
    """Whether one contact was asked for."""
    return "/v2/contacts/" in entry["request"]["url"]
