"""The vendor's own client, chipchat, works with the reference server in the vendor's dialect."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import environment
from tests.support.servers import clock_offset, credentials, serving

PACKAGE = "chipchat@0.7.4"
SCRIPT = Path(__file__).parents[1] / "data" / "chipchat.cjs"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client in its node_modules, installed from npm for this one time."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("chipchat")
    command = [
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        PACKAGE,
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=180, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not get {PACKAGE} within three minutes")
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-300:]}")
    return folder


@pytest.fixture(scope="module")
def said(package: Path) -> dict[str, Any]:
    """What the client saw of a server."""
    with serving("--dialect", "sdk", "--clock", "--scrypt-n", "2") as server:
        logins = {}
        for account in ("admin", "bot"):
            email, password = credentials(server.text, account)
            answer = httpx.post(
                f"{server.url}/v2/auth/token", json={"email": email, "password": password}
            )
            assert answer.status_code == 201
            logins[account] = {
                "email": email,
                **{name: answer.json()[name] for name in ("token", "refreshToken")},
            }
        done = subprocess.run(
            ["node", str(SCRIPT), str(package)],
            input=json.dumps({"host": server.url, **logins}),
            cwd=package,
            env=environment(NODE_NO_WARNINGS="1"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert clock_offset(server.url) == 3 * 25 * 3600, done.stderr
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_it_reads_users(said: dict[str, Any]) -> None:
    """The client reads its own user, and lists of users sorted, filtered and with chosen fields."""
    admin = said["admin"]

    assert admin["me"]["role"] == "admin"
    assert admin["me"]["email"] == "admin@example.org"
    emails = [user["email"] for user in admin["users"]]
    assert len(emails) == 5
    assert emails == sorted(emails)
    assert {tuple(sorted(user)) for user in admin["users"]} == {("email", "id", "role")}
    assert [user["role"] for user in admin["guests"]] == ["guest", "guest"]


def test_it_creates_and_deletes_a_conversation(said: dict[str, Any]) -> None:
    """The client creates, renames and deletes a conversation, and is told when it is gone."""
    admin = said["admin"]

    assert admin["made"]["name"] == "seen through chipchat"
    assert admin["made"]["organization"] == admin["me"]["organization"]
    assert (admin["renamed"]["id"], admin["renamed"]["name"]) == (admin["made"]["id"], "renamed")
    assert not admin["deleted"]
    assert admin["gone"]["status"] == 404
    assert admin["gone"]["message"]


def test_it_says_messages(said: dict[str, Any]) -> None:
    """What the client says in a conversation is there when its messages are listed."""
    admin = said["admin"]

    assert sorted(message["text"] for message in admin["messages"]) == ["and once more", "hello"]
    assert {message["conversation"] for message in admin["messages"]} == {admin["made"]["id"]}
    first = admin["said"][0] if isinstance(admin["said"], list) else admin["said"]
    assert first["text"] == "hello"


def test_it_pages_by_link(said: dict[str, Any]) -> None:
    """The client gets a list of 25 in three requests, by the Link headers of the first two."""
    pages = said["pages"]

    assert pages["found"] == pages["names"]
    assert [(method, status) for method, _, status in pages["requests"]] == [("GET", 200)] * 3
    assert ["offset=10" in path for _, path, _ in pages["requests"]] == [False, True, False]
    assert ["offset=20" in path for _, path, _ in pages["requests"]] == [False, False, True]
    assert all("limit=10" in path for _, path, _ in pages["requests"])


def test_it_is_told_when_its_scope_is_too_low(said: dict[str, Any]) -> None:
    """A bot that fetches a form gets a 403 that the client can read, and asks for no token."""
    assert said["denied"]["status"] == 403
    assert said["denied"]["message"]
    assert "Response code" not in said["denied"]["message"]


@pytest.mark.parametrize("night", [0, 1], ids=["first-night", "second-night"])
def test_it_recovers_from_an_expired_token(night: int, said: dict[str, Any]) -> None:
    """The client refreshes an expired token by itself, repeatedly, and stays the same user."""
    recovered = said["recovered"][night]

    assert recovered["me"]["role"] == "bot"
    user = f"/v2/users/{recovered['me']['id']}"
    assert recovered["requests"] == [
        ["GET", user, 401],
        ["POST", "/v2/auth/token", 201],
        ["GET", user, 200],
    ]
    assert recovered["newToken"]
    assert recovered["newRefreshToken"]
    assert recovered["announced"]
    assert recovered["scope"] == "bot"


def test_it_gives_up_without_a_good_refresh_token(said: dict[str, Any]) -> None:
    """A client with a truncated refresh token is refused once, and does not try for ever."""
    strange = said["strange"]

    assert strange["refused"]["status"] == 401
    assert [method for method, _, _ in strange["requests"]][:2] == ["GET", "POST"]
    assert len(strange["requests"]) <= 3
    assert said["errors"] == []
