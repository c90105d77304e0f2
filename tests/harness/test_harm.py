"""A run does no harm: however it ends, only the run's own things are touched."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rolecall.reference.settings import Settings
from rolecall.reference.target import target_file
from tests.support.command import rolecall, start
from tests.support.strangers import (
    Refused,
    Stranger,
    Unanswered,
    Who,
    certified,
    listening,
    perhaps_left,
)
from tests.support.watched import watched

#: Interrupted runs of each kind on each server; the environment may ask for more.
MOMENTS = int(os.environ.get("ROLECALL_MOMENTS", "4"))
#: Seconds in which an interruption falls, after the run has made its first thing.
LONGEST = 9.0


@contextmanager
def stranger(
    trouble: bool = True,
) -> Iterator[tuple[str, Callable[[], list[str]], Callable[[], None]]]:
    """The awkward server: its target file, its damage, and how it falls silent."""
    server = Stranger(trouble=trouble)
    with listening(server) as url:
        yield server.target_file(url), server.damage, server.mute.set


@contextmanager
def reference() -> Iterator[tuple[str, Callable[[], list[str]], Callable[[], None]]]:
    """The reference server, a little slow, so that interruptions fall into it."""
    settings = Settings(clock=True, scrypt_n=128, variants=("latency-50ms",))
    with watched(settings) as (server, census):
        yield target_file(server.server, server.base_url), census.damage, lambda: None


SERVERS = {"stranger": stranger, "reference": reference}


def begin(text: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run in a process of its own, when it has made its first thing."""
    (folder / "target.toml").write_text(text, encoding="utf-8")
    process = start(
        "certify",
        "target.toml",
        "--out",
        "runs",
        "--quiet",
        *options,
        cwd=folder,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        if any(
            '"created"' in path.read_text(encoding="utf-8")
            for path in folder.glob("runs/*/ledger.jsonl")
        ):
            break
        time.sleep(0.02)
    return process


@pytest.mark.long
def test_an_awkward_server_is_left_as_it_was(tmp_path: Path) -> None:
    """Ids that are numbers, lists that nest other ids, no empty texts, lost creates: all is as it
    was, and nothing is left.
    """
    server = Stranger()
    finished = certified(server, tmp_path)

    assert server.damage() == []
    assert server.left() == finished.results["left_behind"] == []
    assert finished.results["findings"] == []
    cells = finished.results["counts"]["cells"]
    # A test whose requests were lost as often as it is tried stays open: by chance a few do, of
    # hundreds, where one create in thirteen is lost.
    assert cells["passed"] + cells.get("inconclusive", 0) == 376, finished.said
    assert cells["passed"] >= 370, finished.said
    assert finished.code in (0, 3), finished.said


class Forgetful(Stranger):
    """Creates are answered without an id."""

    def create(self, name: str, members: dict[str, Any], who: Who) -> tuple[int, Any]:
        """Leave the id out."""
        status, document = super().create(name, members, who)
        return status, {name: value for name, value in document.items() if name != "id"}


class Secretive(Stranger):
    """No role may list contacts, and every third creation is not answered."""

    def collection(
        self, method: str, name: str, query: dict[str, list[str]], who: Who, body: Any
    ) -> tuple[int, Any]:
        """Refuse to list contacts."""
        if name == "contact" and method == "GET":
            raise Refused(403)
        return super().collection(method, name, query, who, body)

    def fate(self, method: str, path: str) -> str:
        """Every third contact."""
        return (
            "lost"
            if path == "/v2/contacts" and method == "POST" and self._next["contact"] % 3 == 0
            else ""
        )


@pytest.mark.long
def test_an_answer_without_an_id_leads_to_no_other_thing(tmp_path: Path) -> None:
    """Where creates do not tell an id, it is looked for in the list, as the thing's own; nobody
    else's is taken for it.
    """
    server = Forgetful(trouble=False)
    finished = certified(server, tmp_path, "--select", "user")

    assert server.damage() == [], finished.said
    assert server.left() == finished.results["left_behind"] == []


class Nameless(Stranger):
    """Creates of users whose name stands in an unusual place are not answered, nor is every third
    contact's.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made: list[str] = []

    def create(self, name: str, members: dict[str, Any], who: Who) -> tuple[int, Any]:
        """Make it, and say nothing."""
        self.made.append(f"{name} {sorted(members)}")
        if name == "user":  # where new users cannot log in, accounts are borrowed
            members.pop("password", None)
        status, document = super().create(name, members, who)
        if (name == "user" and "givenName" not in document) or (
            name == "contact" and document["id"] % 3 == 0
        ):
            raise Unanswered
        return status, document


class Terse(Nameless):
    """Contacts are listed with their ids, and nothing else."""

    def collection(
        self, method: str, name: str, query: dict[str, list[str]], who: Who, body: Any
    ) -> tuple[int, Any]:
        """Leave out of a list of contacts what tells whose they are."""
        status, document = super().collection(method, name, query, who, body)
        return status, [{"id": item["id"]} for item in document] if (method, name) == (
            "GET",
            "contact",
        ) else document


@pytest.mark.long
def test_a_name_in_an_unusual_place_is_found_again(tmp_path: Path) -> None:
    """A thing whose creation was not answered is found wherever its name was written, also in a
    member that is no operation's.
    """
    server = Nameless(trouble=False)
    finished = certified(server, tmp_path, "--select", "update-user-self")

    assert any("displayName" in line for line in server.made), finished.said
    assert server.damage() == [], finished.said
    assert server.left() == finished.results["left_behind"] == []


def test_a_list_that_shows_no_names_proves_nothing(tmp_path: Path) -> None:
    """Where lists do not show what things are called, those whose creation was not answered are
    named as perhaps left.
    """
    server = Terse(trouble=False)
    finished = certified(server, tmp_path, "--select", "update-contact")

    left = perhaps_left(finished, "contact")
    assert server.damage() == [], finished.said
    assert len(left) >= len(server.left()) > 0, finished.said
    assert "no list showed any contact of this run by its name" in left[0]
    assert finished.code == 7


class Revoking(Stranger):
    """Keys are revoked in a way of the server's own: there is nothing to DELETE."""

    def api_keys(self, method: str, rest: list[str], who: Who, body: Any) -> tuple[int, Any]:
        """Know no DELETE, and no list."""
        if method != "POST":
            raise Refused(404)
        return super().api_keys(method, rest, who, body)


@pytest.mark.long
def test_keys_that_nobody_can_delete_are_named(tmp_path: Path) -> None:
    """Where the deletion of every key is answered 404 the keys are alive: they are named as left
    behind, with exit code 7.
    """
    server = Revoking(trouble=False)
    finished = certified(server, tmp_path, "--select", "KEY or list-users")

    assert server.damage() == [], finished.said
    assert len(server.left()) == len(finished.results["left_behind"]) > 0
    assert all(line.startswith("api-key") for line in finished.results["left_behind"])
    assert finished.code == 7


class Full(Stranger):
    """Organizations with users in them stay, and users are known by no name but their address."""

    def one(self, method: str, name: str, id: int, who: Who, body: Any) -> tuple[int, Any]:
        """Refuse to delete what is not empty."""
        is_full = any(
            str(user.get("organization")) == str(id) for user in self.things["user"].values()
        )
        if (method, name) == ("DELETE", "organization") and "admin" in who.scopes and is_full:
            raise Refused(409)
        return super().one(method, name, id, who, body)

    def shown(self, resource: str, id: int) -> dict[str, Any]:
        """Leave out what users are called."""
        thing = super().shown(resource, id)
        hidden = ("displayName", "familyName") if resource == "user" else ()
        return {name: value for name, value in thing.items() if name not in hidden}


@pytest.mark.long
def test_what_was_full_is_deleted_when_it_is_empty(tmp_path: Path) -> None:
    """Where an organization cannot be deleted while somebody is in it, it is deleted after them;
    users are known by their address.
    """
    server = Full(trouble=False)
    finished = certified(server, tmp_path, "--select", "SEC-A or organization")

    assert server.damage() == [], finished.said
    assert server.left() == finished.results["left_behind"] == []


def test_what_cannot_be_looked_for_is_named(tmp_path: Path) -> None:
    """A thing whose creation was not answered, in a list that no role may read, is named as perhaps
    left: exit code 7.
    """
    server = Secretive()
    finished = certified(server, tmp_path, "--select", "update-contact")

    left = perhaps_left(finished, "contact")
    assert server.damage() == [], finished.said
    assert len(left) >= len(server.left()) > 0, finished.said
    assert "cannot be read" in left[0]
    assert finished.code == 7


@pytest.mark.long
def test_a_run_that_only_reads_sends_nothing_else(tmp_path: Path) -> None:
    """With --read-only the server counts GET, HEAD, OPTIONS and log-ins, and nothing else: no clock
    is moved either.
    """
    server = Stranger()
    methods = set()

    def count(method: str, path: str, headers: dict[str, str]) -> None:
        methods.add(method if path.partition("?")[0] != "/v2/auth/token" else f"{method} token")
        watch(method, path, headers)

    watch, server.watch = server.watch, count  # type: ignore[method-assign]  # one server's own
    finished = certified(server, tmp_path, "--read-only")

    assert methods <= {"GET", "HEAD", "OPTIONS", "GET token", "HEAD token", "POST token"}
    assert server.damage() == server.left() == []
    assert finished.code == 3, finished.said


@pytest.mark.long
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "silence"])
@pytest.mark.parametrize("name", SERVERS)
def test_an_interrupted_run_does_no_harm(name: str, how: str, tmp_path: Path) -> None:
    """At random moments the run is interrupted, or the target falls silent: accounts, things and
    clock are as they were.
    """
    if (name, how) == ("reference", "silence"):
        pytest.skip("the stranger falls silent for both")
    chance = random.Random(f"{name} {how}")
    for number in range(MOMENTS):
        moment = chance.uniform(0.0, LONGEST)
        folder = tmp_path / str(number)
        folder.mkdir()
        with SERVERS[name]() as (text, damage, mute):
            process = begin(text, folder)
            time.sleep(moment)
            if how == "silence":
                mute()
            else:
                process.send_signal(getattr(signal, how))
            _, said = process.communicate(timeout=120)

            harm = damage()
            # a clock whose hook does not answer can only be named
            if how == "silence" and "clock" in "".join(harm):
                assert "clock" in next(folder.glob("runs/*/results.json")).read_text(
                    encoding="utf-8"
                )
                harm = [line for line in harm if not line.startswith("clock")]
            assert harm == [], f"{moment:.2f} s: {said}"


def test_no_account_loses_its_role_by_a_key(tmp_path: Path) -> None:
    """Where an update of oneself takes one's role, the keys that try it are not the account's:
    afterwards the account is as it was, and everything can be deleted.
    """
    settings = Settings(
        scrypt_n=128,
        faults=("unnamed-role-is-the-default",),
        variants=("scope-of-current-role", "keys-follow-the-role"),
    )
    with watched(settings) as (server, census):
        (tmp_path / "target.toml").write_text(
            target_file(server.server, server.base_url), encoding="utf-8"
        )
        finished = rolecall(
            "certify", "target.toml", "--select", "update-user-self", "--out", "runs", cwd=tmp_path
        )

        assert (census.damage(), census.left()) == ([], [])
    assert finished.results["left_behind"] == []
